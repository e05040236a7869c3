"""Clients that retry until they are acknowledged, and what must hold for the replies that they received."""

import random
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable

import urllib3

from events import ago, pageview, rfc3339
from server import Server

SENDERS = 4
BATCH = 20

# How late events arrive: by up to several days, so that one flush writes several files.
LATE_HOURS = 60


class Load:
    """Clients that send small batches and remember what was acknowledged.

    As a real SDK, they send a batch without an answer again as it is. They also send some that were acknowledged a
    second time, in another order and among new ones; their events are late and out of order; and some are not valid.
    """

    def __init__(self, server: Server, site: str, seed: int = 0, pause: float = 0.005):
        """`pause`: seconds that a sender rests after each answer."""
        self.server, self.site, self.pause = server, site, pause
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        # Events that were sent again, because their reply was lost or although it was good.
        self.resent = 0
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(random.Random(seed + n),), name=f"sender-{n}")
            for n in range(SENDERS)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _event(self, chance: random.Random) -> dict:
        late = chance.choice([0, 0, 0, chance.uniform(0, LATE_HOURS)])
        return pageview(
            self.site,
            event_id=uuid.UUID(int=chance.getrandbits(128)).hex,
            client_id=f"visitor-{chance.randrange(50)}",
            timestamp=rfc3339(ago(hours=late, seconds=chance.uniform(0, 60))),
        )

    def _send(self, chance: random.Random) -> None:
        sent: deque[dict] = deque(maxlen=2_000)
        while not self._stop.is_set():
            fresh = [self._event(chance) for _ in range(BATCH)]
            again = chance.sample(sent, min(len(sent), BATCH // 2)) if chance.random() < 0.2 else []
            bad = [self._event(chance) | {"event_type": None}] if chance.random() < 0.05 else []
            batch = fresh + again + bad
            chance.shuffle(batch)
            self._count_resent(len(again))
            if not self._deliver(batch, [event["event_id"] for event in bad]):
                return
            sent.extend(fresh)
            time.sleep(self.pause)

    def _deliver(self, batch: list[dict], bad: list[str]) -> bool:
        """Until it is acknowledged; false if it can't be, or if the traffic has ended."""
        while not self._stop.is_set():
            try:
                reply = self.server.post(batch)
            except urllib3.exceptions.NewConnectionError:
                time.sleep(0.02)
                continue
            except urllib3.exceptions.HTTPError:
                self._count_resent(len(batch))
                continue
            if reply.status == 503:
                time.sleep(0.05)
            elif reply.status == (200 if bad else 204):
                with self._lock:
                    self.acknowledged += [event["event_id"] for event in batch if event["event_id"] not in bad]
                    self.refused += bad
                return True
            else:
                self.problems.append(f"{reply.status}: {reply.body[:300]!r}")
                return False
        return False

    def _count_resent(self, events: int) -> None:
        with self._lock:
            self.resent += events

    def wait_for(self, more: int, seconds: float = 60) -> None:
        """Returns when so many more events were acknowledged."""
        goal, deadline = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < goal:
            assert not self.problems, self.problems
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {goal} events were acknowledged"
            time.sleep(0.01)


def check_exactly_once(found: list[str], acknowledged: Iterable[str], refused: Iterable[str] = ()) -> None:
    """Acknowledged events are in the lake, refused ones are not, those without a reply may be; each at most once."""
    times = Counter(found)
    missing = [event for event in acknowledged if event not in times]
    unwanted = [event for event in refused if event in times]
    repeated = {event: n for event, n in times.items() if n > 1}
    assert not missing, f"{len(missing)} acknowledged events are lost, such as {missing[:3]}"
    assert not unwanted, f"{len(unwanted)} refused events are there, such as {unwanted[:3]}"
    assert not repeated, f"{len(repeated)} events are there more than once, such as {list(repeated.items())[:3]}"


def event_ids(server: Server, site: str) -> list[str]:
    return server.query(f"SELECT event_id FROM events WHERE tracking_id = '{site}'")["event_id"].to_pylist()


def settle(server: Server, site: str) -> None:
    """Returns when the whole WAL is visible: records are written in order, and this one is the last."""
    marker = f"marker-{uuid.uuid4().hex}"
    server.accept(pageview(site, event_id=marker))
    server.wait_for_events(site, 1, where=f"event_id = '{marker}'")
