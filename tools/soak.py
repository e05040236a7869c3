#!/usr/bin/env python3
"""Half an hour at half of what the server can take, with queries beside it: does anything grow that should not?

Compares the medians of the first and of the last third of the time (after a warm-up of a tenth of it, in which caches
and the window of event ids fill). Ends with 1 if something is not flat that should be, or if an event is lost or there
twice.

What is asked touches the same amount all the time: growth then means that something is kept which should not be. What
may grow is given less room, so that the warm-up fills it: the table keeps the versions of its log for a day, here (by
Delta's property `delta.logRetentionDuration`) for a tenth of the run, but a minute; the cache of the Parquet files' footers
holds those of the last minutes. What a whole day of versions means, and what a query over all files takes, is printed.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adbc_driver_manager import Error as AdbcError
from deltalake import DeltaTable

import exactly_once
from load_run import SETTINGS, SITE, fresh_server, load, spent, status_bytes, wait_until_visible
from report import machine, table
from running import Serving, arguments, percentile, run

MIB = 2**20
EVENTS = Path("lake") / "shard=00" / "events"

# Versions between two checkpoints at most; the clean-up follows each.
CHECKPOINT_EVERY = 500

# Of footers, at some 25 KB a file.
CACHE = {"FOOTFALL_QUERY__METADATA_CACHE_BYTES": "4MiB"}

ALL_OF_ONE = (
    "SELECT event_timestamp, event_type, page_url FROM events "
    f"WHERE tracking_id = '{SITE}' AND client_id = '{{visitor}}' ORDER BY event_timestamp"
)
LAST_MINUTE = f"tracking_id = '{SITE}' AND event_timestamp > now() - INTERVAL '1 minute'"

# By name: the statement, with {visitor}. A minute is eight million rows or so: more at once would ask for rollups.
QUERIES = {
    "count by event_type, last minute": (
        f"SELECT event_type, count(*) FROM events WHERE {LAST_MINUTE} GROUP BY event_type"
    ),
    "distinct visitors, last minute": f"SELECT count(DISTINCT client_id) FROM events WHERE {LAST_MINUTE}",
    "one visitor's events, last minute": f"SELECT * FROM events WHERE {LAST_MINUTE} AND client_id = '{{visitor}}'",
}
NEWEST = "SELECT CAST(now() AS TIMESTAMP), CAST(max(event_timestamp) AS TIMESTAMP) FROM events"


@dataclass
class Sample:
    """At one moment, `at` seconds after the start."""

    at: float
    values: dict[str, float]


@dataclass
class Soaked:
    stop: threading.Event = field(default_factory=threading.Event)
    samples: list[Sample] = field(default_factory=list)
    # By query: when it was asked, and how many seconds it took.
    queries: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    visitor: str = ""


@dataclass
class Flat:
    """What "flat" means: the last third's median is at most `factor` times the first's, and `slack` more."""

    factor: float
    slack: float

    def allows(self, first: float, last: float) -> bool:
        return last <= self.factor * first + self.slack

    def __str__(self) -> str:
        return f"x{self.factor:g} + {self.slack:g}"


# In the unit of the name. Slack: what comes and goes in a quiet server.
FLAT = {
    "memory, MiB": Flat(1.10, 32),
    "file descriptors": Flat(1.0, 16),
    "threads": Flat(1.0, 8),
    # The WAL is trimmed by whole segments.
    "WAL, MiB": Flat(1.25, 64),
    # Versions accumulate between two checkpoints.
    "_delta_log, files": Flat(1.10, CHECKPOINT_EVERY / 2),
    "visible lag, s": Flat(1.50, 1.0),
}
BY_DESIGN = ("_delta_log, MiB", "lake, files", "lake, MiB")


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--seconds", type=float, default=1_800, help="how long (default: 1,800)")
    parser.add_argument("--rate", type=int, help="events/s (default: half of what gets into the lake, measured)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: 100)")
    parser.add_argument("--connections", type=int, default=64, help="connections that send (default: 64)")
    parser.add_argument("--sample", type=float, default=5, help="seconds between samples (default: 5)")
    parser.add_argument("--pause", type=float, default=5, help="seconds between queries (default: 5)")
    parser.add_argument("--setting", action="append", default=[], metavar="FOOTFALL_...=VALUE", help="server setting")
    args = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in args.setting)
    with tempfile.TemporaryDirectory(prefix="footfall-soak-") as temporary:
        folder = args.keep or Path(temporary)
        rate = args.rate or int(capacity(args, folder / "capacity", settings) / 2)
        failed = soak(args, folder / "soak", settings, rate)
    print(machine())
    if failed:
        raise SystemExit("error: " + "; ".join(failed))


def capacity(args: argparse.Namespace, folder: Path, settings: dict[str, str]) -> float:
    """Events a second from the first request until the last event is in the lake."""
    with fresh_server(args.binary, folder, **settings) as server:
        flags = ("--batch", args.batch, "--connections", args.connections, "--seconds", 20)
        report, _ = load(args.load, server, *map(str, flags))
        seconds = report["seconds"] + wait_until_visible(
            server, report["events_acknowledged"], report["events_unanswered"]
        )
    found = report["events_acknowledged"] / seconds
    print(f"{found:,.0f} events/s get into the lake ({report['events_per_second']:,.0f}/s were acknowledged)")
    return found


def soak(args: argparse.Namespace, folder: Path, settings: dict[str, str], rate: int) -> list[str]:
    print(f"{rate:,} events/s for {args.seconds:.0f} s; a query every {args.pause:g} s beside it")
    soaked = Soaked()
    with server_with_short_retention(args, folder, settings) as server:
        began = time.monotonic()
        beside = [
            threading.Thread(target=sampling, args=(server, soaked, began, args.sample)),
            threading.Thread(target=querying, args=(server, soaked, began, args.pause)),
        ]
        for thread in beside:
            thread.start()
        try:
            flags = ("--batch", args.batch, "--connections", args.connections, "--seconds", args.seconds)
            report, _ = load(args.load, server, *map(str, flags), "--rate", str(rate))
        finally:
            soaked.stop.set()
            for thread in beside:
                thread.join()
        peak = spent(server).peak_memory
        wait_until_visible(server, report["events_acknowledged"], report["events_unanswered"])
        everything = over_all_files(server, soaked.visitor)
    failed = show(soaked, args.seconds)
    show_growth(soaked, args.seconds, report["events_acknowledged"])
    print(f"  {everything}")
    failed += show_replies(report, peak, rate, soaked)
    return failed + show_count(folder, report)


@contextmanager
def server_with_short_retention(
    args: argparse.Namespace, folder: Path, settings: dict[str, str]
) -> Iterator[Serving]:
    """A server whose table forgets old versions of its log after a tenth of the run."""
    settings = CACHE | settings
    with fresh_server(args.binary, folder, **settings):
        pass
    retention = max(60, int(args.seconds / 10))
    properties = {"delta.logRetentionDuration": f"interval {retention} seconds"}
    DeltaTable(str(folder / EVENTS)).alter.set_table_properties(properties)
    with Serving(args.binary, folder, **SETTINGS | settings) as server:
        yield server


def sampling(server: Serving, soaked: Soaked, began: float, pause: float) -> None:
    while not soaked.stop.wait(max(0.0, pause - (time.monotonic() - began) % pause)):
        at = time.monotonic() - began
        try:
            values = sample(server)
        except (AdbcError, OSError) as error:
            soaked.failures.append(f"sample at {at:.0f} s: {error}")
            continue
        soaked.samples.append(Sample(at, values))


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
    values |= {"lake, files": files, "lake, MiB": size / MIB}
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


def querying(server: Serving, soaked: Soaked, began: float, pause: float) -> None:
    """One after another, each in turn."""
    with server.connect() as connection, connection.cursor() as cursor:
        while True:
            for name, sql in QUERIES.items():
                if soaked.stop.wait(pause):
                    return
                asked = time.monotonic()
                try:
                    if not soaked.visitor:
                        cursor.execute("SELECT client_id FROM events LIMIT 1")
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


def thirds(values: list[tuple[float, float]], seconds: float) -> tuple[list[float], list[float]]:
    """Of (moment, value): the values of the first and the last third after the warm-up, both of the same length."""
    warm = seconds / 10
    third = (seconds - warm) / 3
    first = [value for at, value in values if warm <= at < warm + third]
    last = [value for at, value in values if seconds - third <= at <= seconds]
    return first, last


def show(soaked: Soaked, seconds: float) -> list[str]:
    """Prints what should be flat and says what is not."""
    rows, failed = [], []

    def line(name: str, values: list[tuple[float, float]], flat: Flat | None, number: Callable[[float], str]) -> None:
        first, last = thirds(values, seconds)
        if not first or not last:
            failed.append(f"{name}: too few samples")
            return
        before, after = statistics.median(first), statistics.median(last)
        holds = flat is None or flat.allows(before, after)
        verdict = "flat" if holds else "GROWS"
        if not holds:
            failed.append(f"{name} grows from {number(before)} to {number(after)}")
        cells = [number(value) for value in (before, max(first), after, max(last))]
        rows.append((name, *cells, str(flat or "by design"), verdict if flat else ""))

    for name in (*FLAT, *BY_DESIGN):
        values = [(sample.at, sample.values[name]) for sample in soaked.samples]
        line(name, values, FLAT.get(name), lambda value: f"{value:,.1f}")
    for name, values in soaked.queries.items():
        line(f"{name}, s", values, Flat(1.5, 0.1), lambda value: f"{value:.3f}")
    head = ("first and last third", "median", "most", "median", "most", "flat if at most", "")
    print()
    print(table(rows, head))
    return failed


def show_growth(soaked: Soaked, seconds: float, events: int) -> None:
    """What grows by design in a release that does not compact, and how fast."""
    if not soaked.samples:
        return
    last, first = soaked.samples[-1], soaked.samples[0]
    hours = max(last.at - first.at, 1.0) / 3_600
    files = (last.values["lake, files"] - first.values["lake, files"]) / hours
    lake_bytes = last.values["lake, MiB"] * MIB / max(events, 1)
    per_file = last.values["_delta_log, MiB"] * MIB / max(last.values["lake, files"], 1)
    print()
    print("by design, until there is compaction:")
    print(f"  the lake: {lake_bytes:.1f} bytes an event, {files:,.0f} files an hour")
    print(f"  a checkpoint of _delta_log lists every file: now {per_file:,.0f} bytes of _delta_log for each of them")
    print(f"  with the usual retention of a day _delta_log would level off at about {files * 24:,.0f} versions, and a")
    print(f"  checkpoint for every {CHECKPOINT_EVERY} of them; here it keeps {max(60, int(seconds / 10))} s")


def show_replies(report: dict, peak: int, rate: int, soaked: Soaked) -> list[str]:
    latency = report["due_ms"] or dict.fromkeys(("p50", "p95", "p99", "max"), 0.0)
    queries = sum(map(len, soaked.queries.values()))
    slowest = max((percentile([took for _, took in q], 0.95) for q in soaked.queries.values()), default=0.0)
    rows = [
        ("acknowledged events/s, asked for", f"{report['events_per_second']:,.0f}, {rate:,}"),
        ("replies", ", ".join(f"{number:,} x {status}" for status, number in report["replies"].items())),
        ("reply, p50 / p95 / p99 / max", " / ".join(f"{latency[at]:,.0f}" for at in latency) + " ms"),
        ("queries, failures, p95 of the slowest", f"{queries:,}, {len(soaked.failures)}, {slowest:.2f} s"),
        ("memory, peak", f"{peak / MIB:,.0f} MiB"),
    ]
    print()
    print(table(rows))
    failed = [f"queries or samples failed: {soaked.failures[:3]}"] if soaked.failures else []
    if report["errors"] or set(report["replies"]) - {"204"}:
        failed.append(f"at this rate every request should be taken: {report['replies']}, {report['errors']}")
    if not queries:
        failed.append("no query was answered")
    return failed


def show_count(folder: Path, report: dict) -> list[str]:
    found = exactly_once.read(folder)
    print(f"{report['events_acknowledged']:,} events were acknowledged; in the lake: {found.events:,}, ", end="")
    print(f"with {found.ids:,} different ids")
    return found.problems(report["events_acknowledged"], report["events_unanswered"])


if __name__ == "__main__":
    main()
