#!/usr/bin/env python3
"""The gateway under a dashboard's load: requests/s and times, realtime beside ingestion, and listeners of one stream.

1. Clients load the reports of dashboards. Nine in ten have been asked before, the tenth has a range that nobody asked for.
2. 20,000 events/s flow in, and one client asks `GET /api/v1/realtime` of their site, five times a second. Then both at once.
3. 1,000 listeners on `GET /api/v1/realtime/stream` of one site: how many statements does each period cost?
"""

import argparse
import asyncio
import http.client
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import query_lake
from dashboards import reports
from load_run import SETTINGS, flow, lake_arguments, spent
from questions import DAYS
from query_peers import rows_of
from report import machine, table
from running import Serving, percentile

MIB = 2**20
REPEATED_SHARE = 0.9

# Pages that many look at: the requests that are repeated are theirs.
POPULAR_SITES = 5

# Milliseconds.
GOALS = {"new": 50, "repeated": 20, "realtime": 50}

# One query is three statements: pages, sessions, last events.
STATEMENTS_PER_QUERY = 3
OF_REALTIME = """sql LIKE '%AS overall%' OR sql LIKE '%AS missing%' OR sql LIKE '%AS "timestamp"%LIMIT 10'"""


@dataclass
class Seen:
    # By kind of request: seconds.
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"repeated": [], "new": [], "realtime": []})
    errors: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory(prefix="footfall-gateway-") as temporary:
        folder = args.keep or Path(temporary)
        query_lake.prepare(args.binary, folder, args.rows, args.sites)
        tokens = {site: query_lake.reader_token(args.binary, folder, site) for site in sites_of(args)}
        # Its clients share a token for each site, and ask more than a dashboard may.
        unlimited = SETTINGS | {"FOOTFALL_GATEWAY__REQUESTS_PER_SECOND": "0"}
        with Serving(args.binary, folder, **unlimited) as server:
            warm(server, tokens, args)
            parts = [run_part(part, args, server, tokens) for part in parts_of(args)]
            listened = asyncio.run(listen(args, server, tokens[query_lake.LIVE]))
            peak = spent(server).peak_memory
    failed = show(args, parts, listened, peak)
    print(machine())
    if failed:
        raise SystemExit("error: " + "; ".join(failed))


def parse() -> argparse.Namespace:
    parser = lake_arguments(__doc__, clients=4, seconds=60, rate=20_000)
    parser.add_argument("--listeners", type=int, default=1_000, help="of one stream (default: 1,000)")
    return parser.parse_args()


def sites_of(args: argparse.Namespace) -> list[str]:
    return [*query_lake.site_names(args.sites)[:POPULAR_SITES], query_lake.LIVE]


class HttpClient:
    """One connection that stays open."""

    def __init__(self, server: Serving):
        self._connection = http.client.HTTPConnection(urlsplit(server.http).netloc, timeout=60)

    def request(self, method: str, path: str, token: str, body: dict | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection.request(method, path, json.dumps(body) if body else None, headers)
        reply = self._connection.getresponse()
        return reply.status, reply.read()


def popular(sites: list[str]) -> list[tuple[str, dict]]:
    """Site and body of what is asked again and again."""
    days = query_lake.Days.until_today()
    ranges = [range_of(days, length) for length in (7, DAYS)]
    return [(site, body) for site in sites for first, last in ranges for body in reports(site, first, last)]


def range_of(days: query_lake.Days, length: int) -> tuple[str, str]:
    """The first and the last of so many days."""
    dates = days.dates()
    return dates[-length], dates[-1]


def warm(server: Serving, tokens: dict[str, str], args: argparse.Namespace) -> None:
    client = HttpClient(server)
    for site, body in popular(sites_of(args)[:POPULAR_SITES]):
        status, reply = client.request("POST", "/api/v1/query", tokens[site], body)
        if status != 200:
            raise SystemExit(f"error: {body} gives {status}: {reply.decode()}")


@dataclass
class Part:
    name: str
    clients: int
    # Events/s that flow in.
    rate: int
    seen: Seen = field(default_factory=Seen)
    # The load generator's.
    report: dict | None = None


def parts_of(args: argparse.Namespace) -> list[Part]:
    parts = [Part("", args.clients, 0)]
    if args.rate:
        busy = f", {args.rate:,} events/s"
        parts += [Part(busy, 0, args.rate), Part(f"{busy} and reports", args.clients, args.rate)]
    return parts


def run_part(part: Part, args: argparse.Namespace, server: Serving, tokens: dict[str, str]) -> Part:
    seen = part.seen
    threads = [
        threading.Thread(target=ask_reports, args=(args, server, tokens, seen, number)) for number in range(part.clients)
    ]
    if part.rate:
        threads.append(threading.Thread(target=ask_realtime, args=(server, tokens[query_lake.LIVE], seen)))
    for thread in threads:
        thread.start()
    try:
        if part.rate:
            part.report = flow(args, server, part.rate)
        else:
            time.sleep(args.seconds)
    finally:
        seen.stop.set()
        for thread in threads:
            thread.join()
    return part


def ask_reports(
    args: argparse.Namespace, server: Serving, tokens: dict[str, str], seen: Seen, number: int
) -> None:
    sites = sites_of(args)[:POPULAR_SITES]
    known, choose = popular(sites), random.Random(number)
    fresh = unseen(sites, random.Random(f"{number} {len(seen.seconds['new'])} {time.time_ns()}"))
    client = HttpClient(server)
    while not seen.stop.is_set():
        repeated = choose.random() < REPEATED_SHARE
        site, body = choose.choice(known) if repeated else next(fresh)
        ask_once(client, "repeated" if repeated else "new", seen, "POST", "/api/v1/query", tokens[site], body)


def unseen(sites: list[str], choose: random.Random) -> Iterator[tuple[str, dict]]:
    """A report of a range of days and with a filter that hardly anybody else has."""
    dates = query_lake.Days.until_today().dates()
    while True:
        site = choose.choice(sites)
        first, last = sorted(choose.sample(range(DAYS), 2))
        body = choose.choice(list(reports(site, dates[first], dates[last])))
        others = choose.sample(["US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "NL", "SE", "PL", "IT"], 3)
        yield site, body | {"filters": {"country": {"not_in": others}}}


def ask_realtime(server: Serving, token: str, seen: Seen) -> None:
    client = HttpClient(server)
    path = f"/api/v1/realtime?tracking_id={query_lake.LIVE}"
    while not seen.stop.wait(0.2):
        ask_once(client, "realtime", seen, "GET", path, token)


def ask_once(
    client: HttpClient, kind: str, seen: Seen, method: str, path: str, token: str, body: dict | None = None
) -> None:
    began = time.perf_counter()
    status, reply = client.request(method, path, token, body)
    if status == 200:
        seen.seconds[kind].append(time.perf_counter() - began)
    else:
        seen.errors[f"{kind}: {status} {reply.decode()[:200]}"] += 1


@dataclass
class Listened:
    # Of each listener: how many events it got.
    events: list[int]
    failures: Counter[str]
    seconds: float
    statements: int


async def listen(args: argparse.Namespace, server: Serving, token: str) -> Listened:
    """Opens the listeners, and counts for some time when all are there."""
    failures, opened = Counter(), []
    for _ in range(args.listeners):
        try:
            opened.append(await open_stream(server, token))
        except (OSError, EOFError, ValueError) as error:
            failures[str(error)] += 1
    before = realtime_statements(server)
    began = time.monotonic()
    deadline = asyncio.get_running_loop().time() + min(args.seconds, 30)
    events = await asyncio.gather(*(count_events(reader, deadline) for reader, _ in opened))
    seconds = time.monotonic() - began
    statements = realtime_statements(server) - before
    for _, writer in opened:
        writer.close()
    return Listened(list(events), failures, seconds, statements)


async def open_stream(server: Serving, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(server.http)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    path = f"/api/v1/realtime/stream?tracking_id={query_lake.LIVE}"
    request = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ValueError(head.partition(b"\r\n")[0].decode())
    return reader, writer


async def count_events(reader: asyncio.StreamReader, deadline: float) -> int:
    found = 0
    try:
        async with asyncio.timeout_at(deadline):
            while text := await reader.readline():
                found += text.startswith(b"event: realtime") or text.startswith(b"event:realtime")
    except TimeoutError:
        pass
    return found


def realtime_statements(server: Serving) -> int:
    """That the server has run so far and still remembers: the last 1,000 of all."""
    sql = f"SELECT count(*) FROM system.queries WHERE {OF_REALTIME}"
    with query_lake.admin(server) as client:
        ((found,),) = rows_of(client.ask(sql))
    return found


def show(args: argparse.Namespace, parts: list[Part], listened: Listened, peak: int) -> list[str]:
    """Prints what was seen and says what failed."""
    rows, goals, errors = [], [], listened.failures
    for part in parts:
        errors = errors + part.seen.errors
        for kind, took in part.seen.seconds.items():
            if took:
                rows.append(times_of(f"{kind}{part.name}", took, args.seconds))
                p95 = percentile(took, 0.95) * 1e3
                goals.append((f"{kind}{part.name}: p95", f"{p95:.1f} ms", f"{GOALS[kind]} ms", _met(p95 < GOALS[kind])))
    print(table(rows, (f"{args.clients} clients", "replies", "requests/s", "p50 ms", "p95 ms", "p99 ms", "max ms")))
    print()
    print(table([*goals, goal_of_listeners(listened)], ("goal", "found", "asked for", "met")))
    print()
    fewest, most = min(listened.events, default=0), max(listened.events, default=0)
    print(f"listeners got {fewest} to {most} events each; memory, peak: {peak / MIB:,.0f} MiB")
    for part in parts:
        if part.report:
            print(f"{part.report['events_per_second']:,.0f} events/s were acknowledged: {part.report['replies']}")
    for text, number in errors.most_common(5):
        print(f"  {number:,} x {text}")
    return [f"{number} x {text}" for text, number in errors.items()]


def times_of(name: str, took: list[float], seconds: float) -> tuple[str, ...]:
    times = (percentile(took, share) * 1e3 for share in (0.5, 0.95, 0.99, 1))
    return name, f"{len(took):,}", f"{len(took) / seconds:,.1f}", *(f"{each:,.1f}" for each in times)


def goal_of_listeners(listened: Listened) -> tuple[str, str, str, str]:
    periods = max(listened.events, default=0)
    queries = listened.statements / STATEMENTS_PER_QUERY
    found = f"{queries:.1f} queries for {periods} events in {listened.seconds:.0f} s"
    name = f"{len(listened.events):,} listeners: one query a period"
    return name, found, "1 each", _met(0 < queries <= periods + 1)


def _met(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()
