#!/usr/bin/env python3
"""Imports a Parquet file of events twice: the count must be right both times. Prints rows/s and peak memory."""

import tempfile
from pathlib import Path

import make_events
from report import machine, table
from running import Serving, arguments, run


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="events in the file (default: 10,000,000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-import-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(args.binary, folder, args.rows)
    print(machine())


def measure(binary: Path, folder: Path, rows: int) -> None:
    file = folder / f"events-{rows}.parquet"
    if not file.exists():
        make_events.write(file, rows, ["bench"])
    run([binary, "site", "create", "bench"], folder)
    lines = []
    for time in ("first", "second"):
        done = run([binary, "import", file], folder)
        print(done.output.strip())
        with Serving(binary, folder) as server:
            (found,) = server.ask("SELECT count(*) FROM events")
            (counted,) = server.ask("SELECT count(DISTINCT event_id) FROM events")
        if (found, counted) != (rows, rows):
            raise SystemExit(
                f"error: {found:,} events after the {time} import, {counted:,} of them different; expected {rows:,}"
            )
        speed = f"{rows / done.seconds:,.0f}" if time == "first" else "-"
        memory = f"{done.peak_memory / 1e6:,.0f} MB"
        lines.append((time, f"{found:,}", f"{done.seconds:.1f}", speed, memory))
    size = sum(part.stat().st_size for part in (folder / "lake").rglob("*.parquet"))
    print(table(lines, ("import", "events", "seconds", "rows/s", "peak memory")))
    print(f"file {file.stat().st_size / 1e6:,.0f} MB, lake {size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
