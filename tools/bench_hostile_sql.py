#!/usr/bin/env python3
"""Hostile SQL by a reader, beside collection, /health and another reader's short query.

First nothing, then 1,000 of the heaviest statements to plan at once, then 4 of each shape that computes for hours, each
cancelled after some seconds. Ends with 1 if collection or /health waits much longer than beside nothing, if the short
query takes longer than a second, or if a core still computes a second after the last cancel.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_flightsql import dbapi as flightsql
from report import machine, table
from running import Serving, arguments, percentile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

import hostile_sql
from hostile_sql import COMPUTED

SITE = "hostile-1"
# Those who plan.
READERS = 4
# What a wait beside hostile SQL may be, seconds.
HEALTH_P99, COLLECT_P99, QUERY_MAX = 0.1, 0.2, 1.0


@dataclass
class Beside:
    """What others wait, in seconds."""

    health: list[float] = field(default_factory=list)
    collect: list[float] = field(default_factory=list)
    query: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Measured:
    """A server with some events, and two readers of its site."""

    def __init__(self, server: Serving, events: int):
        self.server = server
        self.pool = urllib3.PoolManager(retries=False, timeout=60, maxsize=64)
        self._administer("/api/v1/sites", {"tracking_id": SITE})
        self.heavy, self.light = (self.token() for _ in range(2))
        for start in range(0, events, 500):
            self.collect([self._event(start + n) for n in range(min(500, events - start))])
        while self.ask(self.light, "SELECT count(*) FROM events")[0][0] < events:
            time.sleep(0.2)

    def _administer(self, path: str, body: dict) -> dict:
        headers = {"authorization": f"Bearer {self.server.admin_token}", "content-type": "application/json"}
        reply = self.pool.request("POST", self.server.http + path, body=json.dumps(body), headers=headers)
        assert reply.status in (200, 201), reply.data
        return json.loads(reply.data or b"{}")

    def token(self) -> str:
        return self._administer("/api/v1/tokens", {"role": "reader", "sites": [SITE]})["secret"]

    @staticmethod
    def _event(number: int) -> dict:
        return {
            "tracking_id": SITE,
            "client_id": f"client-{number % 1000}",
            "event_type": "pageview",
            "event_id": f"{time.time_ns()}-{number}",
            "page_url": f"https://example.com/page/{number % 50}",
        }

    def collect(self, events: list[dict]) -> None:
        headers = {"content-type": "application/json"}
        reply = self.pool.request("POST", f"{self.server.http}/api/v1/events", body=json.dumps(events), headers=headers)
        assert reply.status == 204, reply.data

    def connect(self, token: str):
        options = {
            DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}",
            DatabaseOptions.TIMEOUT_QUERY.value: "300",
            DatabaseOptions.TIMEOUT_FETCH.value: "300",
        }
        return flightsql.connect(self.server.flight, db_kwargs=options, autocommit=True)

    def ask(self, token: str, sql: str) -> list:
        with self.connect(token) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


def watch(measured: Measured, beside: Beside, over: threading.Event) -> list[threading.Thread]:
    short = measured.connect(measured.light)

    def query() -> None:
        with short.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM events")
            cursor.fetchall()

    def repeat(do, waits: list[float], pause: float) -> None:
        while not over.wait(pause):
            began = time.monotonic()
            try:
                do()
                waits.append(time.monotonic() - began)
            except Exception as error:  # noqa: BLE001
                beside.failures.append(str(error).splitlines()[0][:200])

    jobs = [
        (lambda: measured.pool.request("GET", f"{measured.server.http}/health"), beside.health, 0.02),
        (lambda: measured.collect([measured._event(n) for n in range(10)]), beside.collect, 0.02),
        (query, beside.query, 0.2),
    ]
    threads = [threading.Thread(target=repeat, args=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    return threads


def beside(measured: Measured, name: str, attack) -> tuple:
    found, over = Beside(), threading.Event()
    threads = watch(measured, found, over)
    began = time.monotonic()
    outcome = attack()
    seconds = time.monotonic() - began
    over.set()
    for thread in threads:
        thread.join()
    for failure in sorted(set(found.failures)):
        print(f"{name}: {failure}")
    time.sleep(1)
    before = measured.cpu_seconds()
    time.sleep(1)
    after = measured.cpu_seconds() - before
    holds = (
        not found.failures
        and percentile(found.health, 0.99) < HEALTH_P99
        and percentile(found.collect, 0.99) < COLLECT_P99
        and max(found.query) < QUERY_MAX
        and after < 0.3
    )
    return (
        name,
        f"{seconds:.1f}",
        outcome,
        f"{percentile(found.health, 0.99) * 1000:.0f}",
        f"{max(found.health) * 1000:.0f}",
        f"{percentile(found.collect, 0.99) * 1000:.0f}",
        f"{max(found.collect) * 1000:.0f}",
        f"{percentile(found.query, 0.5):.2f} / {max(found.query):.2f}",
        f"{after:.2f}",
        "" if holds else "NO",
    )


def plan_all(measured: Measured, statements: int) -> str:
    """All at once, of several readers, from a process of lower priority: its cores would be another machine's."""
    program = Path(hostile_sql.__file__)
    command = ["nice", "-n", "19", sys.executable, program, measured.server.flight, str(statements)]
    tokens = [measured.token() for _ in range(READERS)]
    done = subprocess.run([*command, *tokens], check=True, capture_output=True, text=True)
    *faults, outcome = done.stdout.splitlines()
    for fault in faults:
        print(f"planning: {fault}")
    return outcome


def compute(measured: Measured, sql: str, seconds: float) -> str:
    """Four at once, then cancelled."""
    with measured.connect(measured.heavy) as connection:
        cursors = [connection.cursor() for _ in range(4)]
        ended = []

        def ask(cursor) -> None:
            with suppress(Exception):
                cursor.execute(sql)
                cursor.fetchall()
                ended.append(cursor)

        threads = [threading.Thread(target=ask, args=(cursor,), daemon=True) for cursor in cursors]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        for cursor in cursors:
            cursor.adbc_cancel()
        for thread in threads:
            thread.join()
        return f"{len(ended)} ended before the cancel"


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--events", type=int, default=20_000, help="in the lake (default: 20,000)")
    parser.add_argument("--statements", type=int, default=1_000, help="to plan at once (default: 1,000)")
    parser.add_argument("--seconds", type=float, default=5, help="that each shape computes (default: 5)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-hostile-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with Serving(args.binary, folder, FOOTFALL_INGEST__EVENTS_PER_SECOND="1000000") as server:
            measured = Measured(server, args.events)
            rows = [beside(measured, "nothing", lambda: time.sleep(args.seconds) or "")]
            rows.append(beside(measured, "planning", lambda: plan_all(measured, args.statements)))
            for name, sql in COMPUTED.items():
                rows.append(beside(measured, name, lambda sql=sql: compute(measured, sql, args.seconds)))
    head = ("beside", "seconds", "outcome", "health p99, ms", "max", "collect p99, ms", "max", "query p50 / max, s")
    print(table(rows, (*head, "CPU s after", "holds")))
    print(machine())
    sys.exit(0 if all(row[-1] == "" for row in rows) else 1)


if __name__ == "__main__":
    main()
