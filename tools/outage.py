#!/usr/bin/env python3
"""The lake's S3 is unreachable for minutes, under load: events must go on being taken, as quickly as before.

Memory must stay bounded, for the WAL on the local disk keeps what the lake can't take; queries must answer or fail, and
not hang; and once S3 is back, everything that was acknowledged must be in the lake, exactly once.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
from adbc_driver_manager import Error as AdbcError

from load_run import count, fresh_server, load, status_bytes, wait_until_visible
from report import machine, table
from running import Serving, arguments

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

import lakes
import seaweed
from fault_proxy import FaultProxy, Outage

MEMORY_GOAL = 512 * 2**20

# What memory may still gain in the second half of the outage: the first fills all that there is to fill.
GROWTH_GOAL = 32 * 2**20

# A query has a minute.
ANSWER_SECONDS = 75

# Statistics can't answer it.
READS_FILES = "SELECT count(event_id), count(CASE WHEN length(event_id) > 0 THEN 1 END) FROM events"

# S3's client may be in the middle of a request that hangs, for 30 s, or the writer in a pause of 10 s.
CATCH_UP_SECONDS = 120


@dataclass
class Phase:
    """A stretch of the run, as watched from outside."""

    memory: list[int] = field(default_factory=list)
    log: list[int] = field(default_factory=list)
    # Of the generator.
    report: dict = field(default_factory=dict)


@dataclass
class Reads:
    """Two queries in turn: one over what is known of the table, one that has to read files."""

    answers: int = 0
    errors: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_known: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Watch:
    """Samples the server's memory and WAL into the phase that is on, and asks it queries all the while."""

    def __init__(self, server: Serving):
        self.server, self.phase, self.reads = server, Phase(), Reads()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._sample), threading.Thread(target=self._ask)]

    def __enter__(self) -> "Watch":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def during(self) -> Iterator[Phase]:
        self.phase = Phase()
        yield self.phase

    def _sample(self) -> None:
        while not self._stop.wait(0.25):
            phase = self.phase
            phase.memory.append(status_bytes(self.server, "VmRSS"))
            phase.log.append(log_bytes(self.server))

    def _ask(self) -> None:
        known = 0
        while not self._stop.wait(0.5):
            began = time.monotonic()
            try:
                found = count(self.server)
            except AdbcError as error:
                self.reads.wrong.append(f"a count of what is known failed: {error}")
                continue
            self.reads.slowest_known = max(self.reads.slowest_known, time.monotonic() - began)
            if found < known:
                self.reads.wrong.append(f"{found:,} events are visible, {known:,} were before")
            known, began = found, time.monotonic()
            try:
                rows, ids = self.server.ask(READS_FILES)
                if not known <= rows == ids:
                    self.reads.wrong.append(f"{rows:,} rows, {ids:,} ids, {known:,} before")
                self.reads.answers += 1
            except AdbcError as error:
                self.reads.errors.append(str(error))
            self.reads.slowest = max(self.reads.slowest, time.monotonic() - began)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--seconds", type=float, default=300, help="how long S3 is away (default: 300)")
    parser.add_argument("--around", type=float, default=30, help="seconds of load before and after (default: 30)")
    parser.add_argument("--rate", type=int, default=5_000, help="events a second (default: 5,000)")
    parser.add_argument("--batch", type=int, default=10, help="events per request (default: 10)")
    parser.add_argument(
        "--outage", type=Outage, choices=list(Outage), default=Outage.SILENT,
        help="connections are refused, or taken and never answered (default: silent)",
    )  # fmt: skip
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-outage-") as temporary:
        problems = run(args, args.keep or Path(temporary))
    print(machine())
    if problems:
        raise SystemExit("error: " + "; ".join(problems))


def run(args: argparse.Namespace, folder: Path) -> list[str]:
    store = folder / "seaweedfs"
    store.mkdir(parents=True)
    s3 = seaweed.start(store)
    proxy = FaultProxy(s3.endpoint)
    lake = lakes.s3(s3, "outage").behind(proxy.endpoint)
    try:
        with fresh_server(args.binary, folder / "server", FOOTFALL_DATA=lake.data, **lake.env) as server:
            return outage(args, server, proxy, lake)
    finally:
        proxy.end()
        s3.process.end()


def outage(args: argparse.Namespace, server: Serving, proxy: FaultProxy, lake: lakes.Lake) -> list[str]:
    flags = ["--batch", str(args.batch), "--rate", str(args.rate)]

    def send(phase: Phase, seconds: float) -> None:
        phase.report, _ = load(args.load, server, *flags, "--seconds", str(seconds))

    with Watch(server) as watch:
        with watch.during() as before:
            send(before, args.around)
        proxy.go_dark(args.outage)
        with watch.during() as during:
            send(during, args.seconds)
        with watch.during() as after:
            # The load goes on: catching up must be quicker than what comes in.
            sender = threading.Thread(target=send, args=(after, args.around))
            sender.start()
            proxy.heal()
            taken = before.report["events_acknowledged"] + during.report["events_acknowledged"]
            caught_up = wait_until_visible(server, taken, sys.maxsize)
            sender.join()
            acknowledged, unanswered = (
                sum(phase.report[key] for phase in (before, during, after))
                for key in ("events_acknowledged", "events_unanswered")
            )
            wait_until_visible(server, acknowledged, unanswered)
    rest = trimmed_log(server)
    rows, ids = server.ask("SELECT count(event_id), count(DISTINCT event_id) FROM events")
    theirs = lake.delta_events(["event_id"])["event_id"]
    delta = (len(theirs), pc.count_distinct(theirs).as_py())
    phases = {"before": before, "during": during, "after": after}
    show(args, phases, watch.reads, caught_up, rest)
    print(f"acknowledged {acknowledged:,}, without an answer {unanswered:,}; by SQL {rows:,} rows and {ids:,} ids, ")
    print(f"by python deltalake {delta[0]:,} rows and {delta[1]:,} ids")
    problems = problems_of(phases, watch.reads, caught_up)
    if not (acknowledged <= rows <= acknowledged + unanswered and rows == ids and delta == (rows, ids)):
        problems.append("what is in the lake is not what was acknowledged")
    return problems


def log_bytes(server: Serving) -> int:
    """Of the write-ahead log on the disk."""
    total = 0
    for file in (server.folder / "state" / "wal").iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            # Trimmed just now.
            continue
    return total


def trimmed_log(server: Serving, seconds: float = 30) -> int:
    """The WAL's size when it shrinks no more: it is trimmed after a commit."""
    deadline, least = time.monotonic() + seconds, log_bytes(server)
    calm = time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - calm < 5:
        time.sleep(0.5)
        if (now := log_bytes(server)) < least:
            least, calm = now, time.monotonic()
    return least


def show(args: argparse.Namespace, phases: dict[str, Phase], reads: Reads, caught_up: float, rest: int) -> None:
    print(f"S3 {args.outage} for {args.seconds:.0f} s at {args.rate:,} events/s, {args.batch} a request")

    def mib(value: int) -> str:
        return f"{value / 2**20:,.0f} MiB"

    def each(what: str, of: dict[str, str]) -> tuple[str, ...]:
        return (what, *(of[name] for name in phases))

    rows = [
        each("memory, most", {name: mib(max(phase.memory)) for name, phase in phases.items()}),
        each("memory, at the end", {name: mib(phase.memory[-1]) for name, phase in phases.items()}),
        each("log on the disk, most", {name: mib(max(phase.log)) for name, phase in phases.items()}),
        each("acknowledged", {name: f"{phase.report['events_acknowledged']:,}" for name, phase in phases.items()}),
    ]
    for quantile in ("p50", "p95", "p99", "max"):
        of = {name: f"{phase.report['reply_ms'][quantile]:,.1f} ms" for name, phase in phases.items()}
        rows.append(each(f"reply, {quantile}", of))
    print(table(rows, head=("", *phases)))
    facts = [
        ("log on the disk, at the end", mib(rest)),
        ("caught up after", f"{caught_up:.1f} s"),
        ("counts of what is known, slowest", f"{reads.slowest_known:.2f} s"),
        ("queries over files: answers, errors", f"{reads.answers:,}, {len(reads.errors):,}"),
        ("queries over files, slowest", f"{reads.slowest:.1f} s"),
    ]
    print(table(facts))
    if reads.errors:
        print(f"such as: {reads.errors[0][:400]}")


def problems_of(phases: dict[str, Phase], reads: Reads, caught_up: float) -> list[str]:
    problems = list(reads.wrong[:3])
    if not reads.answers:
        problems.append("no query over files was answered")
    for name, phase in phases.items():
        if (replies := set(phase.report["replies"])) != {"204"} or phase.report["errors"]:
            problems.append(f"{name} the outage not all was accepted: {replies}, {phase.report['errors']}")
        if max(phase.memory) > MEMORY_GOAL:
            problems.append(f"{max(phase.memory) / 2**20:,.0f} MiB of memory {name} the outage")
    memory = phases["during"].memory
    half = len(memory) // 2
    if (growth := max(memory[half:]) - max(memory[:half])) > GROWTH_GOAL:
        problems.append(f"memory still grew by {growth / 2**20:,.0f} MiB in the second half of the outage")
    if max(reads.slowest, reads.slowest_known) > ANSWER_SECONDS:
        problems.append(f"a query took {max(reads.slowest, reads.slowest_known):.0f} s to answer or to fail")
    if caught_up > CATCH_UP_SECONDS:
        problems.append(f"catching up took {caught_up:.0f} s")
    before, during = (phases[name].report["reply_ms"]["p95"] for name in ("before", "during"))
    if during > 25 and during > 2 * before:
        problems.append(f"p95 of the replies: {before:.1f} ms before, {during:.1f} ms during the outage")
    return problems


if __name__ == "__main__":
    main()
