"""Acknowledged events are stored exactly once, however the server ended."""

import time
from collections.abc import Callable

import pytest

from events import new_site, pageview, pageviews
from lakes import Lake
from load import Load, check_exactly_once, event_ids, settle
from server import Server


def test_sigterm_under_load_drains(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake, FOOTFALL_INGEST__FLUSH_INTERVAL="3s")
    site = server.create_site(new_site())
    with Load(server, site) as load:
        load.wait_for(more=500)
        code = server.stop()
    assert code == 0, server.process.output()[-4000:]
    assert not load.problems, load.problems
    # No server runs: the tables hold what the drain has written.
    check_exactly_once(lake.delta_events(["event_id"])["event_id"].to_pylist(), load.acknowledged)

    server.start()
    settle(server, site)
    check_exactly_once(event_ids(server, site), load.acknowledged)


def test_sigterm_when_idle_exits_quickly(lake: Lake, make_server: Callable[..., Server]):
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


def test_repeated_event_is_stored_once(lake: Lake, make_server: Callable[..., Server]):
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


def test_event_ids_are_per_site(server: Server, site: str):
    other = server.create_site(new_site())
    server.accept([pageview(site, event_id="same"), pageview(other, event_id="same")])
    server.wait_for_events(site, 1)
    server.wait_for_events(other, 1)


def test_second_server_on_state_folder_is_refused(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake)
    with pytest.raises(AssertionError, match="ended at once"):
        make_server(lake, name="server")
    assert server.request("GET", "/health").status == 200
