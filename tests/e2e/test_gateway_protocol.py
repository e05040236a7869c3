"""Clocks that change by half an hour, one snapshot for a reply, ETag, and the rate limit."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import urllib3

from events import new_site, pageview, rfc3339
from gateway import clock_changes
from gateway_client import fill, get, post, report, serving
from server import Reply, Server

TODAY = datetime.now(UTC).date()
LORD_HOWE = "Australia/Lord_Howe"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("protocol")) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: Server) -> str:
    site = server.create_site(new_site())
    fill(server, site, [pageview(site, client_id=f"v{n % 9}", timestamp=rfc3339(noon(n % 5 + 1))) for n in range(60)])
    return site


def noon(days_ago: int) -> datetime:
    return datetime.combine(TODAY - timedelta(days=days_ago), datetime.min.time(), UTC) + timedelta(hours=12)


# --- Half an hour


@pytest.mark.parametrize("change", clock_changes(LORD_HOWE), ids=str)
def test_hours_are_whole_where_clocks_change_by_half_an_hour(server: Server, change: date):
    """An event every ten minutes: each hour has six, one has three or nine, and none is empty."""
    site = server.create_site(new_site(), timezone=LORD_HOWE)
    zone = ZoneInfo(LORD_HOWE)
    first, last = change - timedelta(days=1), change + timedelta(days=1)
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, last + timedelta(days=1)))
    times = [start + timedelta(minutes=10 * n) for n in range(int((end - start) / timedelta(minutes=10)))]
    fill(server, site, [pageview(site, timestamp=rfc3339(time)) for time in times])
    asked = {"tracking_id": site, "date_range": {"start": str(first), "end": str(last)}, "metrics": ["events"],
             "dimensions": ["hour"], "limit": 1000}  # fmt: skip
    filled, seen = report(server, **asked), report(server, **asked, fill=False)
    assert filled["rows"] == seen["rows"] and len(filled["rows"]) == 72
    longer = datetime(change.year, change.month, change.day, tzinfo=zone).utcoffset() > datetime(
        last.year, last.month, last.day, tzinfo=zone).utcoffset()  # fmt: skip
    assert sorted({row["events"] for row in filled["rows"]}) == ([6, 9] if longer else [3, 6])
    assert sum(row["events"] for row in filled["rows"]) == len(times) == filled["totals"]["events"]
    # A day without events has the same hours, and is compared hour by hour.
    day = {"start": str(change), "end": str(change)}
    compared = report(server, **asked | {"date_range": day}, compare="previous_period")
    assert [row["compare"] for row in compared["rows"]] == [{"events": 6}] * 24
    empty = report(server, **asked | {"tracking_id": server.create_site(new_site(), timezone=LORD_HOWE)})
    assert [row["hour"] for row in empty["rows"]] == [row["hour"] for row in filled["rows"]]


# --- One snapshot


def test_rows_totals_and_comparison_are_of_one_snapshot(server: Server):
    """While events arrive on both days, one for one, rows and totals of each reply agree."""
    site = server.create_site(new_site())
    asked = {"tracking_id": site, "date_range": {"start": str(TODAY - timedelta(days=1)), "end": str(TODAY - timedelta(days=1))},
             "metrics": ["events"], "dimensions": ["country"], "compare": "previous_period"}  # fmt: skip
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            # In one batch, hence in one commit.
            server.accept([pageview(site, timestamp=rfc3339(noon(days)), user={"country": "NP"}) for days in (1, 2)])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        seen = set()
        deadline = time.monotonic() + 30
        while len(seen) < 6 and time.monotonic() < deadline:
            reply = report(server, **asked)
            counts = [row["events"] for row in reply["rows"]] or [0]
            compared = [row["compare"]["events"] for row in reply["rows"]] or [0]
            assert counts == [reply["totals"]["events"]] == compared == [reply["compare"]["totals"]["events"]], reply
            seen.add(counts[0])
    finally:
        stop.set()
        sender.join()
    assert len(seen) >= 6, "events arrived meanwhile"


def test_visitor_is_of_one_snapshot(server: Server):
    """While a visitor's events arrive, totals, sessions and timeline of each reply agree."""
    site = server.create_site(new_site())
    stop = threading.Event()

    def event(hour: int) -> dict:
        """Each is a session of its own."""
        return pageview(site, client_id="ann", timestamp=rfc3339(noon(60) + timedelta(hours=hour)), revenue="1.5")

    def send() -> None:
        for hour in range(1, 1_000):
            if stop.is_set():
                return
            server.accept(event(hour))

    server.accept(event(0))
    server.wait_for_events(site, 1)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        seen = set()
        deadline = time.monotonic() + 30
        while len(seen) < 6 and time.monotonic() < deadline:
            reply = get(server, "/api/v1/visitors/ann", {"tracking_id": site, "limit": 1_000, "time_zone": "UTC"}).json()
            times = [event["event_timestamp"] for event in reply["timeline"]]
            assert reply["events"] == reply["pageviews"] == len(times) and reply["revenue"] == 1.5 * len(times), reply
            assert (reply["last_seen"], reply["first_seen"]) == (times[0], times[-1])
            assert reply["sessions"] == len(times), "events an hour apart are sessions"
            seen.add(len(times))
    finally:
        stop.set()
        sender.join()
    assert len(seen) >= 6, "events arrived meanwhile"


# --- Statements

def prepared(server: Server) -> float:
    """How many statements have been prepared."""
    text = server.request("GET", "/metrics").body.decode()
    counts = re.findall(r'^footfall_flight_requests_total\{[^}]*method="DoAction"[^}]*\} (\S+)$', text, re.MULTILINE)
    return sum(map(float, counts))


def test_statement_is_prepared_once_for_all_values_and_tokens(server: Server, site: str):
    other = server.create_site(new_site())
    fill(server, other, [pageview(other, timestamp=rfc3339(noon(2))) for _ in range(7)])
    tokens = {name: server.create_token("reader", [name]) for name in (site, other)}
    asked = {"date_range": "last_30_days", "metrics": ["events", "revenue_per_visitor"], "filters": {"browser": {"is_not": "none"}}}

    def events(name: str, **changes) -> int:
        return report(server, tokens[name], tracking_id=name, **asked | changes)["rows"][0]["events"]

    assert events(site) == 60
    before = prepared(server)
    assert [events(site), events(other), events(site, date_range="yesterday")] == [60, 7, 12]
    assert prepared(server) == before
    assert post(server, "/api/v1/query", asked | {"tracking_id": site}, tokens[other]).status == 404
    # A token sees its own rows alone, whoever has prepared the statement.
    sql = "SELECT count(*) AS n FROM events WHERE tracking_id = $1"
    counts = [post(server, "/api/v1/sql", {"sql": sql, "parameters": [site]}, tokens[name]).json()["rows"] for name in (site, other)]
    assert counts == [[{"n": 60}], [{"n": 0}]]


def test_prepared_statement_survives_values_that_do_not_fit(server: Server):
    for value, status in ((7, 200), ("seven", 400), (8, 200)):
        reply = post(server, "/api/v1/sql", {"sql": "SELECT 100 + $1 AS n", "parameters": [value]})
        assert reply.status == status, reply.body
        assert status == 400 or reply.json()["rows"] == [{"n": 100 + value}]


# --- ETag


def paths(site: str) -> list[tuple[str, dict]]:
    return [
        ("/api/v1/sessions", {"tracking_id": site, "date_range": "last_7_days"}),
        ("/api/v1/retention", {"tracking_id": site, "date_range": "last_7_days"}),
        ("/api/v1/visitors/v1", {"tracking_id": site}),
        ("/api/v1/meta", {}),
        ("/api/v1/openapi.json", {}),
    ]


def query(site: str, **changes) -> dict:
    return {"tracking_id": site, "date_range": "last_7_days", "metrics": ["events"], "dimensions": ["date"]} | changes


@pytest.mark.parametrize("reader", [False, True], ids=["all sites", "one site"])
def test_reply_that_the_client_has_is_not_sent_again(server: Server, site: str, reader: bool):
    token = server.create_token("reader", [site]) if reader else server.admin_token
    for path, parameters in paths(site):
        first, again = asked_twice(lambda **headers: get(server, path, parameters, token, **headers))
        assert first.headers["etag"].startswith('W/"') and first.headers["cache-control"] == "private, no-cache", path
        assert first.headers["vary"] == "authorization, accept, accept-encoding"
        assert again.body == b"" and again.headers["etag"] == first.headers["etag"], path
        assert again.headers["vary"] == first.headers["vary"] and again.headers["cache-control"] == "private, no-cache"
        assert get(server, path, parameters, token, if_none_match='W/"other"').status == 200
        packed = get(server, path, parameters, token, accept_encoding="gzip", if_none_match=first.headers["etag"])
        assert packed.status == 304 or packed.headers["etag"] != first.headers["etag"]
    asked_twice(lambda **headers: post(server, "/api/v1/query", query(site), token, **headers))


def asked_twice(ask: Callable[..., Reply]) -> tuple[Reply, Reply]:
    """Two replies over one snapshot: compaction makes new ones, too."""
    for _ in range(20):
        first = ask()
        assert first.status == 200, first.body
        again = ask(if_none_match=f'"other", {first.headers["etag"]}')
        if again.status == 304:
            return first, again
        assert again.status == 200 and again.headers["etag"] != first.headers["etag"]
        time.sleep(0.5)
    raise AssertionError("it was never 304")


def test_tag_changes_with_request_and_events(server: Server):
    site = server.create_site(new_site())
    fill(server, site, [pageview(site, timestamp=rfc3339(noon(1)), client_id="ann")])
    reader = server.create_token("reader", [site])
    for number, token in enumerate([server.admin_token, reader]):
        tags = {}
        for name, change in {
            "same": {}, "metric": {"metrics": ["pageviews"]}, "range": {"date_range": "last_6_days"}, "filter": {"filters": {"country": "NP"}},
            "zone": {"time_zone": "Asia/Kathmandu"}, "totals": {"totals": False}, "limit": {"limit": 3}, "compare": {"compare": "previous_period"},
        }.items():  # fmt: skip
            tags[name] = post(server, "/api/v1/query", query(site, **change), token).headers["etag"]
        assert len(set(tags.values())) == len(tags), tags
        # A tag of one request is none of another.
        other = post(server, "/api/v1/query", query(site, limit=3), token, if_none_match=tags["same"])
        assert other.status == 200
        server.accept([pageview(site, timestamp=rfc3339(noon(1)), client_id="ann")])
        server.wait_for_events(site, 2 + number)
        changed = post(server, "/api/v1/query", query(site), token, if_none_match=tags["same"])
        assert changed.status == 200 and changed.headers["etag"] != tags["same"]
        assert changed.json()["totals"]["events"] == 2 + number


def test_events_of_others_do_not_show_in_a_readers_tag(server: Server, site: str):
    reader = server.create_token("reader", [site])
    before = post(server, "/api/v1/query", query(site, totals=False), reader)
    other = server.create_site(new_site())
    fill(server, other, [pageview(other)])
    after = post(server, "/api/v1/query", query(site, totals=False), reader)
    assert before.json()["rows"] == after.json()["rows"] and before.headers["etag"] == after.headers["etag"]


def test_known_snapshot_saves_the_query(server: Server, site: str):
    asked = query(site, time_zone="Asia/Tokyo")
    asked_twice(lambda **headers: post(server, "/api/v1/query", asked, **headers))
    ran = server.query("SELECT sql FROM system.queries")["sql"].to_pylist()
    _, again = asked_twice(lambda **headers: post(server, "/api/v1/query", asked, **headers))
    assert again.status == 304
    new = server.query("SELECT sql FROM system.queries")["sql"].to_pylist()
    # Most often one run, and one look at the snapshot.
    looks = new.count("SELECT 1") - ran.count("SELECT 1")
    runs = sum("Asia/Tokyo" in sql for sql in new) - sum("Asia/Tokyo" in sql for sql in ran)
    assert looks >= 1 and runs == 2 * looks - 1, (looks, runs)


def test_tag_opens_nothing(server: Server, site: str):
    tag = post(server, "/api/v1/query", query(site)).headers["etag"]
    other = server.create_token("reader", [server.create_site(new_site())])
    for token, status in ((other, 404), ("ffp_of_nobody", 401), (server.create_token("writer", [site]), 403)):
        assert post(server, "/api/v1/query", query(site), token, if_none_match=tag).status == status
        assert get(server, *paths(site)[0], token, if_none_match="*").status == status
    for odd in ("*", "", '"', ",,,", 'W/"-"', 'W/"99999999999999999999-0"', "x" * 4000):
        assert post(server, "/api/v1/query", query(site), if_none_match=odd).status == 200


# --- The rate limit


def test_each_token_has_a_rate_limit(tmp_path: Path):
    with serving(tmp_path, FOOTFALL_GATEWAY__REQUESTS_PER_SECOND="2", FOOTFALL_GATEWAY__BURST="5") as server:
        site = server.create_site(new_site())
        one, other = (server.create_token("reader", [site]) for _ in range(2))
        ask = {"tracking_id": site, "date_range": "today", "metrics": ["events"]}
        begin = time.monotonic()
        replies = [post(server, "/api/v1/query", ask, one) for _ in range(30)]
        spent = time.monotonic() - begin
        admitted = sum(reply.status == 200 for reply in replies)
        assert 5 <= admitted <= 6 + 2 * spent
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.headers["content-type"] == "application/problem+json" and refused.headers["retry-after"] == "1"
        assert "2 a second" in refused.json()["detail"]
        assert post(server, "/api/v1/query", ask, other).status == 200, "it is another token"
        assert server.metric("footfall_gateway_rate_limited_total") >= 30 - admitted
        time.sleep(1.1)
        assert post(server, "/api/v1/query", ask, one).status == 200
        # Unknown tokens are refused as such, and their number costs nobody anything.
        assert {post(server, "/api/v1/query", ask, f"ffp_{n}").status for n in range(50)} == {401}
        # Pages without a token have no limit.
        assert {server.request("GET", "/api/v1/meta").status for _ in range(20)} == {200}


def test_unknown_tokens_end_nobodys_queries(server: Server, site: str):
    """A Flight SQL server closes connections on which many tokens are refused: theirs, and not everybody's."""
    reader = server.create_token("reader", [site])
    url = f"{server.http}/api/v1/sql?format=ndjson"
    headers = {"Authorization": f"Bearer {reader}"}
    sql = "SELECT value FROM generate_series(1, 3000000)"
    running = urllib3.PoolManager().request("POST", url, body=sql, headers=headers, preload_content=False, retries=False, timeout=60)
    assert running.status == 200
    for n in range(60):
        assert post(server, "/api/v1/query", query(site), f"ffp_{n}").status == 401
        assert post(server, "/api/v1/sql", {"sql": "SELECT 1"}, f"ffp_{n}").status == 401
        assert post(server, "/api/v1/query", query(site, totals=False), reader).status == 200
    lines = sum(piece.count(b"\n") for piece in running.stream(1 << 20))
    assert lines == 3_000_000
