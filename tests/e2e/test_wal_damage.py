"""A damaged WAL: whole records survive, and the damage is reported, never hidden."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import lakes
import wal_files
from commands import Footfall, Outcome
from events import new_site, pageview, pageviews
from load import check_exactly_once, event_ids, settle
from server import Server

RECORDS = 9
EVENTS_PER_RECORD = 3


@dataclass
class Crashed:
    """A server that was killed while all acknowledged events were only in its WAL."""

    server: Server
    site: str
    # By position in the WAL, which counts from 1: the events of each record.
    events: dict[int, list[str]]

    @property
    def log(self) -> Path:
        return self.server.state / "wal"

    @property
    def segments(self) -> list[Path]:
        return wal_files.segments(self.server.state)

    def events_without(self, *lost: int) -> list[str]:
        return [event for position, events in self.events.items() if position not in lost for event in events]

    def verify(self) -> Outcome:
        return Footfall(self.server.lake, self.server.state).run("wal", "verify")

    def restart(self) -> Server:
        self.server.env["FOOTFALL_INGEST__FLUSH_INTERVAL"] = "100ms"
        return self.server.start()

    def stored(self) -> list[str]:
        """What queries find once the whole WAL is in the lake, and new events are accepted."""
        settle(self.server, self.site)
        found = [event for event in event_ids(self.server, self.site) if not event.startswith("marker-")]
        in_delta = self.server.lake.delta_events(["event_id"])["event_id"].to_pylist()
        assert sorted(found) == sorted(event for event in in_delta if not event.startswith("marker-"))
        return found


@pytest.fixture
def crash(make_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Crashed]:
    """`crash(**settings)`: the WAL does not depend on where the lake is, so the lake is a folder."""

    def make(**settings: str) -> Crashed:
        server = make_server(lakes.local(tmp_path / "lake"), FOOTFALL_INGEST__FLUSH_INTERVAL="1h", **settings)
        crashed = Crashed(server, server.create_site(new_site()), {})
        for position in range(1, RECORDS + 1):
            batch = pageviews(crashed.site, EVENTS_PER_RECORD)
            server.accept(batch)
            crashed.events[position] = [event["event_id"] for event in batch]
        server.kill()
        return crashed

    return make


def test_sound_wal_is_replayed(crash: Callable[..., Crashed]):
    crashed = crash()
    outcome = crashed.verify()
    assert outcome.code == 0, outcome
    row = outcome.output.splitlines()[1].split()
    assert row[:2] == ["1", str(RECORDS)] and row[-2:] == ["0", "0"], outcome.output
    server = crashed.restart()
    check_exactly_once(crashed.stored(), crashed.events_without())
    assert server.metric("footfall_wal_damaged_total") == server.metric("footfall_wal_torn_bytes_total") == 0


@pytest.mark.parametrize("where", ["in the seal", "in the payload", "in the frame's header", "after one byte"])
def test_torn_tail_keeps_whole_records(crash: Callable[..., Crashed], where: str):
    """As an interrupted write leaves it: cut at some byte of the last record, or of the seal behind it."""
    crashed = crash()
    (segment,) = crashed.segments
    *_, last, seal = wal_files.frames(segment)
    assert seal.sealing and not last.sealing
    size = {
        "in the seal": seal.start + 10,
        "in the payload": last.end - 1,
        "in the frame's header": last.payload - 1,
        "after one byte": last.start + 1,
    }[where]
    lost = [] if size > last.end else [last.position]
    torn_bytes = size - (last.start if lost else seal.start)
    wal_files.cut(segment, size)

    outcome = crashed.verify()
    assert outcome.code == 0, outcome
    assert outcome.output.splitlines()[1].split()[-2:] == [str(torn_bytes), "0"], outcome.output
    assert "cut short" in outcome.output

    server = crashed.restart()
    assert server.metric("footfall_wal_torn_bytes_total") == torn_bytes
    assert server.metric("footfall_wal_damaged_total") == 0
    assert "torn tail was cut off" in server.output()
    check_exactly_once(crashed.stored(), crashed.events_without(*lost))
    # The sender's repetition is taken as new if it was torn off, and is a duplicate if it was not.
    server.accept([pageview(crashed.site, event_id=event) for event in crashed.events[last.position]])
    server.kill()
    assert crashed.verify().code == 0
    server.start()
    assert sorted(crashed.stored()) == sorted(crashed.events_without())


@pytest.mark.parametrize(
    ("position", "part"),
    [(1, "payload"), (RECORDS, "payload"), (RECORDS, "magic")]
    + [(5, part) for part in ("magic", "checksum", "length", "position")],
)
def test_flipped_bit_costs_one_record(crash: Callable[..., Crashed], position: int, part: str):
    """The last record too: the seal behind it proves that it had been acknowledged, so that it is no torn tail."""
    crashed = crash()
    (segment,) = crashed.segments
    record = wal_files.records(segment)[position - 1]
    assert record.position == position
    offset = {"magic": 0, "checksum": 4, "length": 8, "position": 16, "payload": wal_files.FRAME.size + 7}[part]
    wal_files.flip_bit(segment, record.start + offset)
    check_one_record_is_lost(crashed, position, segment)


def test_flipped_bit_in_older_segment_is_reported(crash: Callable[..., Crashed]):
    crashed = crash(FOOTFALL_WAL__SEGMENT_BYTES="1KiB")
    older = next(segment for segment in crashed.segments[1:-1] if wal_files.records(segment))
    record = wal_files.records(older)[0]
    wal_files.flip_bit(older, record.payload + 100)
    check_one_record_is_lost(crashed, record.position, older)


def check_one_record_is_lost(crashed: Crashed, position: int, segment: Path) -> None:
    outcome = crashed.verify()
    assert outcome.code == 1, outcome
    damage = f"record {position} is lost"
    assert str(segment) in outcome.output and damage in outcome.output, outcome.output
    assert "is damaged" in outcome.errors, outcome.errors

    server = crashed.restart()
    check_exactly_once(crashed.stored(), crashed.events_without(position), crashed.events[position])
    assert server.metric("footfall_wal_damaged_total") == 1, "one place"
    assert server.metric("footfall_wal_torn_bytes_total") == 0
    assert server.metric("footfall_writer_lost_records_total") == 1
    assert "the WAL is damaged" in server.output() and damage in server.output()
    assert str(segment) in server.output()
    # Already handled: the next start has nothing to report.
    server.kill()
    server.start()
    check_exactly_once(crashed.stored(), crashed.events_without(position), crashed.events[position])


def test_one_damaged_header_copy_is_reported(crash: Callable[..., Crashed]):
    crashed = crash()
    wal_files.flip_bit(crashed.segments[0], 20)
    outcome = crashed.verify()
    assert outcome.code == 1 and "no record is lost" in outcome.output, outcome
    server = crashed.restart()
    check_exactly_once(crashed.stored(), crashed.events_without())
    assert server.metric("footfall_wal_damaged_total") == 1
    assert server.metric("footfall_writer_lost_records_total") == 0


def test_uncheckable_wal_is_refused_untouched(crash: Callable[..., Crashed]):
    crashed = crash()
    (segment,) = crashed.segments
    for copy in range(2):
        wal_files.flip_bit(segment, copy * wal_files.HEADER_COPY + 20)
    spoiled = segment.read_bytes()
    outcome = crashed.verify()
    assert outcome.code == 1 and str(segment) in outcome.errors, outcome
    with pytest.raises(AssertionError, match="ended at once"):
        crashed.restart()
    assert crashed.server.wait_for_end() == 1
    assert "header is damaged" in crashed.server.output() and str(segment) in crashed.server.output()
    assert segment.read_bytes() == spoiled
    # An operator with another copy of the file loses nothing.
    for copy in range(2):
        wal_files.flip_bit(segment, copy * wal_files.HEADER_COPY + 20)
    crashed.restart()
    check_exactly_once(crashed.stored(), crashed.events_without())


def test_segment_of_another_wal_is_refused(
    crash: Callable[..., Crashed], make_server: Callable[..., Server], tmp_path: Path
):
    crashed = crash()
    other = make_server(lakes.local(tmp_path / "other-lake"), name="other")
    other.kill()
    (foreign,) = wal_files.segments(other.state)
    shutil.copy(foreign, crashed.log / f"{RECORDS + 1:020}.log")
    outcome = crashed.verify()
    assert outcome.code == 1 and "does not belong to this WAL" in outcome.errors, outcome
    with pytest.raises(AssertionError, match="does not belong to this WAL"):
        crashed.restart()


def test_wal_in_use_is_not_verified(make_server: Callable[..., Server], tmp_path: Path):
    server = make_server(lakes.local(tmp_path / "lake"))
    outcome = Footfall(server.lake, server.state).run("wal", "verify")
    assert outcome.code == 1 and f"process {server.process.pid}" in outcome.errors, outcome
    assert server.request("GET", "/health").status == 200
