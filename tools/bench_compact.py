#!/usr/bin/env python3
"""Imports events of many sites and compacts them: events/s, CPU, peak memory, and what the lake takes afterwards.

The same files are merged a second time without segments, so that their share of the pass is known.
"""

import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path

import make_events
from report import machine, table
from running import Finished, Serving, arguments, run

GOALS = (
    ("events/s per core", "400,000 with all segments"),
    ("peak memory", "1 GiB"),
    ("segments", "30 bytes an event, all together"),
    ("segments' share of the CPU", "under 40%"),
)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--merge-only", type=Path, required=True, help="the example that merges without segments")
    parser.add_argument("--rows", type=int, default=50_000_000, help="events (default: 50,000,000)")
    parser.add_argument("--sites", type=int, default=200, help="sites, of very different sizes (default: 200)")
    parser.add_argument("--file", type=Path, help="use this file of `make_events.py --sites site-0,site-1,...`")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-compact-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        fill(args, folder)
        before = sizes(folder / "lake")
        print(table([(name, f"{count:,}", f"{size / args.rows:.2f}") for name, (count, size) in before.items()], HEAD))
        copy(folder / "lake", folder / "plain" / "lake")
        plain = run([args.merge_only, folder / "plain" / "lake" / "shard=00"], folder)
        shutil.rmtree(folder / "plain")
        full = run([args.binary, "compact"], folder)
        check(args, folder)
        show(args.rows, full, plain)
        after = sizes(folder / "lake")
        print(table([(name, f"{count:,}", f"{size / args.rows:.2f}") for name, (count, size) in after.items()], HEAD))
        segments = sum(size for name, (_, size) in after.items() if name != "events")
        print(f"\nsegments: {segments / args.rows:.1f} bytes an event\n")
        print(table(list(GOALS), ("goals", "")))
        print()
        print(machine())


HEAD = ("live files of", "files", "bytes an event")


def fill(args: argparse.Namespace, folder: Path) -> None:
    sites = [f"site-{n}" for n in range(args.sites)]
    file = args.file or folder / "events.parquet"
    if not file.exists():
        make_events.write(file, args.rows, sites)
    for site in sites:
        run([args.binary, "site", "create", site], folder)
    print(run([args.binary, "import", file], folder).output.strip())


def copy(source: Path, target: Path) -> None:
    """Data files never change, so that links will do; logs are copied."""
    for path in source.rglob("*"):
        copied = target / path.relative_to(source)
        if path.is_dir():
            copied.mkdir(parents=True, exist_ok=True)
        elif path.suffix == ".parquet" and "_delta_log" not in path.parts:
            os.link(path, copied)
        else:
            shutil.copy2(path, copied)


def sizes(lake: Path) -> dict[str, tuple[int, int]]:
    """Number and bytes of the live files of each table."""
    from deltalake import DeltaTable

    found = {}
    for log in sorted(lake.rglob("_delta_log")):
        live = DeltaTable(log.parent).get_add_actions(flatten=True).to_struct_array().to_pylist()
        name = re.sub(r"^.*shard=00/", "", str(log.parent))
        found[name] = (len(live), sum(file["size_bytes"] for file in live))
    return found


def check(args: argparse.Namespace, folder: Path) -> None:
    with Serving(args.binary, folder, FOOTFALL_ROLES="query") as server:
        (found,) = server.ask("SELECT count(*) FROM events")
        (rolled,) = server.ask("SELECT sum(event_count) FROM events_daily")
    if (found, rolled) != (args.rows, args.rows):
        raise SystemExit(f"error: {found:,} events and {rolled:,} in the rollup; expected {args.rows:,}")


def show(rows: int, full: Finished, plain: Finished) -> None:
    head = ("", "seconds", "events/s", "CPU s/million", "events/s per core", "peak MB")
    lines = [
        (
            name,
            f"{done.seconds:.1f}",
            f"{rows / done.seconds:,.0f}",
            f"{done.cpu_seconds / (rows / 1e6):.2f}",
            f"{rows / done.cpu_seconds:,.0f}",
            f"{done.peak_memory / 1e6:,.0f}",
        )
        for name, done in (("footfall compact", full), ("merge without segments", plain))
    ]
    print(table(lines, head))
    share = 1 - plain.cpu_seconds / full.cpu_seconds
    print(f"\nsegments' share of the CPU: {share:.0%}\n")


if __name__ == "__main__":
    main()
