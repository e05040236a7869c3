"""What was acknowledged is there, exactly once, however the server ended."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable

import pytest
import urllib3

from events import new_site, pageview, pageviews
from lakes import Lake
from server import Server

SENDERS = 4
BATCH = 20
ROUNDS = 5


class Load:
    """Clients that send small batches and remember what was acknowledged.

    A batch without an answer is sent again as it is, as a real SDK does, so a crash also makes duplicates.
    """

    def __init__(self, server: Server, site: str):
        self.server, self.site = server, site
        self.acknowledged: list[str] = []
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, name=f"sender-{n}") for n in range(SENDERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        waiting: list[dict] = []
        while not self._stop.is_set():
            waiting = waiting or [
                pageview(self.site, event_id=uuid.uuid4().hex, client_id=threading.current_thread().name)
                for _ in range(BATCH)
            ]
            try:
                reply = self.server.post(waiting)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.02)
                continue
            with self._lock:
                if reply.status == 204:
                    self.acknowledged += [event["event_id"] for event in waiting]
                    waiting = []
                elif reply.status != 503:
                    self.problems.append(f"{reply.status}: {reply.body[:300]!r}")
                    return

    def wait_for(self, more: int) -> None:
        """Returns when so many more events were acknowledged."""
        goal, deadline = len(self.acknowledged) + more, time.monotonic() + 60
        while len(self.acknowledged) < goal:
            assert not self.problems, self.problems
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {goal} events were acknowledged"
            time.sleep(0.01)


def check_exactly_once(found: list[str], acknowledged: list[str]) -> None:
    """Unacknowledged events may be there, once; acknowledged ones must be."""
    times = Counter(found)
    missing = [event for event in acknowledged if event not in times]
    repeated = {event: n for event, n in times.items() if n > 1}
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged events are lost, such as {missing[:3]}"
    assert not repeated, f"{len(repeated)} events are there more than once, such as {list(repeated.items())[:3]}"


def event_ids(server: Server, site: str) -> list[str]:
    return server.query(f"SELECT event_id FROM events WHERE tracking_id = '{site}'")["event_id"].to_pylist()


def settle(server: Server, site: str) -> None:
    """Returns when all that lies in the log is visible: records are written in order, and this one is the last."""
    marker = f"marker-{uuid.uuid4().hex}"
    server.accept(pageview(site, event_id=marker))
    server.wait_for_events(site, 1, where=f"event_id = '{marker}'")


def test_kill_9_under_load_loses_nothing_and_repeats_nothing(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake)
    site = server.create_site(new_site())
    # Moments from "nothing flushed yet" to "in the middle of a commit"; a failed run names its seed.
    seed = time.time_ns()
    moments = random.Random(seed)
    print(f"seed {seed}")
    with Load(server, site) as load:
        for _ in range(ROUNDS):
            load.wait_for(more=BATCH)
            time.sleep(moments.uniform(0.0, 1.5))
            server.kill()
            time.sleep(moments.uniform(0.0, 0.2))
            server.start()
        load.wait_for(more=SENDERS * BATCH)
    assert not load.problems, load.problems
    settle(server, site)
    found = event_ids(server, site)
    check_exactly_once(found, load.acknowledged)
    assert lake.delta_events(["event_id"]).num_rows == len(found)


def test_sigterm_under_load_drains_into_the_lake_and_exits_0(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake, FOOTFALL_INGEST__FLUSH_INTERVAL="3s")
    site = server.create_site(new_site())
    with Load(server, site) as load:
        load.wait_for(more=500)
        code = server.stop()
    assert code == 0, server.process.output()[-4000:]
    assert not load.problems, load.problems
    # Nobody runs: what is in the tables now is what the drain has written.
    check_exactly_once(lake.delta_events(["event_id"])["event_id"].to_pylist(), load.acknowledged)

    server.start()
    settle(server, site)
    check_exactly_once(event_ids(server, site), load.acknowledged)


def test_sigterm_at_rest_exits_0_at_once_and_the_next_start_finds_all(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake)
    site = server.create_site(new_site())
    token, before = server.admin_token, (server.state / "admin.token").stat()
    assert before.st_mode & 0o777 == 0o600
    server.accept(pageviews(site, 10))
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 10
    server.start()
    assert server.admin_token == token
    server.wait_for_events(site, 10)
    assert server.administer("GET", "/api/v1/sites").json()["sites"][0]["tracking_id"] == site


def test_the_same_event_is_stored_once(lake: Lake, make_server: Callable[..., Server]):
    """Twice in a batch, in two requests, after a commit, after a restart, after a crash; with an id and without."""
    server = make_server(lake)
    site = server.create_site(new_site())
    with_id = pageview(site, event_id="mine")
    without = {key: value for key, value in pageview(site).items() if key != "event_id"}
    server.accept([with_id, without, with_id, without])
    server.accept([without, with_id])
    server.wait_for_events(site, 2)
    server.accept([with_id, without])
    assert server.stop() == 0
    server.start()
    server.accept([with_id, without])
    server.kill()
    server.start()
    server.accept([with_id, without, pageview(site, event_id="another")])
    settle(server, site)
    rows = server.query(f"SELECT event_id, client_id FROM events WHERE tracking_id = '{site}'").to_pylist()
    ids = [row["event_id"] for row in rows if not row["event_id"].startswith("marker-")]
    assert len(ids) == 3 and {"mine", "another"} < set(ids), ids


def test_an_event_id_of_another_site_is_another_event(server: Server, site: str):
    other = server.create_site(new_site())
    server.accept([pageview(site, event_id="same"), pageview(other, event_id="same")])
    server.wait_for_events(site, 1)
    server.wait_for_events(other, 1)


def test_two_servers_on_one_state_folder_are_refused(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake)
    with pytest.raises(AssertionError, match="ended at once"):
        make_server(lake, name="server")
    assert server.request("GET", "/health").status == 200
