"""S3 that fails in every way it can: nothing is lost or doubled, replies stay quick, readers never get wrong answers."""

import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import urllib3
from adbc_driver_manager import Error as AdbcError

import delta_log
import lakes
import seaweed
from conftest import SETTINGS
from events import new_site, pageview, pageviews
from fault_proxy import Fault, FaultProxy, Outage
from lakes import Lake
from load import check_exactly_once, event_ids, settle
from server import Server, wait_until

SENDERS = 2
BATCH = 10
# Between two requests of one sender: the processors are for the server.
PAUSE_SECONDS = 0.02

# S3's own time-out is 30 s.
S3_TIMEOUT_SECONDS = 1
STATEMENT_SECONDS = 5

SETTINGS_HERE = SETTINGS | {
    "AWS_TIMEOUT": f"{S3_TIMEOUT_SECONDS}s",
    "FOOTFALL_QUERY__TIMEOUT": f"{STATEMENT_SECONDS}s",
    # Files are read again by each query, so that reads hit faults too.
    "FOOTFALL_QUERY__METADATA_CACHE_BYTES": "0MiB",
}

# A reply waits for the local disk alone. On a machine that does other things too it may take long, but not as long as
# S3 lets a request wait here.
P95_SECONDS = 0.75

# For a query that asks S3 for nothing.
KNOWN_SECONDS = 5

# Supervisors kill a process that has not stopped after 30 s or more.
STOP_SECONDS = 25

# How a query may fail that S3 did not answer.
READ_ERROR = re.compile(r"Object Store error|timed? ?out|longer than")


@dataclass
class Reader:
    """Asks one statement again and again: two numbers that must agree, never go back and never pass what was sent."""

    sql: str
    # The count of other sites, which send nothing.
    before: int = 0
    counts: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def ask(self, server: Server, sent: Callable[[], int]) -> None:
        began = time.monotonic()
        try:
            # A result that is kept needs no lake.
            (row,) = server.query(self.sql, cache=False).to_pylist()
        except AdbcError as error:
            self.errors.append(str(error)[:500])
        else:
            self._check([count - self.before for count in row.values()], sent())
        self.slowest = max(self.slowest, time.monotonic() - began)

    def _check(self, numbers: list[int], sent: int) -> None:
        count, latest = numbers[0], self.counts[-1] if self.counts else 0
        if any(number != count for number in numbers) or not latest <= count <= sent:
            self.problems.append(f"{numbers} are visible, {latest} were before, {sent} were sent: {self.sql}")
        self.counts.append(count)

    def summary(self) -> str:
        return f"{len(self.counts)} answers, {len(self.errors)} errors, slowest {self.slowest:.1f} s {self.errors[:1]}"


class Traffic:
    """Clients that send at a steady pace, and readers that count. Nothing is sent again: silence is no option here."""

    def __init__(self, server: Server, site: str):
        self.server, self.site, self.sent = server, site, 0
        self.acknowledged: list[str] = []
        self.reply_seconds: list[float] = []
        self.refused: list[str] = []
        # The one from what is known of the table, the other from its files.
        self.known = Reader("SELECT count(*) FROM events")
        self.read = Reader(
            f"SELECT count(event_id), count(DISTINCT event_id) FROM events WHERE tracking_id = '{site}'"
        )
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        self._threads += [threading.Thread(target=self._ask, args=[reader]) for reader in (self.known, self.read)]

    def __enter__(self) -> "Traffic":
        (row,) = self.server.query(self.known.sql).to_pylist()
        (self.known.before,) = row.values()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        print(f"{len(self.acknowledged)} events acknowledged, p95 {self.p95() * 1e3:.0f} ms")
        print(f"known: {self.known.summary()}\nread: {self.read.summary()}")

    @property
    def problems(self) -> list[str]:
        return self.refused + self.known.problems + self.read.problems

    def p95(self) -> float:
        """Seconds."""
        ordered = sorted(self.reply_seconds)
        return ordered[len(ordered) * 95 // 100] if ordered else 0.0

    def _send(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            events = [pageview(self.site, event_id=uuid.uuid4().hex) for _ in range(BATCH)]
            with self._lock:
                self.sent += BATCH
            began = time.monotonic()
            try:
                reply = self.server.post(events)
            except urllib3.exceptions.HTTPError as error:
                self.refused.append(f"no reply: {error}")
                return
            with self._lock:
                self.reply_seconds.append(time.monotonic() - began)
                if reply.status == 204:
                    self.acknowledged += [event["event_id"] for event in events]
                else:
                    self.refused.append(f"{reply.status}: {reply.body[:300]!r}")

    def _ask(self, reader: Reader) -> None:
        while not self._stop.wait(0.05):
            reader.ask(self.server, lambda: self.sent)


@pytest.fixture(scope="module")
def proxy(s3_server: seaweed.SeaweedFS) -> Iterator[FaultProxy]:
    proxy = FaultProxy(s3_server.endpoint)
    yield proxy
    proxy.end()


@pytest.fixture(scope="module")
def faulty_lake(s3_server: seaweed.SeaweedFS, proxy: FaultProxy) -> Lake:
    return lakes.s3(s3_server, prefix=new_site()).behind(proxy.endpoint)


@pytest.fixture(scope="module")
def shared_server(faulty_lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Instead of the session's: one server for all faults, over the lake behind the proxy."""
    server = Server(faulty_lake, tmp_path_factory.mktemp("faults"), SETTINGS_HERE)
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture(autouse=True)
def healthy(proxy: FaultProxy) -> Iterator[None]:
    """Every test starts and ends with an S3 that works."""
    proxy.struck.clear()
    yield
    proxy.heal()


def wait_for_strikes(proxy: FaultProxy, struck: Callable[[], bool], traffic: Traffic, seconds: float) -> None:
    """Traffic under faults for so long, and on until the fault has hit the requests that it is about."""
    began = time.monotonic()
    while time.monotonic() - began < seconds or not struck():
        assert not traffic.problems, traffic.problems[:5]
        assert time.monotonic() - began < 30, f"the fault hit too few requests: {dict(proxy.struck)}"
        time.sleep(0.05)


def check_all(server: Server, traffic: Traffic) -> None:
    """After S3 has recovered."""
    assert server.process.running, "the server has ended"
    assert not traffic.problems, traffic.problems[:5]
    settle(server, traffic.site)
    found = [event for event in event_ids(server, traffic.site) if not event.startswith("marker-")]
    check_exactly_once(found, traffic.acknowledged)
    columns = server.lake.delta_events(["tracking_id", "event_id"]).to_pylist()
    theirs = [row["event_id"] for row in columns if row["tracking_id"] == traffic.site]
    assert sorted(event for event in theirs if not event.startswith("marker-")) == sorted(found)
    assert traffic.p95() < P95_SECONDS, f"p95 of the replies: {traffic.p95():.3f} s"
    assert traffic.known.counts and not traffic.known.errors, traffic.known.errors[:3]
    assert traffic.known.slowest < KNOWN_SECONDS, f"a count took {traffic.known.slowest:.1f} s, though S3 isn't asked"
    assert all(READ_ERROR.search(error) for error in traffic.read.errors), traffic.read.errors
    assert traffic.read.slowest < STATEMENT_SECONDS + KNOWN_SECONDS, f"a reader waited {traffic.read.slowest:.1f} s"


# The requests that each fault has to hit before a test counts: most of all the put-if-absent of a commit.
TARGETS = {
    Fault.CUT_REQUEST: {"commit": 3, "put": 3},
    Fault.CUT_RESPONSE: {"get": 3},
    Fault.ERROR_500: {"commit": 2, "put": 2, "get": 2},
    Fault.SLOW_DOWN: {"commit": 2, "put": 2, "get": 2},
    Fault.SWALLOW: {"commit": 1, "put": 1},
    Fault.LOSE_REPLY: {"commit": 1, "put": 1},
    Fault.CUT_REPLY: {"commit": 3, "put": 3},
    Fault.LATENCY: {"commit": 3, "put": 3, "get": 3},
}


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.name.lower())
def test_traffic_survives_each_fault(server: Server, site: str, proxy: FaultProxy, fault: Fault):
    with Traffic(server, site) as traffic:
        proxy.fail([fault], share=1.0 if fault is Fault.LATENCY else 0.4, seed=_seed())
        wanted = TARGETS[fault]
        wait_for_strikes(
            proxy, lambda: all(proxy.hits(fault, kind) >= n for kind, n in wanted.items()), traffic, seconds=1
        )
        proxy.heal()
    check_all(server, traffic)


def test_traffic_survives_mixed_faults(server: Server, site: str, proxy: FaultProxy):
    with Traffic(server, site) as traffic:
        proxy.fail(list(Fault), share=0.4, seed=_seed())
        wait_for_strikes(proxy, lambda: sum(proxy.struck.values()) >= 30, traffic, seconds=4)
        proxy.heal()
    check_all(server, traffic)


@pytest.mark.parametrize("fault", [Fault.LOSE_REPLY, Fault.CUT_REPLY], ids=lambda fault: fault.name.lower())
def test_commit_with_lost_reply_is_made_once(server: Server, site: str, proxy: FaultProxy, fault: Fault):
    """Every commit, and nothing else, so that no other fault's retry hides a second one."""
    with Traffic(server, site) as traffic:
        proxy.fail([fault], share=1.0, seed=0, only=["commit"])
        wait_for_strikes(proxy, lambda: proxy.hits(fault, "commit") >= 3, traffic, seconds=0)
        proxy.heal()
    check_all(server, traffic)


@pytest.mark.parametrize("outage", list(Outage), ids=lambda outage: outage.value)
def test_unreachable_lake_delays_no_client(server: Server, site: str, proxy: FaultProxy, outage: Outage):
    with Traffic(server, site) as traffic:
        wait_until(lambda: bool(traffic.read.counts) and traffic.read.counts[-1] > 0, "events are visible")
        proxy.go_dark(outage)
        before = len(traffic.acknowledged)
        wait_until(lambda: bool(traffic.read.errors), "a reader's error says that the lake does not answer")
        assert len(traffic.acknowledged) > before + 100, "events are taken while the lake is unreachable"
        proxy.heal()
    check_all(server, traffic)


def test_every_version_is_whole_after_faults(server: Server, site: str):
    """The table that the tests above have written: no gap, positions that only grow, no commit and no file twice."""
    server.accept(pageview(site))
    server.wait_for_events(site, 1)
    delta_log.read(server.lake).check()


def break_down(proxy: FaultProxy, how: Outage | Fault) -> None:
    if isinstance(how, Outage):
        proxy.go_dark(how)
    else:
        proxy.fail([how], share=1.0, seed=0)


@pytest.mark.parametrize("how", [*Outage, Fault.ERROR_500], ids=lambda how: how.name.lower())
def test_start_without_lake_waits(s3_server: seaweed.SeaweedFS, proxy: FaultProxy, tmp_path: Path, how: Outage | Fault):
    lake = lakes.s3(s3_server, prefix=new_site()).behind(proxy.endpoint)
    server = Server(lake, tmp_path, SETTINGS_HERE)
    break_down(proxy, how)
    server.launch()
    try:
        wait_until(lambda: "does not answer" in server.output(), "the server says what it waits for")
        time.sleep(1)
        assert server.process.running, server.output()
        warning = next(line for line in server.output().splitlines() if "does not answer" in line)
        assert "WARN" in warning and lake.data in warning, warning
        assert seaweed.SECRET_KEY not in server.output()
        proxy.heal()
        server.wait_until_ready()
        server.accept(pageview(server.create_site(new_site())))
    finally:
        server.end()


def test_impossible_lake_is_refused_at_once(s3_server: seaweed.SeaweedFS, tmp_path: Path):
    """A wrong key is not retried."""
    lake = lakes.s3(s3_server, prefix=new_site())
    lake.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    server = Server(lake, tmp_path, SETTINGS_HERE)
    server.launch()
    try:
        assert server.wait_for_end(20) == 1
        assert lake.data in server.output() and "403 Forbidden" in server.output(), server.output()
    finally:
        server.end()


def test_stop_without_lake_is_timely(
    s3_server: seaweed.SeaweedFS, proxy: FaultProxy, make_server: Callable[..., Server]
):
    lake = lakes.s3(s3_server, prefix=new_site()).behind(proxy.endpoint)
    # With S3's usual time-outs.
    server = make_server(lake)
    site = server.create_site(new_site())
    proxy.go_dark(Outage.SILENT)
    server.accept(pageviews(site, 50))
    # Until the writer is at it.
    time.sleep(1)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < STOP_SECONDS
    proxy.heal()
    server.start()
    server.wait_for_events(site, 50)


def _seed() -> int:
    """Printed, so that a failed run names its seed."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    return seed
