#!/usr/bin/env python3
"""Half an hour of 20,000 events/s with the compactor on and queries beside it: does anything grow that should not?

Two sites have the day before the start in the lake, compacted. Events come for one of them: a tenth of the time without the
compactor, so that its replies can be compared, then with it. Compares the medians (of memory the 90th percentile, since
merges come and go) of the first and of the last third of that time, after a warm-up of a tenth of it, in which caches and
the window of event ids fill, and what was not compacted is. Ends with 1 if something is not flat that should be, if too many
rows wait for their segments, if the compactor slows replies down, or if an event is lost or there twice.

What is asked touches about the same amount all the time: growth then means that something is kept which should not be. What
may grow is given less room, so that the warm-up fills it: the table keeps the versions of its log for a day, here (by
Delta's property `delta.logRetentionDuration`) for a tenth of the run, but a minute; the cache of the Parquet files' footers
holds those of the last minutes. What a whole day of versions means, and what a query over all files takes, is printed.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import exactly_once
import make_events
from adbc_driver_manager import Error as AdbcError
from bench_compact import sizes
from deltalake import DeltaTable
from load_run import SETTINGS, SITE, load, spent, status_bytes, wait_until_visible
from query_lake import DUE_AT_ONCE, create_sites
from report import machine
from running import Serving, arguments, run
from soak_report import MIB, Sample, Soaked, show, show_growth, show_replies

EVENTS = Path("lake") / "shard=00" / "events"

# Of footers, at some 25 KB a file.
CACHE = {"FOOTFALL_QUERY__METADATA_CACHE_BYTES": "4MiB"}
NO_COMPACTOR = {"FOOTFALL_ROLES": "ingest,query,gateway"}

# A site with a day of events, and no new ones.
QUIET = "quiet"

ALL_OF_ONE = (
    "SELECT event_timestamp, event_type, page_url FROM events "
    f"WHERE tracking_id = '{SITE}' AND client_id = '{{visitor}}' ORDER BY event_timestamp"
)
LAST_MINUTE = f"tracking_id = '{SITE}' AND event_timestamp > now() - INTERVAL '1 minute'"
# Whole hours: more than a day of one site, so that what is asked does not slide out of it.
LAST_DAY = "tracking_id = '{site}' AND event_timestamp >= date_trunc('hour', now()) - INTERVAL '26 hours'"

# By name: the statement, with {visitor}. A minute of raw events, and a day of rollups.
LIGHT = {
    "count by event_type, last minute": (
        f"SELECT event_type, count(*) FROM events WHERE {LAST_MINUTE} GROUP BY event_type"
    ),
    "distinct visitors, last minute": f"SELECT count(DISTINCT client_id) FROM events WHERE {LAST_MINUTE}",
    "one visitor's events, last minute": f"SELECT * FROM events WHERE {LAST_MINUTE} AND client_id = '{{visitor}}'",
    "visitors by country, last day, quiet site": (
        f"SELECT country, count(DISTINCT client_id) FROM events WHERE {LAST_DAY.format(site=QUIET)} GROUP BY country"
    ),
}
# Without the compactor this would read more and more of what is not compacted.
QUERIES = LIGHT | {
    "events and revenue by hour and type, last day": (
        "SELECT date_trunc('hour', event_timestamp), event_type, count(*), sum(revenue) "
        f"FROM events WHERE {LAST_DAY.format(site=SITE)} GROUP BY 1, 2"
    ),
}
# Of the site that events come for: the newest.
NEWEST = "SELECT CAST(now() AS TIMESTAMP), CAST(max(event_timestamp) AS TIMESTAMP) FROM events"
# Of the tables of segments, the one that is farthest behind.
COVERAGE = (
    "SELECT max(uncovered), max(files) FROM (SELECT table_name, sum(rows - covered_rows) AS uncovered, "
    "sum(files) AS files FROM system.coverage GROUP BY table_name)"
)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--seconds", type=float, default=1_800, help="how long with the compactor (default: 1,800)")
    parser.add_argument("--rate", type=int, default=20_000, help="events/s (default: 20,000)")
    parser.add_argument("--history", type=int, default=5_000_000, help="events of the day before (default: 5,000,000)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: 100)")
    parser.add_argument("--connections", type=int, default=64, help="connections that send (default: 64)")
    parser.add_argument("--sample", type=float, default=5, help="seconds between samples (default: 5)")
    parser.add_argument("--pause", type=float, default=5, help="seconds between queries (default: 5)")
    parser.add_argument("--setting", action="append", default=[], metavar="FOOTFALL_...=VALUE", help="server setting")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-soak-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        failed = soak(args, folder)
    print(machine())
    if failed:
        raise SystemExit("error: " + "; ".join(failed))


def soak(args: argparse.Namespace, folder: Path) -> list[str]:
    settings = SETTINGS | CACHE | dict(setting.split("=", 1) for setting in args.setting)
    prepare(args, folder)
    print(f"{args.rate:,} events/s for {args.seconds:.0f} s; a query every {args.pause:g} s beside it", flush=True)
    soaked = Soaked()
    with Serving(args.binary, folder, **settings | NO_COMPACTOR) as server, beside(args, server, Soaked(), LIGHT):
        alone = send(args, server, args.seconds / 10)
    with Serving(args.binary, folder, **settings) as server:
        with beside(args, server, soaked, QUERIES):
            report = send(args, server, args.seconds)
        peak = spent(server).peak_memory
        sent = {key: alone[key] + report[key] for key in ("events_acknowledged", "events_unanswered")}
        wait_until_visible(server, args.history + sent["events_acknowledged"], sent["events_unanswered"])
        everything = over_all_files(server, soaked.visitor)
    failed = show(soaked, args.seconds, args.rate)
    show_growth(soaked, args.seconds, args.history + sent["events_acknowledged"], sizes(folder / "lake"))
    print(f"  {everything}")
    failed += show_replies(alone, report, peak, args.rate, soaked)
    return failed + show_count(folder, args.history, sent)


def prepare(args: argparse.Namespace, folder: Path) -> None:
    """A day of events, compacted, in a table that forgets old versions of its log after a tenth of the run."""
    create_sites(args.binary, folder, [SITE, QUIET])
    file = folder / "history.parquet"
    make_events.write(file, args.history, [SITE, QUIET], days=1)
    imported = run([args.binary, "import", file], folder)
    file.unlink()
    print(imported.output.strip())
    run([args.binary, "compact"], folder, **DUE_AT_ONCE)
    retention = max(60, int(args.seconds / 10))
    run([args.binary, "table", "unlock", "events"], folder)
    properties = {"delta.logRetentionDuration": f"interval {retention} seconds"}
    DeltaTable(str(folder / EVENTS)).alter.set_table_properties(properties)
    run([args.binary, "table", "lock", "events"], folder)


def send(args: argparse.Namespace, server: Serving, seconds: float) -> dict:
    """The load generator's report."""
    flags = ("--batch", args.batch, "--connections", args.connections, "--seconds", seconds, "--rate", args.rate)
    return load(args.load, server, *map(str, flags))[0]


@contextmanager
def beside(args: argparse.Namespace, server: Serving, soaked: Soaked, queries: dict[str, str]) -> Iterator[None]:
    """Samples and queries, until the end."""
    began = time.monotonic()
    threads = [
        threading.Thread(target=sampling, args=(server, soaked, began, args.sample)),
        threading.Thread(target=querying, args=(server, soaked, began, args.pause, queries)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        soaked.stop.set()
        for thread in threads:
            thread.join()


def sampling(server: Serving, soaked: Soaked, began: float, pause: float) -> None:
    while not soaked.stop.wait(max(0.0, pause - (time.monotonic() - began) % pause)):
        at = time.monotonic() - began
        try:
            values = sample(server)
        except (AdbcError, OSError) as error:
            soaked.failures.append(f"sample at {at:.0f} s: {error}")
            continue
        soaked.samples.append(Sample(at, values))
        if len(soaked.samples) % 12 == 0:
            shown = ", ".join(f"{name} {value:,.0f}" for name, value in values.items())
            print(f"{at:,.0f} s: {shown}", file=sys.stderr, flush=True)


def sample(server: Serving) -> dict[str, float]:
    process = Path(f"/proc/{server.pid}")
    values = {
        "memory, MiB": status_bytes(server, "VmRSS") / MIB,
        "file descriptors": sum(1 for _ in (process / "fd").iterdir()),
        "threads": sum(1 for _ in (process / "task").iterdir()),
        "WAL, MiB": files_of(server.folder / "state" / "wal")[1] / MIB,
    }
    files, size = files_of(server.folder / EVENTS / "_delta_log")
    values |= {"_delta_log, files": files, "_delta_log, MiB": size / MIB}
    files, size = files_of(server.folder / EVENTS, "*/*.parquet")
    values |= {"files on disk": files, "on disk, MiB": size / MIB}
    uncovered, live = server.ask(COVERAGE)
    values |= {"uncovered rows": uncovered, "live files": live}
    now, newest = server.ask(NEWEST)
    # The generator's events bear the time at which they were sent.
    values["visible lag, s"] = (now - newest).total_seconds() if newest else 0.0
    return values


def files_of(folder: Path, pattern: str = "*") -> tuple[int, int]:
    """Files and their bytes; one that is removed meanwhile does not count."""
    number = total = 0
    for file in folder.glob(pattern):
        try:
            total += file.stat().st_size if file.is_file() else 0
            number += file.is_file()
        except FileNotFoundError:
            continue
    return number, total


def querying(server: Serving, soaked: Soaked, began: float, pause: float, queries: dict[str, str]) -> None:
    """One after another, each in turn."""
    with server.connect() as connection, connection.cursor() as cursor:
        while True:
            for name, sql in queries.items():
                if soaked.stop.wait(pause):
                    return
                asked = time.monotonic()
                try:
                    if not soaked.visitor:
                        cursor.execute(f"SELECT client_id FROM events WHERE {LAST_MINUTE} LIMIT 1")
                        soaked.visitor = (cursor.fetchone() or ("",))[0]
                        asked = time.monotonic()
                    cursor.execute(sql.format(visitor=soaked.visitor))
                    cursor.fetch_arrow_table()
                except AdbcError as error:
                    soaked.failures.append(f"{name} at {asked - began:.0f} s: {error}")
                else:
                    soaked.queries[name].append((asked - began, time.monotonic() - asked))


def over_all_files(server: Serving, visitor: str) -> str:
    """What the query takes that opens every file, of a server that does nothing else."""
    before = status_bytes(server, "VmRSS")
    # From here on, the peak is of what comes now.
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    asked = time.monotonic()
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(ALL_OF_ONE.format(visitor=visitor))
        rows = cursor.fetch_arrow_table().num_rows
    took = time.monotonic() - asked
    more = max(0, status_bytes(server, "VmHWM") - before) / MIB
    return f"all {rows:,} events of one visitor, from every file: {took:.2f} s, {more:,.0f} MiB more"


def show_count(folder: Path, history: int, sent: dict[str, int]) -> list[str]:
    found = exactly_once.read(folder)
    print(f"{sent['events_acknowledged']:,} events were acknowledged, and {history:,} imported; ", end="")
    print(f"in the lake: {found.events:,}, with {found.ids:,} different ids")
    return found.problems(history + sent["events_acknowledged"], sent["events_unanswered"])


if __name__ == "__main__":
    main()
