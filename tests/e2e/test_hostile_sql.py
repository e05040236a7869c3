"""A bad query takes nothing from others: not while it is planned, not while it computes, not when it is given up.
`make bench-hostile-sql` does it with full numbers."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import hostile_sql
import lakes
from events import new_site, pageviews
from hostile_sql import COMPUTED
from server import Server

# A second, on a machine that does nothing else.
SOON = 3

EVENTS = 5_000


SETTINGS = {"FOOTFALL_INGEST__EVENTS_PER_SECOND": "100000", "FOOTFALL_INGEST__FLUSH_INTERVAL": "200ms"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server with the events of one site."""
    folder = tmp_path_factory.mktemp("hostile")
    # Without the compactor, whose time would count as theirs.
    settings = SETTINGS | {"FOOTFALL_ROLES": "ingest,query"}
    server, site = Server(lakes.local(folder / "lake"), folder / "server", settings), new_site()
    try:
        server.start().create_site(site)
        for _ in range(EVENTS // 500):
            server.accept(pageviews(site, 500))
        server.wait_for_events(site, EVENTS)
        yield server, site
    finally:
        server.end()


def cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_planning_blocks_no_other_query(filled):
    server, site = filled
    heavy, light = (server.create_token("reader", [site]) for _ in range(2))
    statements = 2 * len(hostile_sql.PLANNED)
    command = [sys.executable, hostile_sql.__file__, server.flight, str(statements), heavy]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hostile:
        waits = worst_waits(server, site, light, hostile)
        *faults, outcome = hostile.stdout.read().splitlines()
    assert not faults
    assert outcome
    assert hostile.returncode == 0
    assert waits["health"] < 1 and waits["event"] < SOON and waits["query"] < SOON, waits


def worst_waits(server: Server, site: str, light: str, hostile: subprocess.Popen) -> dict[str, float]:
    """Seconds of the slowest request of each kind while `hostile` runs."""
    waits = {"health": 0.0, "query": 0.0, "event": 0.0}
    while hostile.poll() is None:
        for what, do in {
            "health": lambda: server.request("GET", "/health"),
            "query": lambda: server.query("SELECT count(*) FROM events", token=light),
            "event": lambda: server.accept(pageviews(site, 1)),
        }.items():
            began = time.monotonic()
            do()
            waits[what] = max(waits[what], time.monotonic() - began)
    return waits


@pytest.mark.parametrize("shape", COMPUTED)
def test_short_query_beside_hostile_ones(filled, shape: str):
    server, site = filled
    heavy, light = (server.create_token("reader", [site]) for _ in range(2))
    ended = []

    with server.connect(heavy) as connection:
        cursors = [connection.cursor() for _ in range(4)]

        def ask(cursor) -> None:
            with suppress(Exception):
                cursor.execute(COMPUTED[shape])
                cursor.fetchall()
                ended.append(cursor)

        threads = [threading.Thread(target=ask, args=(cursor,), daemon=True) for cursor in cursors]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        for _ in range(3):
            began = time.monotonic()
            server.query("SELECT count(*) FROM events", token=light)
            assert time.monotonic() - began < SOON
        assert not ended, "it computes for hours"
        for cursor in cursors:
            cursor.adbc_cancel()
        for thread in threads:
            thread.join(SOON)
            assert not thread.is_alive(), "a cancelled query ends"
        time.sleep(1)
        before = cpu_seconds(server)
        time.sleep(1)
        assert cpu_seconds(server) - before < 0.3, "a cancelled query computes no longer"


def test_unread_results_block_no_other_query(filled):
    server, site = filled
    token = server.create_token("reader", [site])
    with server.connect(token) as connection:
        cursors = [connection.cursor() for _ in range(4)]
        readers = []
        for cursor in cursors:
            cursor.execute("SELECT value, repeat(md5(value::text), 8) FROM generate_series(1, 10000000)")
            readers.append(cursor.fetch_record_batch())
            assert readers[-1].read_next_batch().num_rows > 0
        began = time.monotonic()
        server.query("SELECT count(*) FROM events", token=token)
        assert time.monotonic() - began < SOON
        for reader in readers:
            assert reader.read_next_batch().num_rows > 0, "and each goes on"
