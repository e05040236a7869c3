"""A full disk under the WAL: 503 and never a false 204, queries go on, and it recovers by itself when there is room."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lakes
import small_disk
from conftest import SETTINGS
from events import new_site, pageview, pageviews
from load import Load, check_exactly_once, event_ids, settle
from server import Reply, Server, wait_until
from small_disk import ServerOnSmallDisk, SmallDisk

MEGABYTES = 12
BATCH = 100


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    made = small_disk.mount(tmp_path, MEGABYTES)
    yield made
    made.holder.end()


@pytest.fixture
def server(disk: SmallDisk, tmp_path: Path) -> Iterator[ServerOnSmallDisk]:
    """Small segments, so that the WAL frees space soon after a commit."""
    settings = SETTINGS | {"FOOTFALL_WAL__SEGMENT_BYTES": "256KiB"}
    made = ServerOnSmallDisk(disk, lakes.local(tmp_path / "lake"), tmp_path / "server", settings)
    yield made.start()
    made.end()


@pytest.fixture
def site(server: Server) -> str:
    return server.create_site(new_site())


def send_until_refused(server: Server, site: str, seconds: float = 60) -> tuple[list[str], Reply]:
    """What was acknowledged before the first refusal, and the refusal."""
    acknowledged, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        batch = pageviews(site, BATCH)
        reply = server.post(batch)
        if reply.status != 204:
            return acknowledged, reply
        acknowledged += [event["event_id"] for event in batch]
    raise AssertionError(f"{len(acknowledged)} events were acknowledged on a full disk")


def check_refusal(reply: Reply) -> None:
    assert reply.status == 503, reply
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json()["error"]["code"] and reply.json()["error"]["message"]
    assert "/" not in reply.json()["error"]["message"], "the error does not reveal the server's paths"


def wait_until_accepted(server: Server, site: str) -> str:
    """The id of the event that was."""
    event = pageview(site)

    def accepted() -> bool:
        reply = server.post(event)
        if reply.status != 204:
            check_refusal(reply)
        return reply.status == 204

    wait_until(accepted, "the server accepts again by itself")
    return event["event_id"]


def check_all_there(server: Server, site: str, acknowledged: list[str], refused: list[str] = ()) -> None:
    settle(server, site)
    found = event_ids(server, site)
    check_exactly_once(found, acknowledged, refused)
    assert sorted(server.lake.delta_events(["event_id"])["event_id"].to_pylist()) == sorted(found)


def test_full_disk_answers_503_and_recovers(server: ServerOnSmallDisk, disk: SmallDisk, site: str):
    first = pageviews(site, 10)
    server.accept(first)
    server.wait_for_events(site, 10)
    disk.fill()
    acknowledged, reply = send_until_refused(server, site)
    check_refusal(reply)
    acknowledged += [event["event_id"] for event in first]
    assert server.metric("footfall_wal_failed_groups_total") >= 1
    # Still, and other ways in.
    refused = []
    for _ in range(20):
        batch = pageviews(site, BATCH)
        reply = server.post(batch, compress=True)
        check_refusal(reply)
        refused += [event["event_id"] for event in batch]
    assert server.request("GET", "/health").status == 200
    # What was acknowledged still gets into the lake, and queries go on.
    server.wait_for_events(site, len(acknowledged))

    disk.make_room()
    acknowledged.append(wait_until_accepted(server, site))
    assert "cannot store events" in server.output() and "stores events again" in server.output()
    check_all_there(server, site, acknowledged, refused)
    server.kill()
    assert server.wal_verify().returncode == 0, server.wal_verify()
    server.start()
    check_all_there(server, site, acknowledged, refused)


def test_kill_on_full_disk_recovers(server: ServerOnSmallDisk, disk: SmallDisk, site: str):
    """With records in the WAL that the lake doesn't have yet."""
    server.kill()
    server.env["FOOTFALL_INGEST__FLUSH_INTERVAL"] = "1h"
    server.start()
    first = pageviews(site, 200)
    server.accept(first)
    disk.fill()
    acknowledged, reply = send_until_refused(server, site)
    check_refusal(reply)
    acknowledged += [event["event_id"] for event in first]
    server.kill()
    assert server.wal_verify().returncode == 0, server.wal_verify()

    # Started on the full disk: the lake gets the WAL's records.
    server.env["FOOTFALL_INGEST__FLUSH_INTERVAL"] = "100ms"
    server.start()
    server.wait_for_events(site, len(acknowledged))
    server.kill()
    disk.make_room()
    server.start()
    acknowledged.append(wait_until_accepted(server, site))
    check_all_there(server, site, acknowledged)


def test_wal_filled_disk_drains_after_commit(server: ServerOnSmallDisk, disk: SmallDisk, site: str):
    """As after a long outage of the lake: no operator has to delete anything."""
    server.kill()
    server.env |= {"FOOTFALL_INGEST__FLUSH_INTERVAL": "8s", "FOOTFALL_WAL__SEGMENT_BYTES": "1MiB"}
    server.start()
    acknowledged, reply = send_until_refused(server, site)
    check_refusal(reply)
    # Ever smaller ones, until not a single event fits.
    while (reply := server.post(event := pageview(site))).status == 204:
        acknowledged.append(event["event_id"])
    check_refusal(reply)
    assert disk.free < 2 * small_disk.PAGE
    acknowledged.append(wait_until_accepted(server, site))
    check_all_there(server, site, acknowledged)


def test_repeatedly_full_disk_loses_nothing(server: ServerOnSmallDisk, disk: SmallDisk, site: str):
    """The last time it is killed while it is full."""
    with Load(server, site) as load:
        for kill in (False, False, True):
            load.wait_for(more=500)
            disk.fill()
            wait_until(lambda: server.metric("footfall_wal_failed_groups_total") > 0, "the disk refuses")
            time.sleep(0.5)
            if kill:
                server.kill()
                server.start()
            time.sleep(0.5)
            disk.make_room()
        load.wait_for(more=500)
    assert not load.problems, load.problems
    check_all_there(server, site, load.acknowledged, load.refused)


def test_administration_on_full_disk_recovers(server: ServerOnSmallDisk, disk: SmallDisk, site: str):
    disk.fill()
    reply = server.administer("POST", "/api/v1/sites", {"tracking_id": new_site(), "name": "x" * 100})
    assert reply.status == 503 and reply.json()["code"] == "unavailable", reply
    disk.make_room()
    other = server.create_site(new_site())
    server.accept(pageview(other))
    server.wait_for_events(other, 1)
