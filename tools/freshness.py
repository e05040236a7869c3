#!/usr/bin/env python3
"""How soon is an acknowledged event visible to queries, while many others flow in?

Senders post batches at a steady rate. Beside them a probe posts one event at a time and notes when its reply came;
a watcher asks over Flight SQL for the newest probes, again and again, and notes when it first sees each.
"""

import json
import queue
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from report import machine, table
from running import Serving, arguments, percentile, run

BATCH = 500
# The default rate limit is 1,000 events/s for a site.
EVENTS_PER_SITE = 500
PROBE = "probe"
GOAL_SECONDS = 3.0
# What stands for an id in a batch that was encoded once: building JSON anew would measure Python.
MARK = "@@@@@@@@@@@@"


@dataclass
class Measured:
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    accepted: int = 0
    # A sender that is far behind its schedule: the rate was not kept.
    late: int = 0
    refused: list[str] = field(default_factory=list)
    # By event id: when the reply came.
    replied: dict[str, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    query_seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=10_000, help="events/s beside the probe (default: 10,000)")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--senders", type=int, default=4, help="connections that send (default: 4)")
    parser.add_argument("--probes", type=float, default=10, help="probe events/s (default: 10)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-freshness-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sites = [f"load-{n}" for n in range(-(-args.rate // EVENTS_PER_SITE))]
        for site in [*sites, PROBE]:
            run([args.binary, "site", "create", site], folder)
        with Serving(args.binary, folder) as server:
            measured = measure(server, sites, args.rate, args.seconds, args.senders, args.probes)
            report(server, measured, args.rate, args.seconds)
    print(machine())


def measure(server: Serving, sites: list[str], rate: int, seconds: float, senders: int, probes: float) -> Measured:
    measured = Measured()
    turns: queue.SimpleQueue = queue.SimpleQueue()
    began = time.monotonic() + 0.5
    for turn in range(int(rate * seconds / BATCH)):
        turns.put((began + turn * BATCH / rate, sites[turn % len(sites)]))
    sending = [threading.Thread(target=send, args=(server, turns, measured)) for _ in range(senders)]
    others = [
        threading.Thread(target=probe, args=(server, measured, probes)),
        threading.Thread(target=watch, args=(server, measured)),
    ]
    for thread in [*sending, *others]:
        thread.start()
    for thread in sending:
        thread.join()
    measured.stop.set()
    for thread in others:
        thread.join()
    return measured


def send(server: Serving, turns: queue.SimpleQueue, measured: Measured) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=30)
    bodies: dict[str, bytes] = {}
    while True:
        try:
            due, site = turns.get_nowait()
        except queue.Empty:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due > 1.0
        body = bodies.setdefault(site, batch(site)).replace(MARK.encode(), uuid.uuid4().hex[: len(MARK)].encode())
        reply = pool.request("POST", f"{server.http}/api/v1/events", body=body, headers=JSON)
        with measured.lock:
            measured.late += late
            if reply.status == 204:
                measured.accepted += BATCH
            else:
                measured.refused.append(f"{reply.status} {reply.data[:200]!r}")


JSON = {
    "Content-Type": "application/json",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


def batch(site: str) -> bytes:
    return json.dumps([event(site, f"{MARK}-{n}", client=f"visitor-{n % 100}") for n in range(BATCH)]).encode()


def event(site: str, event_id: str, client: str) -> dict:
    return {
        "tracking_id": site,
        "event_id": event_id,
        "client_id": client,
        "event_type": "pageview",
        "page": {
            "url": "https://shop.example/product/123?utm_source=newsletter&utm_medium=email&utm_campaign=spring",
            "title": "Running shoes - Example store",
            "referrer": "https://www.google.com/search?q=running+shoes",
        },
        "custom_properties": {"product_id": "prod_789", "category": "footwear", "price": 99.99},
    }


def probe(server: Serving, measured: Measured, per_second: float) -> None:
    pool = urllib3.PoolManager(retries=False, timeout=30)
    while not measured.stop.wait(1 / per_second):
        event_id = uuid.uuid4().hex
        body = json.dumps(event(PROBE, event_id, client="probe")).encode()
        reply = pool.request("POST", f"{server.http}/api/v1/events", body=body, headers=JSON)
        replied = time.monotonic()
        with measured.lock:
            if reply.status == 204:
                measured.replied[event_id] = replied
            else:
                measured.refused.append(f"{reply.status} {reply.data[:200]!r}")


def watch(server: Serving, measured: Measured) -> None:
    """Until every probe was seen, or for a minute after the last."""
    sql = (
        f"SELECT event_id FROM events WHERE tracking_id = '{PROBE}' AND event_timestamp > now() - INTERVAL '2 minutes'"
    )
    seen: set[str] = set()
    give_up = None
    with server.connect() as connection, connection.cursor() as cursor:
        while True:
            asked = time.monotonic()
            cursor.execute(sql)
            new = {row[0] for row in cursor.fetchall()} - seen
            now = time.monotonic()
            with measured.lock:
                measured.query_seconds.append(now - asked)
                # A probe may be visible before its reply is noted: that is a delay of 0, taken at the next look.
                known = new & measured.replied.keys()
                measured.delays += [max(0.0, now - measured.replied[event_id]) for event_id in known]
                seen |= known
                waiting = len(measured.replied) - len(seen)
            if measured.stop.is_set():
                give_up = give_up or now + 60
                if waiting == 0 or now > give_up:
                    return
            time.sleep(0.02)


def report(server: Serving, measured: Measured, rate: int, seconds: float) -> None:
    sent, probes = measured.accepted, len(measured.replied)
    unseen = probes - len(measured.delays)
    deadline = time.monotonic() + 60
    while (found := server.ask("SELECT count(*) FROM events")[0]) < sent + probes and time.monotonic() < deadline:
        time.sleep(0.2)

    def line(name: str, values: list[float], goal: str) -> tuple[str, ...]:
        cells = [percentile(values, 0.5), percentile(values, 0.95), max(values)]
        return (name, *(f"{value:.3f} s" for value in cells), goal)

    print(f"{sent:,} events in {seconds:.0f} s ({sent / seconds:,.0f}/s, asked for {rate:,}/s), {probes} probes")
    print(f"{found:,} found afterwards; {measured.late} batches sent late; {len(measured.refused)} requests refused")
    print(
        table(
            [
                line("reply to visible", measured.delays, f"{GOAL_SECONDS:.0f} s"),
                line("the watcher's query", measured.query_seconds, ""),
            ],
            ("", "p50", "p95", "max", "goal"),
        )
    )
    if unseen or measured.refused or found != sent + probes:
        raise SystemExit(
            f"error: {unseen} probes never seen, refusals {measured.refused[:3]}, {found:,} of {sent + probes:,} events"
        )


if __name__ == "__main__":
    main()
