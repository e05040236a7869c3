#!/usr/bin/env python3
"""Twice the rate that the server can take, from 2,000 connections, among clients that are slow or fall silent.

Replies must be 204, 429 or 503; those that are accepted must not take ever longer; who is slow or silent must be ended
in bounded time; memory, file descriptors and the WAL must stay within their bounds; the server must go on answering;
and what was acknowledged must be there, once. Ends with 1 if one of these does not hold.
"""

import argparse
import statistics
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

import exactly_once
from load_run import fresh_server, load, spent, status_bytes, wait_until_visible
from report import machine, table
from running import Serving, arguments, percentile, run

ALLOWED = {"204", "429", "503"}
MIB = 2**20
MEMORY_GOAL = 512 * MIB

# A body may take 10 s, and so may a request's head; the rest is for a busy machine.
SLOW_ENDED_SECONDS = 15.0

# p99 of the last minute, at most so many times that of the first. The difference of quiet runs is below 1.3.
P99_GROWTH = 2.0

# What the server has open beside connections: files of the WAL, the lake and the catalog, listeners, epoll.
OTHER_DESCRIPTORS = 128


@dataclass
class Watched:
    """Second by second."""

    stop: threading.Event = field(default_factory=threading.Event)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    log: list[int] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)
    health_failures: int = 0


@dataclass
class Check:
    """A condition that must hold, with the measured and the allowed value."""

    name: str
    found: str
    allowed: str
    holds: bool

    def row(self) -> tuple[str, str, str, str]:
        return self.name, self.found, self.allowed, "yes" if self.holds else "NO"


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--seconds", type=float, default=300, help="how long (default: 300)")
    parser.add_argument("--rate", type=int, help="events/s that are sent (default: twice what can be taken, measured)")
    parser.add_argument("--connections", type=int, default=2_000, help="connections that send (default: 2,000)")
    parser.add_argument("--slow", type=int, default=200, help="connections that send a byte a second (default: 200)")
    parser.add_argument("--half-open", type=int, default=200, help="connections that fall silent (default: 200)")
    parser.add_argument("--batch", type=int, default=100, help="events per request (default: 100)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-overload-") as temporary:
        folder = args.keep or Path(temporary)
        rate = args.rate or int(2 * measure_capacity(args, folder / "capacity"))
        checks = overload(args, folder / "overload", rate)
    print(table([check.row() for check in checks], ("must hold", "found", "allowed", "holds")))
    print(machine())
    if failed := [check.name for check in checks if not check.holds]:
        raise SystemExit("error: it does not hold: " + "; ".join(failed))


def measure_capacity(args: argparse.Namespace, folder: Path) -> float:
    """Events a second that are acknowledged."""
    with fresh_server(args.binary, folder) as server:
        report, _ = load(args.load, server, "--batch", str(args.batch), "--connections", "64", "--seconds", "10")
    print(f"{report['events_per_second']:,.0f} events/s are taken from 64 connections that wait for their replies")
    return report["events_per_second"]


def overload(args: argparse.Namespace, folder: Path, rate: int) -> list[Check]:
    print(f"{rate:,} events/s are sent for {args.seconds:.0f} s, on {args.connections:,} connections")
    flags = ["--batch", args.batch, "--rate", rate, "--connections", args.connections, "--seconds", args.seconds]
    flags += ["--slow", args.slow, "--half-open", args.half_open]
    with fresh_server(args.binary, folder) as server:
        watched = Watched()
        watcher = threading.Thread(target=watch, args=(server, watched))
        watcher.start()
        try:
            report, _ = load(args.load, server, *map(str, flags))
        finally:
            watched.stop.set()
            watcher.join()
        # Before the first query, which takes memory of its own.
        peak = spent(server).peak_memory
        visible_after = wait_until_visible(server, report["events_acknowledged"], report["events_unanswered"])
        config = tomllib.loads(run([args.binary, "config"], folder).output)
    show(report, watched, peak, visible_after)
    found = exactly_once.read(folder)
    return [
        *checks_of_replies(report),
        *checks_of_bounds(args, watched, peak, size(config["wal"]["max_bytes"])),
        once(found, report),
    ]


def watch(server: Serving, watched: Watched) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=10)
    while not watched.stop.wait(1.0):
        watched.memory.append(status_bytes(server, "VmRSS"))
        watched.files.append(sum(1 for _ in Path(f"/proc/{server.pid}/fd").iterdir()))
        watched.log.append(folder_bytes(server.folder / "state" / "wal"))
        began = time.monotonic()
        try:
            healthy = pool.request("GET", f"{server.http}/health").status == 200
        except urllib3.exceptions.HTTPError:
            healthy = False
        watched.health_seconds.append(time.monotonic() - began)
        watched.health_failures += not healthy


def folder_bytes(folder: Path) -> int:
    """Of its files; one that is removed meanwhile does not count."""
    total = 0
    for file in folder.iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total


def size(text: str) -> int:
    """Bytes of a size as `footfall config` prints it."""
    digits = text.rstrip("KMGTiB")
    return int(digits) * {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}[text[len(digits) :]]


def show(report: dict, watched: Watched, peak: int, visible_after: float) -> None:
    rows = [
        ("acknowledged events", f"{report['events_acknowledged']:,}"),
        ("acknowledged events/s", f"{report['events_per_second']:,.0f}"),
        *((f"replies {status}", f"{number:,}") for status, number in sorted(report["replies"].items())),
        *((f"errors: {kind}", f"{number:,}") for kind, number in sorted(report["errors"].items())),
        ("requests that no connection was free for", f"{report['requests_not_sent']:,}"),
    ]
    for name, key in (("accepted", "reply_ms"), ("refused", "refusal_ms")):
        if latency := report[key]:
            rows += [(f"{name}, {at}", f"{latency[at]:,.0f} ms") for at in ("p50", "p95", "p99", "max")]
    for name, key in (("slow senders", "slow"), ("half-open", "half_open")):
        if kept := report[key]:
            ended = kept["closed"] + sum(kept["replies"].values())
            rows.append((f"{name}: opened, ended by the server", f"{kept['opened']:,}, {ended:,}"))
            rows.append((f"{name}: replies, longest", f"{kept['replies']}, {kept['longest_seconds']:.0f} s"))
    if watched.memory:
        rows += [
            ("/health, p50 and slowest", f"{_quantiles(watched.health_seconds)} s"),
            ("memory when the load ended", f"{watched.memory[-1] / MIB:,.0f} MiB"),
            ("log when the load ended", f"{watched.log[-1] / MIB:,.0f} MiB"),
        ]
    rows += [("memory, peak", f"{peak / MIB:,.0f} MiB"), ("all visible after", f"{visible_after:.1f} s")]
    print(table(rows))
    print()
    parts = [
        (f"{part['from']} s", f"{part['accepted']:,}", *(f"{part['reply_ms'][at]:,.0f}" for at in ("p50", "p99", "max")))
        for part in report["windows"]
        if part["reply_ms"]
    ]
    print(table(parts, ("from", "accepted requests", "p50 ms", "p99 ms", "max ms")))
    print()


def _quantiles(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.3f}, {max(values):.3f}"


def checks_of_replies(report: dict) -> list[Check]:
    others = {status: report["samples"].get(status) for status in report["replies"] if status not in ALLOWED}
    first, last = p99_of_minutes(report["windows"])
    checks = [
        Check("replies", ", ".join(sorted(report["replies"])), ", ".join(sorted(ALLOWED)), not others),
        Check("requests without a reply", f"{report['errors'] or 'none'}", "none", not report["errors"]),
        Check("events accepted", f"{report['events_acknowledged']:,}", "some", report["events_acknowledged"] > 0),
        Check(
            "p99 of the accepted, first and last minute",
            f"{first:,.0f} and {last:,.0f} ms",
            f"at most {P99_GROWTH:g} times",
            last <= P99_GROWTH * first,
        ),
    ]
    for name, key in (("slow senders", "slow"), ("half-open", "half_open")):
        if kept := report[key]:
            longest = kept["longest_seconds"]
            bounded = longest <= SLOW_ENDED_SECONDS and not kept["errors"]
            found = f"{longest:.1f} s" + (f", {kept['errors']}" if kept["errors"] else "")
            checks.append(Check(f"{name} are ended", found, f"within {SLOW_ENDED_SECONDS:g} s", bounded))
    return checks


def p99_of_minutes(windows: list[dict]) -> tuple[float, float]:
    """Milliseconds: the median of the windows' p99 over the run's first and last minute, or thirds if it is short."""
    times = [window["reply_ms"]["p99"] for window in windows if window["reply_ms"]]
    if not times:
        return 0.0, 0.0
    part = max(1, min(6, len(times) // 3))
    return statistics.median(times[:part]), statistics.median(times[-part:])


def checks_of_bounds(args: argparse.Namespace, watched: Watched, peak: int, log_limit: int) -> list[Check]:
    descriptors = args.connections + args.slow + args.half_open + OTHER_DESCRIPTORS
    most_files, most_log = max(watched.files, default=0), max(watched.log, default=0)
    return [
        Check("memory, peak", f"{peak / MIB:,.0f} MiB", f"{MEMORY_GOAL / MIB:,.0f} MiB", peak <= MEMORY_GOAL),
        Check("file descriptors, most", f"{most_files:,}", f"{descriptors:,}", most_files <= descriptors),
        Check("log, largest", f"{most_log / MIB:,.0f} MiB", f"{log_limit / MIB:,.0f} MiB", most_log <= log_limit),
        Check("/health, failures", f"{watched.health_failures}", "0", watched.health_failures == 0),
    ]


def once(found: exactly_once.Found, report: dict) -> Check:
    acknowledged, unanswered = report["events_acknowledged"], report["events_unanswered"]
    problems = found.problems(acknowledged, unanswered)
    allowed = f"{acknowledged:,}" + (f" to {acknowledged + unanswered:,}" if unanswered else "")
    return Check("events in the lake, each once", "; ".join(problems) or f"{found.events:,}", allowed, not problems)


if __name__ == "__main__":
    main()
