#!/usr/bin/env python3
"""Over a lake of many events: the time from exec to `ready`, and the memory of an idle server."""

import tempfile
import time
from pathlib import Path

import make_events
from report import machine, table
from running import Serving, arguments, percentile, run

GOAL_SECONDS = 1.0
GOAL_MEMORY = 150_000_000


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="events in the lake (default: 10,000,000)")
    parser.add_argument("--starts", type=int, default=5, help="how often to start (default: 5)")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds until memory is read (default: 10)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-start-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        fill(args.binary, folder, args.rows)
        measure(args.binary, folder, args.starts, args.idle)
    print(machine())


def fill(binary: Path, folder: Path, rows: int) -> None:
    if (folder / "lake").exists():
        return
    file = folder / f"events-{rows}.parquet"
    make_events.write(file, rows, ["bench"])
    run([binary, "site", "create", "bench"], folder)
    run([binary, "import", file], folder)


def measure(binary: Path, folder: Path, starts: int, idle: float) -> None:
    seconds, memory, events = [], 0, 0
    for last in [False] * (starts - 1) + [True]:
        with Serving(binary, folder) as server:
            seconds.append(server.seconds_to_ready)
            if last:
                time.sleep(idle)
                memory = server.resident_memory
                (events,) = server.ask("SELECT count(*) FROM events")
    files = sum(1 for _ in (folder / "lake").rglob("*.parquet"))
    print(f"{events:,} events in {files} files, {starts} starts")
    rows = [
        ("start to ready, median", f"{percentile(seconds, 0.5):.3f} s", f"{GOAL_SECONDS:.0f} s"),
        ("start to ready, slowest", f"{max(seconds):.3f} s", f"{GOAL_SECONDS:.0f} s"),
        (f"memory after {idle:.0f} s idle", f"{memory / 1e6:.0f} MB", f"{GOAL_MEMORY / 1e6:.0f} MB"),
    ]
    print(table(rows, ("", "measured", "goal")))


if __name__ == "__main__":
    main()
