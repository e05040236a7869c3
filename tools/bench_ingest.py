#!/usr/bin/env python3
"""How many events a second are acknowledged and durable, by size of batch, and what each costs.

Each line is a fresh server on an empty lake; the generator shares the machine with it. Afterwards every acknowledged
event must be there, once. Beside it, ClickHouse and DuckDB load the same events from a file.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from load_run import fresh_server, lake_size, load, spent, wait_until_visible
from report import machine, table
from running import arguments, run

# Name, flags of the generator.
MODES = {
    "HTTP, batches of 1": ("--batch", "1", "--connections", "128"),
    "HTTP, batches of 10": ("--batch", "10", "--connections", "64"),
    "HTTP, batches of 100": ("--batch", "100", "--connections", "32"),
    "HTTP, batches of 500": ("--batch", "500", "--connections", "16"),
    "gRPC, batches of 100": ("--batch", "100", "--connections", "8", "--grpc", "--stream", "10"),
    "gRPC, batches of 500": ("--batch", "500", "--connections", "8", "--grpc", "--stream", "10"),
    "HTTP, 100, at 30,000/s": ("--batch", "100", "--connections", "64", "--rate", "30000"),
}

GOALS = (
    ("durable events/s, batches of 100", "150,000"),
    ("p95 of the reply at 30,000 events/s", "25 ms"),
    ("peak memory", "512 MiB"),
    ("bytes an event in the lake", "40"),
)


@dataclass
class Line:
    name: str
    report: dict
    generator_cpu: float
    server_cpu: float
    peak_memory: int
    fsyncs: int
    log_bytes: int
    lake_bytes: int
    lake_files: int
    visible_after: float


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--seconds", type=float, default=20, help="for each line (default: 20)")
    parser.add_argument("--only", default="", help="only lines whose name contains this")
    parser.add_argument("--peer-events", type=int, default=1_000_000, help="loaded by the peers; 0: none (default: 1M)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-ingest-") as temporary:
        folder = args.keep or Path(temporary)
        lines = []
        for number, (name, flags) in enumerate(MODES.items()):
            if args.only in name:
                lines.append(measure(name, args, folder / str(number), flags))
                print(f"{name}: {lines[-1].report['events_per_second']:,.0f} events/s", file=sys.stderr)
        peers = compare(args.load, folder, args.peer_events) if args.peer_events else []
    show(lines)
    show_peers(peers, args.peer_events)
    print(table(list(GOALS), ("goals", "")))
    print()
    print(machine())


def measure(name: str, args: argparse.Namespace, folder: Path, flags: tuple[str, ...]) -> Line:
    with fresh_server(args.binary, folder) as server:
        before = spent(server)
        report, generator_cpu = load(args.load, server, "--seconds", str(args.seconds), *flags)
        if report["errors"] or set(report["replies"]) - {"204", "ok"}:
            replies, samples = report["replies"], report["samples"]
            print(f"note: {name}: errors {report['errors']}, replies {replies}: {samples}", file=sys.stderr)
        # Before the first query, which takes memory of its own.
        peak_memory = spent(server).peak_memory
        visible_after = wait_until_visible(server, report["events_acknowledged"], report["events_unanswered"])
        # With the writing of the lake: it costs too, and must not be put off beyond the measurement.
        after = spent(server)
    files, size = lake_size(folder)
    return Line(
        name=name,
        report=report,
        generator_cpu=generator_cpu,
        server_cpu=after.cpu_seconds - before.cpu_seconds,
        peak_memory=peak_memory,
        fsyncs=after.fsyncs - before.fsyncs,
        log_bytes=after.log_bytes - before.log_bytes,
        lake_bytes=size,
        lake_files=files,
        visible_after=visible_after,
    )


def show(lines: list[Line]) -> None:
    speeds, costs = [], []
    for line in lines:
        events = max(line.report["events_acknowledged"], 1)
        millions = events / 1e6
        latency = line.report["due_ms"] or line.report["reply_ms"] or dict.fromkeys(("p50", "p95", "p99", "max"), 0.0)
        speeds.append(
            (
                line.name,
                f"{events:,}",
                f"{line.report['events_per_second']:,.0f}",
                *(f"{latency[key]:.1f}" for key in ("p50", "p95", "p99", "max")),
                f"{line.visible_after:.1f}",
            )
        )
        costs.append(
            (
                line.name,
                f"{line.server_cpu / millions:.2f}",
                f"{line.generator_cpu / millions:.2f}",
                f"{line.fsyncs / max(line.report['seconds'], 0.001):,.0f}",
                f"{events / max(line.fsyncs, 1):,.0f}",
                f"{line.peak_memory / 2**20:,.0f}",
                f"{line.log_bytes / events:.0f}",
                f"{line.lake_bytes / events:.1f}",
                f"{line.lake_files}",
            )
        )
    print()
    print(table(speeds, ("acknowledged", "events", "events/s", "p50 ms", "p95 ms", "p99 ms", "max ms", "visible +s")))
    print()
    print(
        table(
            costs,
            (
                "costs",
                "CPU s/million",
                "generator's",
                "fsyncs/s",
                "events/fsync",
                "peak MiB",
                "log B/event",
                "lake B/event",
                "files",
            ),
        )
    )
    print()


def compare(generator: Path, folder: Path, events: int) -> list[dict]:
    """The peers' results."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"events-{events}.ndjson"
    if not file.exists():
        run([generator, "write", file, "--events", str(events)], folder)
    results = []
    for peer in ("clickhouse", "duckdb"):
        print(f"{peer} loads {events:,} events", file=sys.stderr)
        finished = run([sys.executable, Path(__file__).with_name("peers.py"), peer, file, folder / peer], folder)
        results.append(json.loads(finished.output) | {"peak_memory": finished.peak_memory})
    return results


def show_peers(peers: list[dict], events: int) -> None:
    if not peers:
        return
    rows = [
        (
            peer["name"],
            f"{peer['rows'] / peer['seconds']:,.0f}",
            f"{peer['cpu_seconds'] / (peer['rows'] / 1e6):.2f}",
            f"{peer['peak_memory'] / 2**20:,.0f}",
            f"{peer['bytes'] / peer['rows']:.1f}",
        )
        for peer in peers
    ]
    print(table(rows, (f"{events:,} events from a file", "rows/s", "CPU s/million", "peak MiB", "B/row")))
    print(
        "the peers read one file in one statement: no requests, no fsync for each reply, no enrichment, no ids compared"
    )
    print()


if __name__ == "__main__":
    main()
