#!/usr/bin/env python3
"""Imports a Parquet file of events twice: the count must be right both times. Prints rows/s, CPU and peak memory.

Beside it, in the same run, ClickHouse inserts the same file into a table of the same order and partitions.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import make_events
from report import machine, table
from running import Serving, arguments, run

GOALS = (
    ("rows/s", "half of ClickHouse's"),
    ("peak memory", "600 MB, whatever the file"),
)


@dataclass
class Line:
    name: str
    rows: int
    seconds: float
    cpu_seconds: float
    # Bytes.
    peak_memory: int
    size: int
    files: int


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rows", type=int, default=10_000_000, help="events in the file (default: 10,000,000)")
    parser.add_argument("--in-order", action="store_true", help="events by time (default: visits of all days mixed)")
    parser.add_argument("--file", type=Path, help="import this file of `make_events.py` instead of making one")
    parser.add_argument("--no-peer", action="store_true", help="leave ClickHouse out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-import-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        file = args.file or folder / f"events-{args.rows}{'-in-order' if args.in_order else ''}.parquet"
        if not file.exists():
            make_events.write(file, args.rows, ["bench"], in_order=args.in_order)
        lines = [measure(args.binary, folder, file, args.rows)]
        if not args.no_peer:
            lines.append(compare(folder, file))
        show(lines)
        print(f"\nfile: {file.stat().st_size / 1e6:,.0f} MB, events {'by time' if args.in_order else 'of all days mixed'}\n")
    print(table(list(GOALS), ("goals", "")))
    print()
    print(machine())


def measure(binary: Path, folder: Path, file: Path, rows: int) -> Line:
    run([binary, "site", "create", "bench"], folder)
    first = None
    for time in ("first", "second"):
        done = run([binary, "import", file], folder)
        print(done.output.strip(), file=sys.stderr)
        first = first or done
        with Serving(binary, folder) as server:
            (found,) = server.ask("SELECT count(*) FROM events")
            (counted,) = server.ask("SELECT count(DISTINCT event_id) FROM events")
        if (found, counted) != (rows, rows):
            raise SystemExit(
                f"error: {found:,} events after the {time} import, {counted:,} of them different; expected {rows:,}"
            )
    sizes = [part.stat().st_size for part in (folder / "lake").rglob("*.parquet") if "_delta_log" not in part.parts]
    return Line("footfall import", rows, first.seconds, first.cpu_seconds, first.peak_memory, sum(sizes), len(sizes))


def compare(folder: Path, file: Path) -> Line:
    done = run(
        [sys.executable, Path(__file__).with_name("peers.py"), "clickhouse-parquet", file, folder / "clickhouse"], folder
    )
    peer = json.loads(done.output)
    return Line(
        peer["name"],
        peer["rows"],
        peer["seconds"],
        peer["cpu_seconds"],
        done.peak_memory,
        peer["bytes"],
        peer["files"],
    )


def show(lines: list[Line]) -> None:
    head = ("", "rows", "seconds", "rows/s", "CPU s/million", "peak MB", "B/row", "files")
    cells = [
        (
            line.name,
            f"{line.rows:,}",
            f"{line.seconds:.1f}",
            f"{line.rows / line.seconds:,.0f}",
            f"{line.cpu_seconds / (line.rows / 1e6):.2f}",
            f"{line.peak_memory / 1e6:,.0f}",
            f"{line.size / line.rows:.1f}",
            f"{line.files:,}",
        )
        for line in lines
    ]
    print(table(cells, head))


if __name__ == "__main__":
    main()
