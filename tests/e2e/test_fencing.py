"""Two processes that continue one WAL by mistake, such as over a copied state folder: the lake must stay right."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import delta_log
from events import new_site, pageviews
from lakes import Lake
from load import Load, check_exactly_once, event_ids, settle
from server import Server, wait_until

BOTH_WRITE = "two processes write one shard; stop one of them"


@dataclass
class Twins:
    """Two servers over one lake, each with a copy of the same state folder, and what the first one had stored."""

    servers: list[Server]
    site: str
    before: list[str]


@pytest.fixture
def twins(lake: Lake, make_server: Callable[..., Server], tmp_path: Path) -> Twins:
    first = make_server(lake)
    site = first.create_site(new_site())
    events = pageviews(site, 100)
    first.accept(events)
    assert first.stop() == 0
    shutil.copytree(first.state, tmp_path / "copy" / "state")
    return Twins([first.start(), make_server(lake, name="copy")], site, [event["event_id"] for event in events])


def one_that_ended(servers: list[Server]) -> tuple[Server, Server]:
    """The one that was fenced, and the other one."""
    wait_until(lambda: not all(server.process.running for server in servers), "one of the two stops")
    ended = [server for server in servers if not server.process.running]
    assert len(ended) == 1, "both have stopped"
    (survivor,) = [server for server in servers if server is not ended[0]]
    return ended[0], survivor


def check_fencing_message(fenced: Server) -> None:
    assert fenced.wait_for_end() == 1
    assert BOTH_WRITE in fenced.output()
    last = fenced.output().splitlines()[-1]
    assert re.search(r"another writer of .* has committed up to \d+, ours ended at \d+", last), last


def test_copied_wal_fences_one_server(lake: Lake, twins: Twins):
    with Load(twins.servers[0], twins.site, seed=1) as one, Load(twins.servers[1], twins.site, seed=2) as two:
        fenced, survivor = one_that_ended(twins.servers)
        kept, lost = (one, two) if survivor is twins.servers[0] else (two, one)
        check_fencing_message(fenced)
        acknowledged = len(lost.acknowledged)
        kept.wait_for(more=500)
        assert len(lost.acknowledged) == acknowledged, "a fenced server acknowledges nothing more"
    assert not kept.problems and not lost.problems
    settle(survivor, twins.site)
    found = event_ids(survivor, twins.site)
    # What the fenced one had acknowledged is there too if its commit came first; but never twice.
    check_exactly_once(found, [*twins.before, *kept.acknowledged], [*kept.refused, *lost.refused])
    assert sorted(lake.delta_events(["event_id"])["event_id"].to_pylist()) == sorted(found)
    delta_log.read(lake).check()

    # Behind the lake now: it reports that and accepts nothing.
    with pytest.raises(AssertionError, match="old copy of the state"):
        fenced.start()
    assert fenced.wait_for_end() == 1
    assert survivor.request("GET", "/health").status == 200


def test_fenced_wal_ahead_of_lake_is_refused(lake: Lake, twins: Twins):
    """Its records would be taken for those that the other server committed, and be skipped silently."""
    first, copy = twins.servers
    copy.kill()
    copy.env["FOOTFALL_INGEST__FLUSH_INTERVAL"] = "1h"
    copy.start()
    for _ in range(20):
        copy.accept(pageviews(twins.site, 3))
    first.accept(mine := pageviews(twins.site, 10))
    first.wait_for_events(twins.site, len(twins.before) + len(mine))
    copy.kill()
    with pytest.raises(AssertionError, match="continued a copy of this state"):
        copy.start()
    assert copy.wait_for_end() == 1
    # The other one goes on.
    first.accept(more := pageviews(twins.site, 10))
    first.wait_for_events(twins.site, len(twins.before) + len(mine) + len(more))
    assert first.process.running


def test_wal_behind_lake_is_replaced(lake: Lake, twins: Twins):
    first, copy = twins.servers
    copy.kill()
    first.accept(more := pageviews(twins.site, 10))
    first.wait_for_events(twins.site, len(twins.before) + len(more))
    assert first.stop() == 0
    with pytest.raises(AssertionError, match="old copy of the state"):
        copy.start()
    assert copy.wait_for_end() == 1
    wal = copy.state / "wal"
    assert f"move the folder {wal} away" in copy.output()

    wal.rename(wal.with_name("wal.kept"))
    copy.start()
    assert copy.admin_token == first.admin_token
    copy.accept(late := pageviews(twins.site, 10))
    copy.wait_for_events(twins.site, len(twins.before) + len(more) + len(late))
    assert copy.stop() == 0
    # Begun once: the new WAL is continued like any other.
    copy.start().accept(pageviews(twins.site, 1))
    copy.wait_for_events(twins.site, len(twins.before) + len(more) + len(late) + 1)
    delta_log.read(lake).check()


def test_idle_copy_follows_the_lake(lake: Lake, twins: Twins):
    """A copy that ingests nothing follows the lake and answers queries; it is not fenced."""
    first, copy = twins.servers
    first.accept(more := pageviews(twins.site, 10))
    for server in twins.servers:
        server.wait_for_events(twins.site, len(twins.before) + len(more))
        assert server.process.running
    assert copy.stop() == 0
    delta_log.read(lake).check()
