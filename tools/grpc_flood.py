#!/usr/bin/env python3
"""Half-sent gRPC messages by the thousands: with no token, with a wrong one, with a right one.

On each of many connections a client begins messages of the largest size, sends all but the last byte, and begins the
next one when it is refused. Memory must stay within what is configured, and the server must go on answering: /health,
a query, and an event of another client. Ends with 1 if one of these does not hold.
"""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from report import machine, table
from running import Serving, arguments, percentile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from h2_flood import Flood

MIB = 2**20
PUBLISH = "/footfall.v1.IngestService/Publish"
FLIGHT = "/arrow.flight.protocol.FlightService"

# `ingest.in_flight_bytes`, and `flight.receive_bytes` as far as the connections' windows reach: 1 MiB each.
MESSAGES_BYTES = 16 * MIB
WINDOW_BYTES = 1 * MIB
# Streams, headers, buffers of the HTTP/2 library: for each stream that may be open, and for each connection.
STREAM_BYTES = 16 * 1024
CONNECTION_BYTES = 64 * 1024
STREAMS = 100
# What answering anything takes, such as the queries beside it.
OTHER_BYTES = 64 * MIB


@dataclass
class Beside:
    """Memory, second by second, and what others get."""

    memory: list[int] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)
    query_seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--connections", type=int, default=64, help="connections that send (default: 64)")
    parser.add_argument("--messages", type=int, default=2_000, help="messages that each begins (default: 2,000)")
    parser.add_argument("--seconds", type=float, default=30, help="at most, for each attack (default: 30)")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="footfall-flood-") as temporary:
        folder = args.keep or Path(temporary)
        for name, path, megabytes, token in [
            ("Flight, no token", f"{FLIGHT}/GetFlightInfo", 4, None),
            ("Flight, wrong token", f"{FLIGHT}/DoPut", 4, "wrong"),
            ("Flight, right token", f"{FLIGHT}/GetFlightInfo", 4, "reader"),
            ("Flight DoPut, right token", f"{FLIGHT}/DoPut", 4, "reader"),
            ("events, no token", PUBLISH, 1, None),
            ("events, right token", PUBLISH, 1, "writer"),
        ]:
            rows.append(attack(args, folder / name.replace(" ", "-").replace(",", ""), name, path, megabytes, token))
    head = ("attack", "messages", "sent, MiB", "memory before", "largest, MiB", "allowed", "health p99, ms", "query max, s")
    print(table([(*row[:-1], "" if row[-1] else "NO") for row in rows], (*head, "holds")))
    print(machine())
    sys.exit(0 if all(row[-1] for row in rows) else 1)


def attack(args, folder: Path, name: str, path: str, megabytes: int, token: str | None) -> tuple:
    folder.mkdir(parents=True)
    with Serving(args.binary, folder) as server:
        address = urlsplit(server.flight)
        flood = Flood(
            address=(address.hostname, address.port),
            path=path,
            token=_secret(server, token) if token in ("reader", "writer") else token,
            connections=args.connections,
            messages=args.messages,
            message_bytes=megabytes * MIB,
            persistent=True,
        )
        # The first query loads what every later one needs.
        server.ask("SELECT count(*) FROM events")
        before, over = server.resident_memory, threading.Event()
        beside = Beside()
        watchers = [threading.Thread(target=watch, args=(server, beside, over)) for watch in (_memory, _health, _query)]
        for watcher in watchers:
            watcher.start()
        flood.run(args.seconds)
        over.set()
        for watcher in watchers:
            watcher.join()
        flood.close()
        print(f"{name}: {dict(flood.ended)}", *sorted(set(beside.failures)), sep="\n  ", flush=True)
    largest = max(beside.memory)
    allowed = before + MESSAGES_BYTES + OTHER_BYTES
    allowed += args.connections * (WINDOW_BYTES + CONNECTION_BYTES + STREAMS * STREAM_BYTES)
    holds = largest <= allowed and not beside.failures
    return (
        name,
        f"{flood.begun:,}",
        f"{flood.bytes_sent / MIB:,.0f}",
        f"{before / MIB:.0f}",
        f"{largest / MIB:.0f}",
        f"{allowed / MIB:.0f}",
        f"{percentile(beside.health_seconds, 0.99) * 1000:.0f}",
        f"{max(beside.query_seconds, default=0):.2f}",
        holds,
    )


def _secret(server: Serving, role: str) -> str:
    """A token of the attacker's own."""
    pool, headers = urllib3.PoolManager(), {"Authorization": f"Bearer {server.admin_token}"}
    for path, body in [("sites", {"tracking_id": "shop"}), ("tokens", {"role": role, "sites": ["shop"]})]:
        reply = pool.request("POST", f"{server.http}/api/v1/{path}", json=body, headers=headers)
        assert reply.status == 201, reply.data
    return reply.json()["secret"]


def _memory(server: Serving, beside: Beside, over: threading.Event) -> None:
    while not over.wait(0.1):
        beside.memory.append(server.resident_memory)


def _health(server: Serving, beside: Beside, over: threading.Event) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=30)
    while not over.wait(0.05):
        began = time.monotonic()
        try:
            pool.request("GET", f"{server.http}/health")
            beside.health_seconds.append(time.monotonic() - began)
        except Exception as error:  # noqa: BLE001
            beside.failures.append(f"/health: {error}")


def _query(server: Serving, beside: Beside, over: threading.Event) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        while not over.wait(0.2):
            began = time.monotonic()
            try:
                cursor.execute("SELECT count(*) FROM events")
                cursor.fetchone()
                beside.query_seconds.append(time.monotonic() - began)
            except Exception as error:  # noqa: BLE001
                beside.failures.append(f"query: {str(error)[:200]}")


if __name__ == "__main__":
    main()
