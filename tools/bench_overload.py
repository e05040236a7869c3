#!/usr/bin/env python3
"""Twice the rate that the server can take, from 2,000 connections, among clients that are slow or fall silent.

Replies must be 204, 429 or 503, those that are accepted must not take ever longer, memory must stay bounded, the
server must go on answering, and what was acknowledged must be there.
"""

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from load_run import fresh_server, load, spent, status_bytes, wait_until_visible
from report import machine, table
from running import Serving, arguments, percentile

ALLOWED = {"204", "429", "503"}
MEMORY_GOAL = 512 * 2**20


@dataclass
class Watched:
    """Second by second."""

    stop: threading.Event = field(default_factory=threading.Event)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)
    health_failures: int = 0


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--seconds", type=float, default=300, help="how long (default: 300)")
    parser.add_argument("--connections", type=int, default=2_000, help="that send (default: 2,000)")
    parser.add_argument("--slow", type=int, default=200, help="that send a byte a second (default: 200)")
    parser.add_argument("--half-open", type=int, default=200, help="that fall silent (default: 200)")
    parser.add_argument("--batch", type=int, default=100, help="events a request (default: 100)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-overload-") as temporary:
        folder = args.keep or Path(temporary)
        capacity = measure_capacity(args, folder / "capacity")
        problems = overload(args, folder / "overload", capacity)
    print(machine())
    if problems:
        raise SystemExit("error: " + "; ".join(problems))


def measure_capacity(args: argparse.Namespace, folder: Path) -> float:
    """Events a second."""
    with fresh_server(args.binary, folder) as server:
        report, _ = load(args.load, server, "--batch", str(args.batch), "--connections", "64", "--seconds", "10")
    return report["events_per_second"]


def overload(args: argparse.Namespace, folder: Path, capacity: float) -> list[str]:
    rate = int(2 * capacity)
    print(f"{capacity:,.0f} events/s can be taken; {rate:,} events/s are sent for {args.seconds:.0f} s")
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
        peak = spent(server).peak_memory
        visible_after = wait_until_visible(server, report["events_acknowledged"], report["events_unanswered"])
    show(report, watched, peak, visible_after)
    return problems_of(report, watched, peak)


def watch(server: Serving, watched: Watched) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=10)
    while not watched.stop.wait(1.0):
        watched.memory.append(status_bytes(server, "VmRSS"))
        watched.files.append(sum(1 for _ in Path(f"/proc/{server.pid}/fd").iterdir()))
        began = time.monotonic()
        try:
            healthy = pool.request("GET", f"{server.http}/health").status == 200
        except urllib3.exceptions.HTTPError:
            healthy = False
        watched.health_seconds.append(time.monotonic() - began)
        watched.health_failures += not healthy


def show(report: dict, watched: Watched, peak: int, visible_after: float) -> None:
    rows = [
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
        half = len(watched.memory) // 2
        rows += [
            ("memory, most in the first half", f"{max(watched.memory[: half or 1]) / 2**20:,.0f} MiB"),
            ("memory, most in the second half", f"{max(watched.memory[half:]) / 2**20:,.0f} MiB"),
            ("file descriptors, most", f"{max(watched.files):,}"),
            ("/health, p50 and slowest", f"{_quantiles(watched.health_seconds)} s"),
            ("/health, failures", f"{watched.health_failures}"),
        ]
    rows += [("memory, peak", f"{peak / 2**20:,.0f} MiB"), ("all visible after", f"{visible_after:.1f} s")]
    print(table(rows))


def _quantiles(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.3f}, {max(values):.3f}"


def problems_of(report: dict, watched: Watched, peak: int) -> list[str]:
    problems = []
    if others := {status: report["samples"].get(status) for status in report["replies"] if status not in ALLOWED}:
        problems.append(f"replies other than {sorted(ALLOWED)}: {others}")
    if report["errors"]:
        problems.append(f"requests without a reply: {report['errors']}")
    if peak > MEMORY_GOAL:
        problems.append(f"peak memory of {peak / 2**20:,.0f} MiB, the goal is {MEMORY_GOAL / 2**20:,.0f} MiB")
    if watched.health_failures:
        problems.append(f"/health failed {watched.health_failures} times")
    if not report["events_acknowledged"]:
        problems.append("no event was accepted")
    return problems


if __name__ == "__main__":
    main()
