"""A repeated event is stored once within the dedupe window, whose length the server reports."""

from collections.abc import Callable
from pathlib import Path

from commands import Footfall
from events import new_site, pageviews
from lakes import Lake
from load import check_exactly_once, event_ids, settle
from server import Server

FORGETS = "there are more event ids than dedupe_ids keeps"


def ids(events: list[dict]) -> list[str]:
    return [event["event_id"] for event in events]


def test_restart_after_merge_and_vacuum_recalls_newest_ids(lake: Lake, make_server: Callable[..., Server], tmp_path: Path):
    server = make_server(lake, FOOTFALL_INGEST__DEDUPE_IDS="400")
    site = server.create_site(new_site())
    older, newest = pageviews(site, 1_000), pageviews(site, 150)
    for events in (older[:500], older[500:], newest):
        server.accept(events)
        settle(server, site)
    assert server.stop() == 0
    Footfall(lake, tmp_path / "state").must("table", "unlock", "events")
    # Another program's merge: one file with more rows than there are ids, and nothing of ours about its origin.
    table = lake.delta_table()
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    server.start()
    server.accept(newest)
    settle(server, site)
    found = [event for event in event_ids(server, site) if not event.startswith("marker-")]
    check_exactly_once(found, ids(older + newest))
    assert server.metric("footfall_writer_duplicates_total") == len(newest)


def test_shortened_dedupe_window_is_reported(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake, FOOTFALL_INGEST__DEDUPE_IDS="200")
    site = server.create_site(new_site())
    server.accept(pageviews(site, 90))
    settle(server, site)
    assert FORGETS not in server.output()
    for _ in range(4):
        server.accept(pageviews(site, 90))
    settle(server, site)
    assert server.output().count(FORGETS) == 1, "logged once, not with every batch"
    assert "dedupe_window" in server.output()
    assert 100 <= server.metric("footfall_writer_dedupe_ids") <= 200
    assert 0 < server.metric("footfall_writer_dedupe_window_seconds") < 60
