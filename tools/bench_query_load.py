#!/usr/bin/env python3
"""64 clients ask what dashboards ask, over Flight SQL, while 10,000 events/s flow in: queries/s, times, memory, errors.

Each client has a reader's token of one site, and asks the tiles of its page one after another, for the last month or a
part of it. Every eighth looks at the site whose events flow in. The server collects, merges and answers, all at once.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

import query_lake
from dashboards import TILES
from flight_client import FlightClient
from load_run import SETTINGS, flow, lake_arguments, spent, status_bytes
from questions import DAYS
from report import machine, table
from running import Serving, percentile

MIB = 2**20

# One in so many clients looks at the site whose events flow in.
LIVE_EVERY = 8

# What a client does that is told that all slots are full.
RETRY_SECONDS = 0.1


@dataclass
class Seen:
    """By all clients."""

    # By tile: seconds.
    seconds: dict[str, list[float]] = field(default_factory=lambda: {tile: [] for tile in TILES})
    # What a server that is full says, by design.
    full: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Client:
    number: int
    site: str
    token: str


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory(prefix="footfall-query-load-") as temporary:
        folder = args.keep or Path(temporary)
        query_lake.prepare(args.binary, folder, args.rows, args.sites)
        clients = [client(args, folder, number) for number in range(args.clients)]
        seen = Seen()
        with Serving(args.binary, folder, **SETTINGS) as server:
            report, seconds = run_clients(args, server, clients, seen)
            peak = spent(server).peak_memory
    failed = show(args, seen, seconds, report, peak)
    print(machine())
    if failed:
        raise SystemExit("error: " + "; ".join(failed))


def parse() -> argparse.Namespace:
    return lake_arguments(__doc__, clients=64, seconds=120, rate=10_000).parse_args()


def client(args: argparse.Namespace, folder: Path, number: int) -> Client:
    """Large sites have more people who look at them."""
    live = number % LIVE_EVERY == LIVE_EVERY - 1
    rank = int(args.sites * (number / args.clients) ** 2)
    site = query_lake.LIVE if live else query_lake.site_names(args.sites)[rank]
    return Client(number, site, query_lake.reader_token(args.binary, folder, site))


def run_clients(
    args: argparse.Namespace, server: Serving, clients: list[Client], seen: Seen
) -> tuple[dict | None, float]:
    """The generator's report, and for how many seconds the clients asked."""
    threads = [threading.Thread(target=ask_tiles, args=(server, each, seen)) for each in clients]
    threads.append(threading.Thread(target=watch_memory, args=(server, seen)))
    began = time.monotonic()
    for thread in threads:
        thread.start()
    report = None
    try:
        if args.rate:
            report = flow(args, server, args.rate)
        else:
            time.sleep(args.seconds)
    finally:
        seen.stop.set()
        for thread in threads:
            thread.join()
    return report, time.monotonic() - began


def ask_tiles(server: Serving, client: Client, seen: Seen) -> None:
    choose = random.Random(client.number)
    end = query_lake.Days.until_today().end
    with FlightClient(server.flight, client.token) as connection:
        while not seen.stop.is_set():
            length = choose.choice((1, 7, 7, DAYS, DAYS))
            range_of = query_lake.Days(end).last(length)
            for tile in choose.sample(list(TILES), len(TILES)):
                if seen.stop.is_set():
                    return
                ask_once(connection, tile, TILES[tile].format(site=client.site, **range_of), seen)


def ask_once(connection: FlightClient, tile: str, sql: str, seen: Seen) -> None:
    began = time.perf_counter()
    try:
        connection.ask(sql)
    except (pa.ArrowException, OSError) as error:
        text = str(error).partition(". Detail")[0][:200]
        if is_full(str(error)):
            seen.full[text] += 1
            seen.stop.wait(RETRY_SECONDS)
        else:
            seen.errors[text] += 1
    else:
        seen.seconds[tile].append(time.perf_counter() - began)


def is_full(text: str) -> bool:
    """What a statement gets that found no slot in time, or too many that wait."""
    return "try again later" in text


def watch_memory(server: Serving, seen: Seen) -> None:
    while not seen.stop.wait(1):
        seen.memory.append(status_bytes(server, "VmRSS"))


def show(args: argparse.Namespace, seen: Seen, seconds: float, report: dict | None, peak: int) -> list[str]:
    """Prints what was seen and says what must not be."""
    rows = [line(tile, took, seconds) for tile, took in seen.seconds.items() if took]
    everything = [second for took in seen.seconds.values() for second in took]
    if everything:
        rows.append(line("all", everything, seconds))
    head = (f"{args.clients} clients, {seconds:.0f} s", "answers", "queries/s", "p50 ms", "p95 ms", "p99 ms", "max ms")
    print(table(rows, head))
    print()
    facts = [
        ("memory: median and peak", f"{statistics.median(seen.memory) / MIB:,.0f}, {peak / MIB:,.0f} MiB"),
        ("answers that slots are full", f"{sum(seen.full.values()):,}"),
        ("other errors", f"{sum(seen.errors.values()):,}"),
    ]
    if report:
        facts.append(("events/s, acknowledged", f"{report['events_per_second']:,.0f}"))
        facts.append(("replies", ", ".join(f"{number:,} x {status}" for status, number in report["replies"].items())))
        facts.append(("reply, p50 / p99", f"{report['due_ms']['p50']:.0f} / {report['due_ms']['p99']:.0f} ms"))
    print(table(facts))
    for text, number in (*seen.full.most_common(3), *seen.errors.most_common(5)):
        print(f"  {number:,} x {text}")
    failed = [f"{number} x {text}" for text, number in seen.errors.items()]
    failed += [] if everything else ["nothing was answered"]
    if report and (report["errors"] or set(report["replies"]) - {"204"}):
        failed.append(f"events were refused: {report['replies']}, {report['errors']}")
    return failed


def line(name: str, took: list[float], seconds: float) -> tuple[str, ...]:
    times = (percentile(took, share) for share in (0.5, 0.95, 0.99, 1))
    return name, f"{len(took):,}", f"{len(took) / seconds:,.1f}", *(f"{each * 1e3:,.1f}" for each in times)


if __name__ == "__main__":
    main()
