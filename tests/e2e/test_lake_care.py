"""`footfall vacuum`, `retention` and `verify` beside a running server."""

import os
import time
from datetime import UTC, datetime, timedelta

import lakes
from commands import Footfall
from events import ago, new_site, pageviews, rfc3339
from server import wait_until

DAY = 86_400


def fill(server, site: str, days: list[int], parts: int = 3) -> int:
    """Events of these days ago, each day in several files; returns their number."""
    sent = 0
    for day in days:
        for _ in range(parts):
            server.accept(pageviews(site, 20, timestamp=rfc3339(ago(days=day))))
            sent += 20
            server.wait_for_events(site, sent)
    return sent


def stored(folder) -> set[str]:
    return {str(path) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def test_vacuum_deletes_what_no_version_names(make_server, tmp_path):
    """Orphans by their age on the disk. Removed files stay for a day."""
    lake = lakes.local(tmp_path / "lake")
    server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    site = server.create_site(new_site())
    sent = fill(server, site, [2])
    footfall = Footfall(lake, tmp_path / "cli" / "state")
    footfall.must("compact", "--date", (datetime.now(UTC) - timedelta(days=2)).date().isoformat())
    events = tmp_path / "lake" / "shard=00" / "events"
    folder = next(events.glob("event_date=*"))
    for name, age in [("old", 4), ("young", 1)]:
        orphan = folder / f"{name}.parquet"
        orphan.write_bytes(b"left by a killed import")
        os.utime(orphan, (time.time() - age * DAY,) * 2)
    before = stored(events)
    assert len(before) == 3 + 1 + 2
    plan = footfall.must("vacuum", "--dry-run")
    assert [line.split() for line in plan.splitlines()[1:]] == [["events", "1", "23", "B", "orphan"]]
    assert stored(events) == before
    footfall.must("vacuum")
    assert before - stored(events) == {str(folder / "old.parquet")}
    assert "Nothing to delete" in footfall.must("vacuum")
    server.wait_for_events(site, sent)


def test_site_and_days_are_removed_at_their_horizon(make_server, lake, tmp_path):
    server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    short, other = (server.create_site(new_site()) for _ in range(2))
    fill(server, short, [1, 5, 20], parts=1)
    fill(server, other, [1, 5, 20], parts=1)
    footfall = Footfall(lake, server.state, FOOTFALL_INGEST__RETENTION="10d")
    footfall.must("compact")
    assert "over for every site" in footfall.must("retention", "--dry-run")
    footfall.must("site", "update", short, "--retention", "3d")
    assert "3d" in footfall.must("site", "list")
    footfall.must("retention")
    assert "Nothing to remove" in footfall.must("retention")

    def counts() -> dict[str, int]:
        rows = server.query("SELECT tracking_id, sum(event_count) FROM events_daily GROUP BY 1").to_pydict()
        sites, events = rows.values()
        return dict(zip(sites, events, strict=True))

    # Events of day 20 are over for both, and the rollups of one of them are too.
    wait_until(lambda: counts() == {short: 20, other: 60}, "only what is kept is visible")
    assert lake.delta_events().num_rows == 60
    with lake.duckdb() as duckdb:
        assert duckdb.execute("SELECT count(*) FROM events").fetchone() == (60,)
    assert "0 differences" in footfall.must("verify")
    assert footfall.run("site", "update", short).code == 2
    assert "whole days" in footfall.run("site", "update", short, "--retention", "36h").errors


def test_verify_names_damaged_file(make_server, tmp_path):
    lake = lakes.local(tmp_path / "lake")
    server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    site = server.create_site(new_site())
    fill(server, site, [2, 3])
    footfall = Footfall(lake, tmp_path / "cli" / "state")
    for day in (2, 3):
        footfall.must("compact", "--date", (datetime.now(UTC) - timedelta(days=day)).date().isoformat())
    assert "2 of 2 merged files, 120 events" in footfall.must("verify")
    assert "1 of 2 merged files, 60 events" in footfall.must("verify", "--sample", "1")
    files = [uri.removeprefix("file://") for uri in lake.delta_table().file_uris()]
    damaged = files[0]
    content = bytearray(open(damaged, "rb").read())
    content[10:200] = bytes(190)
    open(damaged, "wb").write(content)
    found = footfall.run("verify")
    assert found.code == 1
    assert os.path.basename(damaged) in found.output
    assert os.path.basename(files[1]) not in found.output
    assert "2 of 2 merged files" in found.output, "the others are read too"
