"""Reports over HTTP: each equals a plain computation over the events, and the SQL that its reply names."""

import csv
import gzip
import io
import json
import os
import random
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import urllib3

import lakes
from events import ago, new_site, pageview, rfc3339
from gateway import BASES, METRICS, Reference, clock_changes, close, instant, random_events
from server import Reply, Server, wait_until

SETTINGS = {"FOOTFALL_INGEST__EVENTS_PER_SECOND": "100000", "FOOTFALL_INGEST__FLUSH_INTERVAL": "200ms",
            "FOOTFALL_GATEWAY__REQUESTS_PER_SECOND": "0"}  # fmt: skip
CHANGES = clock_changes("Europe/Berlin")
TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateway")
    server = Server(lakes.local(folder / "lake"), folder / "server", SETTINGS)
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture(scope="module")
def filled(server: Server) -> Reference:
    """A site in Nepal with events around changes of clocks in Berlin, and of these days."""
    site = server.create_site(new_site(), timezone="Asia/Kathmandu")
    recent = [TODAY - timedelta(days=days) for days in (3, 6, 9, 30)]
    events = random_events(site, seed=16, count=900, days=[*CHANGES, *recent])
    for begin in range(0, len(events), 500):
        server.accept(events[begin : begin + 500])
    server.wait_for_events(site, len(events))
    return Reference(server, site)


def ask(server: Server, token: str | None = None, **request) -> Reply:
    return server.administer("POST", "/api/v1/query", request, token=token)


def report(server: Server, **request) -> dict:
    reply = ask(server, **request)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    return reply.json()


def get(server: Server, path: str, token: str | None = None, **query) -> Reply:
    return server.administer("GET", f"{path}?{urlencode(query)}", token=token)


def found(server: Server, path: str, **query) -> dict:
    reply = get(server, path, **query)
    assert reply.status == 200, reply.body
    return reply.json()


def day(text: str) -> dict:
    return {"start": text, "end": text}


# --- Numbers

DIMENSIONS = {
    "events": ["date", "week", "month", "quarter", "year", "hour", "hour_of_day", "weekday", "country", "device",
               "page_path", "channel", "source", "event_type", "custom_properties.plan", "is_bot"],
    "both": ["date", "week", "month", "hour", "hour_of_day", "weekday", "country", "device", "page_path", "channel"],
}  # fmt: skip

FILTERS = [
    ({}, lambda row: True),
    ({"country": "NP"}, lambda row: row["country"] == "NP"),
    ({"country": ["DE", "US"], "device": "mobile"}, lambda row: row["country"] != "NP" and row["device"] == "mobile"),
    ({"country": {"is_not": "NP"}}, lambda row: row["country"] != "NP"),
    ({"page_path": {"starts_with": "/shoes"}}, lambda row: (row["page_path"] or "").startswith("/shoes")),
    ({"page_path": {"contains": "'"}}, lambda row: "'" in (row["page_path"] or "")),
    ({"page_path": {"matches": "^/s.*7$"}}, lambda row: row["page_path"] == "/shoes/7"),
    (
        {"or": [{"source": "news"}, {"not": {"device": "mobile"}}]},
        lambda row: row["source"] == "news" or row["device"] != "mobile",
    ),
    ({"source": None}, lambda row: row["source"] is None),
]

EVENT_FILTERS = [
    ({"custom_properties.plan": 'pro "max"'}, lambda row: _plan(row) == 'pro "max"'),
    ({"custom_properties.plan": ["pro", None]}, lambda row: _plan(row) in ("pro", None)),
    ({"custom_properties.plan": {"is_not": "pro"}}, lambda row: _plan(row) != "pro"),
    ({"custom_properties.price": {"gte": 20, "lt": 50}}, lambda row: 20 <= _properties(row)["price"] < 50),
    ({"event_revenue": {"between": [10, 500.5]}}, lambda row: row["revenue"] and 10 <= row["revenue"] <= 500.5),
    ({"event_type": {"not_in": ["click", "purchase"]}}, lambda row: row["event_type"] == "pageview"),
]


def _properties(row: dict) -> dict:
    return json.loads(row["custom_properties"])


def _plan(row: dict) -> str | None:
    return _properties(row).get("plan")


def choices(seed: int) -> dict:
    """A random request, and what tells which rows it counts."""
    rng = random.Random(seed)
    of_events = rng.random() < 0.5
    names = [name for name in METRICS if not of_events or BASES[name] == ["events"]]
    metrics = rng.sample(names, rng.randint(1, 5))
    dimensions = rng.sample(DIMENSIONS["events" if of_events else "both"], rng.choice([0, 1, 1, 2]))
    filters, keep = rng.choice(FILTERS + EVENT_FILTERS * of_events)
    first = rng.choice([*CHANGES, TODAY - timedelta(days=10)]) - timedelta(days=rng.randrange(2))
    last = first + timedelta(days=rng.choice([0, 1, 5, 12]))
    zone = rng.choice(["UTC", "Asia/Kathmandu", "Europe/Berlin", "America/St_Johns"])
    return locals()


@pytest.mark.parametrize("seed", range(40))
def test_report_equals_plain_computation(server: Server, filled: Reference, seed: int):
    chosen = choices(seed)
    metrics, dimensions, zone = chosen["metrics"], chosen["dimensions"], chosen["zone"]
    reply = report(
        server,
        tracking_id=filled.site,
        date_range={"start": chosen["first"].isoformat(), "end": chosen["last"].isoformat()},
        metrics=metrics,
        dimensions=dimensions,
        filters=chosen["filters"],
        time_zone=zone,
        limit=10_000,
        fill=False,
    )
    expected = filled.rows(metrics, dimensions, zone, chosen["first"], chosen["last"], chosen["keep"])
    rows = {key(row, dimensions): row for row in reply["rows"]}
    assert len(rows) == len(reply["rows"]) == reply["total_rows"]
    assert set(rows) == set(expected)
    for group, numbers in expected.items():
        for metric, number in numbers.items():
            assert close(rows[group][metric], number), f"{metric} of {group}: {rows[group][metric]}, expected {number}"
    if dimensions:
        (overall,) = filled.rows(metrics, [], zone, chosen["first"], chosen["last"], chosen["keep"]).values()
        assert all(close(reply["totals"][metric], overall[metric]) for metric in metrics), (reply["totals"], overall)
    same_as_sql(server, reply)


def key(row: dict, dimensions: list[str]) -> tuple:
    return tuple(instant(row[name]) if name in ("hour", "minute") else row[name] for name in dimensions)


def same_as_sql(server: Server, reply: dict) -> None:
    """The SQL of the reply, pasted elsewhere, gives the same numbers in the same order."""
    table = server.query(reply["sql"])
    metrics = reply["query"]["metrics"]
    of_sql = [[row[name] for name in metrics] for row in table.to_pylist()]
    of_reply = [[row[name] for name in metrics] for row in reply["rows"]]
    assert len(of_sql) == len(of_reply)
    for ours, theirs in zip(of_reply, of_sql):
        assert all(close(a, None if b is None else float(b)) for a, b in zip(ours, theirs)), reply["sql"]


def test_report_says_where_its_numbers_come_from(server: Server, filled: Reference):
    asked = {"tracking_id": filled.site, "date_range": "last_7_days", "metrics": ["events"], "dimensions": ["city"]}
    before = report(server, **asked)
    assert before["is_sampled"] is False and before["sample_rate"] == 1.0
    # What EXPLAIN says of the same statement: rows and totals.
    statement = report(server, **asked, explain=True)["statement"]["sql"]
    explained = server.query(f"EXPLAIN {statement}").to_pydict()
    assert before["provenance"]["sources"] and all(source in str(explained) for source in before["provenance"]["sources"])
    other = server.create_site(new_site())
    server.accept([pageview(other)])
    server.wait_for_events(other, 1)
    assert report(server, **asked)["provenance"]["snapshot"] > before["provenance"]["snapshot"]
    reader = server.create_token("reader", [asked["tracking_id"]])
    assert report(server, token=reader, **asked)["provenance"]["snapshot"] is None, "others' events move it"


@pytest.mark.parametrize("unit", ["hour", "date", "week", "month", "quarter", "year"])
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Europe/Berlin"])
def test_empty_periods_are_zero(server: Server, filled: Reference, unit: str, zone: str):
    for change in CHANGES:
        first, last = change - timedelta(days=1), change + timedelta(days=14)
        request = {"tracking_id": filled.site, "date_range": {"start": str(first), "end": str(last)}, "time_zone": zone,
                   "metrics": ["events", "sessions", "bounce_rate"], "dimensions": [unit], "limit": 10_000}  # fmt: skip
        reply = report(server, **request)
        seen = filled.rows(request["metrics"], [unit], zone, first, last, lambda row: True)
        rows = {key(row, [unit]): row for row in reply["rows"]}
        assert list(rows) == sorted(rows) and set(seen) <= set(rows)
        hours = 24 * 16 + (zone == "Europe/Berlin") * (1 if change.month > 6 else -1)
        if unit in ("hour", "date"):
            assert len(rows) == {"hour": hours, "date": 16}[unit]
        for group, row in rows.items():
            expected = seen.get(group, {"events": 0, "sessions": 0, "bounce_rate": None})
            assert all(close(row[metric], number) for metric, number in expected.items()), (group, row)
        same_as_sql(server, reply)


def test_default_time_zone_is_the_sites(server: Server, filled: Reference):
    request = {"tracking_id": filled.site, "date_range": day(str(TODAY - timedelta(days=3))), "metrics": ["events"]}
    default, named = report(server, **request), report(server, **request, time_zone="Asia/Kathmandu")
    assert default["query"] == named["query"] and default["rows"] == named["rows"]
    assert default["query"]["time_zone"] == "Asia/Kathmandu" and default["warnings"] == []


def test_comparison_has_the_numbers_of_the_other_range(server: Server, filled: Reference):
    first, last = TODAY - timedelta(days=4), TODAY - timedelta(days=2)
    request = {"tracking_id": filled.site, "metrics": ["events", "unique_users"], "time_zone": "UTC"}
    for compare, shift in (("previous_period", 3), ("same_weekdays", 7)):
        earlier = [day - timedelta(days=shift) for day in (first, last)]
        for dimension in ("date", "country"):
            asked = request | {"dimensions": [dimension], "date_range": {"start": str(first), "end": str(last)}}
            reply = report(server, **asked, compare=compare)
            other = report(server, **request, dimensions=[dimension], date_range={"start": str(earlier[0]), "end": str(earlier[1])})
            numbers = [{name: row[name] for name in request["metrics"]} for row in other["rows"]]
            if dimension == "date":
                assert [row["compare"] for row in reply["rows"]] == numbers
            else:
                by_country = dict(zip([row["country"] for row in other["rows"]], numbers))
                assert {row["country"]: row["compare"] for row in reply["rows"]} == by_country
            assert reply["compare"]["date_range"] == other["query"]["date_range"]
            assert reply["compare"]["totals"] == other["totals"]


def test_pages_are_complete(server: Server, filled: Reference):
    request = {"tracking_id": filled.site, "date_range": "last_60_days", "metrics": ["events"],
               "dimensions": ["page_path", "country", "custom_properties.plan"]}  # fmt: skip
    whole = report(server, **request, limit=10_000)
    pages, cursor = [], {}
    while True:
        page = report(server, **request, **cursor, limit=7)
        pages += page["rows"]
        assert page["total_rows"] == whole["total_rows"]
        if page["next_cursor"] is None:
            break
        assert len(page["rows"]) == 7
        cursor = {"cursor": page["next_cursor"]}
    assert pages == whole["rows"]
    other = ask(server, **request | {"metrics": ["revenue"]}, **cursor)
    assert other.status == 400 and other.json()["field"] == "cursor"


# --- The specification's examples


def test_specified_query_has_the_specified_reply(server: Server, filled: Reference):
    reply = report(
        server,
        tracking_id=filled.site,
        date_range={"start": str(TODAY - timedelta(days=30)), "end": str(TODAY)},
        metrics=["pageviews", "unique_users", "bounce_rate"],
        dimensions=["date", "country", "device"],
        filters={"device": ["desktop", "mobile"], "country": "US"},
        order_by=[{"field": "pageviews", "direction": "desc"}],
        limit=100,
    )
    assert re.fullmatch(r"q_[0-9a-f]{32}", reply["query_id"])
    assert isinstance(reply["execution_time_ms"], int) and reply["is_sampled"] is False
    assert list(reply["rows"][0]) == ["date", "country", "device", "pageviews", "unique_users", "bounce_rate"]
    counts = [row["pageviews"] for row in reply["rows"]]
    assert counts == sorted(counts, reverse=True) and reply["total_rows"] == len(counts)
    assert {row["country"] for row in reply["rows"]} == {"US"}


def test_realtime_counts_the_last_five_minutes(server: Server):
    site = server.create_site(new_site())
    now = datetime.now(UTC)
    visits = [("ann", 1, "/a", {}), ("ann", 2, "/b", {}), ("bob", 3, "/a", {"source": "google", "medium": "organic"}),
              ("cem", 20, "/old", {})]  # fmt: skip
    events = [
        pageview(site, client_id=client, timestamp=rfc3339(now - timedelta(minutes=minutes)), utm=utm,
                 page={"url": f"https://shop.example{path}"}, user={"device": "mobile", "country": "NP"})
        for client, minutes, path, utm in visits
    ]  # fmt: skip
    server.accept(events)
    server.wait_for_events(site, len(events))
    reply = found(server, "/api/v1/realtime", tracking_id=site)
    assert {k: reply[k] for k in ("tracking_id", "active_users", "active_sessions", "events_per_minute")} == {
        "tracking_id": site, "active_users": 2, "active_sessions": 2, "events_per_minute": 1,
    }  # fmt: skip
    assert reply["top_pages"] == [
        {"url": "/a", "active_users": 2, "pageviews": 2},
        {"url": "/b", "active_users": 1, "pageviews": 1},
    ]
    assert reply["traffic_sources"] == {"direct": 1, "organic_search": 1, "social": 0, "referral": 0}
    assert reply["devices"] == {"desktop": 0, "mobile": 2, "tablet": 0}
    assert reply["countries"] == {"NP": 2}
    assert [event["page_path"] for event in reply["last_events"]] == ["/a", "/b", "/a"]
    assert abs(datetime.fromisoformat(reply["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_stream_sends_realtime_again_and_again(server: Server, filled: Reference):
    with listening(server, filled.site) as first, listening(server, filled.site) as second:
        seen = [next_event(first), next_event(first), next_event(second)]
    assert all(data["tracking_id"] == filled.site for data in seen)
    assert seen[0]["timestamp"] < seen[1]["timestamp"]
    # One query serves both.
    assert seen[2] in seen[:2]


def test_many_listeners_cost_one_query(server: Server):
    site = server.create_site(new_site())
    with ExitStack() as stack:
        first = stack.enter_context(listening(server, site))
        next_event(first)
        others = [stack.enter_context(listening(server, site)) for _ in range(60)]
        for other in others:
            next_event(other)
        before = server.metric("footfall_query_seconds_count")
        for _ in range(2):
            timestamps = {next_event(stream)["timestamp"] for stream in others}
        asked = server.metric("footfall_query_seconds_count") - before
        assert len(timestamps) <= 2
    # A query is three statements.
    assert 3 <= asked <= 3 * 4


def listening(server: Server, site: str, token: str | None = None):
    headers = {"Authorization": f"Bearer {token or server.admin_token}"}
    url = f"{server.http}/api/v1/realtime/stream?tracking_id={site}"
    reply = urllib3.PoolManager().request("GET", url, headers=headers, preload_content=False, timeout=30)
    assert reply.status == 200 and reply.headers["content-type"] == "text/event-stream"
    return reply


def next_event(stream) -> dict:
    lines = []
    while True:
        line = stream.readline().decode().rstrip("\n")
        if not line and any(line.startswith("data:") for line in lines):
            break
        lines.append(line)
    assert "event: realtime" in lines
    return json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))


def test_specified_funnel_analysis(server: Server):
    site = server.create_site(new_site())
    steps = [{"name": name, "event_type": name} for name in ("view", "cart", "buy")]
    funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": site, "name": "F", "steps": steps}).json()
    begin = ago(days=2)
    journeys = {"ann": ("DE", 3), "bob": ("DE", 2), "cem": ("US", 1), "dan": ("US", 3)}
    events = [
        pageview(site, client_id=client, event_type=steps[step]["event_type"], user={"country": country},
                 timestamp=rfc3339(begin + timedelta(minutes=77 * step)))
        for client, (country, depth) in journeys.items() for step in range(depth)
    ]  # fmt: skip
    server.accept(events)
    server.wait_for_events(site, len(events))
    path = f"/api/v1/funnels/{funnel['funnel_id']}/analysis"
    days = {"start_date": begin.date() - timedelta(days=1), "end_date": TODAY}
    reply = found(server, path, **days)
    assert reply["funnel_id"] == funnel["funnel_id"] and reply["total_users"] == 4
    assert reply["date_range"] == {"start": str(days["start_date"]), "end": str(days["end_date"])}
    assert reply["steps"] == [
        {"name": "view", "users": 4, "conversion_rate": 1.0, "drop_off_rate": 0.0},
        {"name": "cart", "users": 3, "conversion_rate": 0.75, "drop_off_rate": 0.25},
        {"name": "buy", "users": 2, "conversion_rate": pytest.approx(2 / 3), "drop_off_rate": pytest.approx(1 / 3)},
    ]
    assert reply["overall_conversion_rate"] == 0.5 and reply["avg_time_to_convert"] == "2h 34m"
    broken_down = found(server, path, **days, breakdown_by="country")
    # All of it is one statement: over all as without the breakdown, whatever groups a visitor is in.
    own = ("breakdown", "sql")
    assert {k: v for k, v in broken_down.items() if k not in own} == {k: v for k, v in reply.items() if k not in own}
    groups = broken_down["breakdown"]
    users = {group["value"]: [step["users"] for step in group["steps"]] for group in groups}
    assert users == {"DE": [2, 2, 1], "US": [2, 1, 1]}
    # A funnel that is not saved has the same reply.
    unsaved = {"tracking_id": site, "steps": steps} | {name: str(date) for name, date in days.items()}
    answered = server.administer("POST", "/api/v1/funnels/analysis", unsaved | {"breakdown_by": "country"}).json()
    own = ("funnel_id", "sql")
    assert {k: v for k, v in answered.items() if k not in own} == {k: v for k, v in broken_down.items() if k not in own}
    for change, field in [({"steps": steps[:1]}, "steps"), ({"breakdown_by": "client_id"}, "breakdown_by"), ({"window": "7"}, "window")]:
        refused = server.administer("POST", "/api/v1/funnels/analysis", unsaved | change)
        assert refused.status == 400 and refused.json().get("field") == field, refused.body
    empty = found(server, path, start_date=TODAY - timedelta(days=40), end_date=TODAY - timedelta(days=39))
    assert [step["users"] for step in empty["steps"]] == [0, 0, 0] and empty["avg_time_to_convert"] is None
    refused = get(server, path, breakdown_by="client_id")
    assert refused.status == 400 and "country" in refused.json()["allowed"]


def test_retention_equals_plain_computation(server: Server, filled: Reference):
    zone = "Asia/Kathmandu"
    first = {}
    days = {}
    for row in filled.events:
        local = row["event_timestamp"].astimezone(ZoneInfo(zone)).date()
        first[row["client_id"]] = min(local, first.get(row["client_id"], local))
        days.setdefault(row["client_id"], set()).add(local)
    start = min(CHANGES) - timedelta(days=1)
    for unbounded in (False, True):
        reply = found(server, "/api/v1/retention", tracking_id=filled.site, start_date=start, end_date=start + timedelta(days=200),
                      after="1,2,7,400", unbounded=str(unbounded).lower())  # fmt: skip
        assert reply["time_zone"] == zone
        cohorts = {cohort["cohort_date"]: cohort for cohort in reply["cohorts"]}
        assert set(cohorts) == {str(day) for day in first.values() if day <= start + timedelta(days=200)}
        for name, cohort in cohorts.items():
            members = [client for client, day in first.items() if str(day) == name]
            assert cohort["users"] == len(members)
            for cell in cohort["retention"]:
                after = cell["days_after"]
                born = datetime.fromisoformat(name).date()
                if (datetime.now(ZoneInfo(zone)).date() - born).days <= after:
                    assert cell["users"] is None and cell["retention_rate"] is None
                    continue
                seen = [c for c in members if any((d - born).days == after or unbounded and (d - born).days > after for d in days[c])]
                assert cell["users"] == len(seen) and cell["retention_rate"] == len(seen) / len(members)


def test_sessions_page_by_page_while_events_arrive(server: Server, filled: Reference):
    site = server.create_site(new_site())
    events = random_events(site, seed=3, count=60, days=[TODAY - timedelta(days=4)])
    server.accept(events)
    server.wait_for_events(site, len(events))
    query = {"tracking_id": site, "date_range": "last_7_days", "filters": json.dumps({"device": "mobile"})}
    before = [row["session_id"] for row in found(server, "/api/v1/sessions", **query, limit=1000)["sessions"]]
    seen, cursor, more = [], {}, len(events)
    while True:
        page = found(server, "/api/v1/sessions", **query, **cursor, limit=5)
        seen += [row["session_id"] for row in page["sessions"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        server.accept([pageview(site, client_id=f"late-{more}", timestamp=rfc3339(ago(minutes=1)), user={"device": "mobile"})])
        more += 1
        server.wait_for_events(site, more)
    assert seen == before
    reference = Reference(server, site)
    mobile = [row for row in reference.sessions if row["device"] == "mobile" and row["session_id"] in before]
    assert sorted(row["session_id"] for row in mobile) == sorted(before)


TOTALS = ["events", "pageviews", "purchases", "revenue", "sessions", "first_seen", "last_seen", "user_id"]


def test_visitor_has_a_timeline(server: Server, filled: Reference):
    mine = [row for row in filled.events if row["client_id"] == "visitor-7"]
    path, query = "/api/v1/visitors/visitor-7", {"tracking_id": filled.site, "time_zone": "UTC"}
    reply = found(server, path, **query, limit=1000)
    assert reply["events"] == len(mine) and reply["client_id"] == "visitor-7"
    assert reply["sessions"] == sum(row["client_id"] == "visitor-7" for row in filled.sessions)
    assert close(reply["revenue"], float(sum(row["revenue"] or 0 for row in mine)))
    assert instant(reply["first_seen"]) == instant(min(row["event_timestamp"] for row in mine))
    assert len(reply["timeline"]) == len(mine) and "price" in reply["timeline"][0]["custom_properties"]
    pages, cursor = [], {}
    while True:
        page = found(server, path, **query, **cursor, limit=4)
        # Totals are of all events, on every page.
        assert {name: page[name] for name in TOTALS} == {name: reply[name] for name in TOTALS}
        pages += page["timeline"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert pages == reply["timeline"]
    assert get(server, "/api/v1/visitors/nobody", tracking_id=filled.site).status == 404


# --- SQL


def test_sql_in_each_format(server: Server, filled: Reference):
    sql = f"SELECT event_id, event_timestamp, revenue, country, is_bot FROM events WHERE tracking_id = '{filled.site}' ORDER BY 1"
    expected = server.query(sql)

    def fetch(accept: str) -> bytes:
        token = f"Bearer {server.admin_token}"
        reply = server.request("POST", "/api/v1/sql", sql.encode(), authorization=token, accept=accept)
        assert reply.status == 200 and reply.headers["content-type"] == accept, reply.body
        return reply.body

    ids = expected["event_id"].to_pylist()
    body = json.loads(fetch("application/json"))
    assert [column["name"] for column in body["columns"]] == expected.column_names
    assert [row["event_id"] for row in body["rows"]] == ids
    assert [row["revenue"] for row in body["rows"]] == [r if r is None else float(r) for r in expected["revenue"].to_pylist()]
    lines = fetch("application/x-ndjson").decode().splitlines()
    assert [json.loads(line) for line in lines] == body["rows"]
    rows = list(csv.DictReader(io.StringIO(fetch("text/csv").decode())))
    assert [row["event_id"] for row in rows] == ids and [row["country"] for row in rows] == expected["country"].to_pylist()
    table = pa.ipc.open_stream(fetch("application/vnd.apache.arrow.stream")).read_all()
    assert table.to_pylist() == expected.to_pylist()


def test_sql_is_read_only_and_bound(server: Server, filled: Reference):
    def run(body: dict) -> Reply:
        return server.administer("POST", "/api/v1/sql", body)

    bound = run({"sql": "SELECT count(*) AS n FROM events WHERE tracking_id = $1 AND country = $2", "parameters": [filled.site, "NP"]})
    assert bound.json()["rows"] == [{"n": sum(row["country"] == "NP" for row in filled.events)}]
    assert run({"sql": "SELECT count(*) AS n FROM events WHERE country = $1", "parameters": ["' OR 'a'='a"]}).json()["rows"] == [{"n": 0}]
    for sql, status in [("DELETE FROM events", 403), ("SELECT 1; SELECT 2", 400), ("SELECT nothing FROM events", 400), ("", 400)]:
        refused = run({"sql": sql})
        assert refused.status == status and refused.headers["content-type"] == "application/problem+json", sql
        assert refused.json().get("field") == ("sql" if status == 400 else None), refused.body
    empty = run({"sql": "SELECT 1 AS one WHERE false"}).json()
    assert empty["rows"] == [] and empty["columns"] == [{"name": "one", "type": "Int64"}]


def test_closed_connection_cancels_the_query(server: Server):
    body = b"SELECT count(*) FROM generate_series(1, 300000) a JOIN generate_series(1, 30000000) b ON a.value + b.value < 0"
    host, port = server.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /api/v1/sql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin_token}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until(lambda: server.metric("footfall_queries_running") > 0, "the query runs")
    wait_until(lambda: server.metric("footfall_queries_running") == 0, "the query is cancelled", seconds=10)


# --- Who may ask

ENDPOINTS = [
    ("POST", "/api/v1/query", {"date_range": "today", "metrics": ["events"]}),
    ("GET", "/api/v1/realtime", None),
    ("GET", "/api/v1/realtime/stream", None),
    ("GET", "/api/v1/retention", None),
    ("GET", "/api/v1/sessions", None),
    ("GET", "/api/v1/visitors/visitor-7", None),
    ("POST", "/api/v1/funnels/analysis", {"steps": [{"name": name, "event_type": name} for name in ("a", "b")]}),
    ("POST", "/api/v1/segments/preview", {"filters": {"events": {}}}),
    ("GET", "/api/v1/segments/any/preview", None),
]


def call(server: Server, endpoint: tuple, site: str, token: str) -> Reply:
    method, path, body = endpoint
    if body is None:
        return server.administer(method, f"{path}?tracking_id={quote(site)}", token=token)
    return server.administer(method, path, body | {"tracking_id": site}, token=token)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint[1])
def test_token_of_another_site_learns_nothing(server: Server, filled: Reference, endpoint: tuple):
    other = server.create_site(new_site())
    token = server.create_token("reader", [other])
    theirs, nobodys = (call(server, endpoint, site, token) for site in (filled.site, "site-of-nobody"))
    assert theirs.status == nobodys.status == 404
    assert theirs.body.replace(filled.site.encode(), b"site-of-nobody") == nobodys.body
    assert call(server, endpoint, filled.site, server.create_token("writer", [filled.site])).status == 403
    invalid = call(server, endpoint, filled.site, "ffp_of_nobody")
    assert invalid.status == 401 and "Bearer" in invalid.headers["www-authenticate"]
    assert server.request(endpoint[0], endpoint[1]).status == 401


def test_sql_and_funnels_of_another_site_are_hidden(server: Server, filled: Reference):
    other = server.create_site(new_site())
    token = server.create_token("reader", [other])
    reply = server.administer("POST", "/api/v1/sql", {"sql": "SELECT count(*) AS n FROM events"}, token=token)
    assert reply.json()["rows"] == [{"n": 0}]
    assert server.administer("POST", "/api/v1/sql", {"sql": "SELECT 1"}, token=server.create_token("writer", [other])).status == 403
    steps = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
    funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": filled.site, "name": "F", "steps": steps}).json()
    hidden, missing = (get(server, f"/api/v1/funnels/{name}/analysis", token=token) for name in (funnel["funnel_id"], "none"))
    assert hidden.status == missing.status == 404
    assert hidden.body.replace(funnel["funnel_id"].encode(), b"none") == missing.body
    revoked = server.administer("POST", "/api/v1/tokens", {"role": "reader", "sites": [other]}).json()
    assert server.administer("POST", f"/api/v1/tokens/{revoked['token']['id']}/revoke").status == 200
    assert ask(server, token=revoked["secret"], tracking_id=other, date_range="today", metrics=["events"]).status == 401


HOSTILE = ["' OR '1'='1", "'; DROP TABLE events; --", '"', "$1", "\\", "%", "_", "\u0000", "x" * 250, "ü'", "{}", "/* */", "a.b[0]"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(server: Server, filled: Reference, text: str):
    reader = server.create_token("reader", [filled.site])
    base = {"date_range": "last_60_days", "metrics": ["events"]}
    assert ask(server, reader, **base, tracking_id=text).status == 404
    ours = base | {"tracking_id": filled.site}
    for filters in (
        {"country": text},
        {"country": [text, "XX"]},
        {"page_path": {"contains": "zz" + text}},
        {f"custom_properties.{text}": "x"},
        {f"custom_properties.{text}": {"gt": 0}},
    ):
        reply = ask(server, reader, **ours, filters=filters)
        assert reply.status == 200 and reply.json()["rows"] == [{"events": 0}], (filters, reply.body)
    grouped = ask(server, reader, **ours, dimensions=[f"custom_properties.{text}"]).json()
    assert grouped["total_rows"] == 1 and grouped["rows"][0][f"custom_properties.{text}"] is None
    for field, value in (
        ("metrics", [text]), ("dimensions", [text]), ("time_zone", text), ("date_range", text), ("compare", text), ("cursor", text),
        ("order_by", [{"field": text}]), ("filters", {text: "x"}), ("filters", {"country": {text: "x"}}),
    ):  # fmt: skip
        refused = ask(server, reader, **ours | {field: value})
        assert refused.status == 400 and refused.headers["content-type"] == "application/problem+json", field
    assert get(server, f"/api/v1/visitors/{quote(text, safe='')}", tracking_id=filled.site).status == 404
    assert get(server, "/api/v1/sessions", tracking_id=filled.site, cursor=text).status == 400


def test_refusals_name_field_and_alternatives(server: Server, filled: Reference):
    base = {"tracking_id": filled.site, "date_range": "today", "metrics": ["pageviews"]}
    for change, field, detail in [
        ({"metrics": ["pageview"]}, "metrics[0]", "unknown metric `pageview`; did you mean `pageviews`?"),
        ({"dimensions": ["entry_page"]}, "dimensions[0]", "`pageviews` counts events and can't be asked by `entry_page`"),
        ({"metrics": ["sessions"], "filters": {"city": "X"}}, "filters.city", "`sessions` counts sessions and can't be asked by `city`"),
        ({"limit": 0}, "limit", "the limit is 1 to 10000"),
    ]:
        problem = ask(server, **base | change).json()
        assert problem["field"] == field and problem["detail"].startswith(detail) and problem["status"] == 400
    assert "pageviews" in ask(server, **base | {"metrics": ["x"]}).json()["allowed"]
    assert "unknown field `metric`" in ask(server, **base, metric="x").json()["detail"]
    assert server.administer("GET", "/api/v1/query").status == 405


def test_explain_gives_sql_and_runs_nothing(server: Server, filled: Reference):
    request = {"tracking_id": filled.site, "date_range": "last_60_days", "metrics": ["events"], "dimensions": ["country"]}
    explained = report(server, **request, explain=True)
    assert "rows" in explained and "query_id" not in explained
    run = report(server, **request)
    assert explained["rows"]["sql"] == run["sql"] and explained["query"] == run["query"]
    assert filled.site in explained["rows"]["parameters"] and filled.site not in explained["rows"]["statement"]


def test_meta_lists_what_reports_accept(server: Server, filled: Reference):
    meta = json.loads(server.request("GET", "/api/v1/meta").body)
    assert {metric["name"] for metric in meta["metrics"]} == set(METRICS)
    names = [dimension["name"] for dimension in meta["dimensions"]]
    for metric in meta["metrics"]:
        for dimension in meta["dimensions"]:
            possible = set(metric["of"]) <= set(dimension["of"])
            request = {"tracking_id": filled.site, "date_range": "today", "metrics": [metric["name"]], "explain": True}
            status = ask(server, **request, dimensions=[dimension["name"]]).status
            assert status == (200 if possible else 400), (metric["name"], dimension["name"])
    # Each dimension works.
    for name in names:
        metric = "events" if "events" in meta["dimensions"][names.index(name)]["of"] else "sessions"
        report(server, tracking_id=filled.site, date_range="yesterday", metrics=[metric], dimensions=[name])


# --- A gateway of its own


def test_gateway_alone_asks_another_server(make_server, tmp_path):
    lake = lakes.local(tmp_path / "lake")
    backend: Server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    site = backend.create_site(new_site(), timezone="Asia/Kathmandu")
    backend.accept([pageview(site) for _ in range(10)])
    backend.wait_for_events(site, 10)
    assert ask(backend, tracking_id=site, date_range="today", metrics=["events"]).status == 404, "it has no gateway"
    alone: Server = make_server(lake, "gateway", FOOTFALL_ROLES="gateway", FOOTFALL_GATEWAY__FLIGHT_URL=backend.flight)
    assert not alone.state.exists(), "it needs no state"
    token = backend.create_token("reader", [site])
    reply = ask(alone, token, tracking_id=site, date_range="last_2_days", metrics=["events"])
    assert reply.status == 200 and reply.json()["rows"] == [{"events": 10}], reply.body
    assert "days are UTC" in reply.json()["warnings"][0]
    assert ask(alone, "ffp_of_nobody", tracking_id=site, date_range="today", metrics=["events"]).status == 401
    backend.stop()
    away = ask(alone, token, tracking_id=site, date_range="today", metrics=["events"])
    assert away.status == 503 and away.headers["retry-after"] == "1"
    assert backend.flight.removeprefix("grpc://") not in away.body.decode()
    assert alone.stop() == 0


def test_server_stops_while_streams_are_open(make_server, tmp_path):
    server: Server = make_server(lakes.local(tmp_path / "lake"))
    site = server.create_site(new_site())
    with listening(server, site) as stream:
        next_event(stream)
        assert server.stop() == 0


# --- docs/api.md

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def test_documented_examples_give_the_results_shown(make_server, tmp_path):
    # Dates on the page are fixed; events must not be older than their retention.
    begin = TODAY - timedelta(days=10)
    page = DOCS.read_text()
    # Days of one offset from UTC, as on the page.
    offset = datetime(begin.year, begin.month, begin.day, 12, tzinfo=ZoneInfo("Europe/Berlin")).strftime("%z")
    page = page.replace("2026-11-02T10:", f"2026-11-02T{9 + int(offset[:3]):02}:").replace("+01:00", f"{offset[:3]}:00")
    for shift in range(3):
        page = page.replace(f"2026-11-0{2 + shift}", (begin + timedelta(days=shift)).isoformat())
    blocks = re.findall(r"^```(\w+)\n(.*?)\n?```$", page, re.MULTILINE | re.DOTALL)
    server: Server = make_server(lakes.local(tmp_path / "lake"))
    server.create_site("shop", timezone="Europe/Berlin")
    sent = [{"tracking_id": "shop"} | json.loads(line) for line in blocks[0][1].splitlines()]
    server.accept(sent)
    server.wait_for_events("shop", len(sent))
    steps = [{"name": "View", "event_type": "pageview"}, {"name": "Buy", "event_type": "purchase"}]
    funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": "shop", "name": "F", "steps": steps}).json()
    token = server.create_token("reader", ["shop"])
    env = os.environ | {"FOOTFALL": server.http, "TOKEN": token, "FUNNEL": funnel["funnel_id"]}
    examples = [(command, kind, shown) for (a, command), (kind, shown) in zip(blocks, blocks[1:]) if a == "sh"]
    assert len(examples) == 19
    for command, kind, shown in examples:
        reply = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=True, timeout=60).stdout
        if kind == "csv":
            assert reply.strip() == shown
        else:
            assert shown_in(json.loads(shown), json.loads(reply)), f"{command}\n{reply}"


def shown_in(shown, reply) -> bool:
    """Whether the reply has all that is shown; objects may have more fields."""
    match shown:
        case "…":
            return reply is not None
        case dict():
            return all(name in reply and shown_in(value, reply[name]) for name, value in shown.items())
        case list():
            return len(shown) == len(reply) and all(map(shown_in, shown, reply))
    return shown == reply


# --- Limits


def test_large_and_slow_bodies_are_refused(server: Server, filled: Reference):
    padded = {"tracking_id": filled.site, "date_range": "today", "metrics": ["events"], "filters": {"country": "x" * 70_000}}
    refused = server.administer("POST", "/api/v1/query", padded)
    assert refused.status == 413 and refused.headers["content-type"] == "application/problem+json"
    for body in (b"", b"[]", b"{", b"\xff", b'{"metrics": 1}', b"[" * 60_000):
        token = f"Bearer {server.admin_token}"
        assert server.request("POST", "/api/v1/query", body, authorization=token).status == 400
    host, port = server.http.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = f"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin_token}\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 408 " in connection.recv(4096).split(b"\r\n")[0]


def test_large_result_is_refused_in_one_reply_and_streamed_by_sql(server: Server):
    site = server.create_site(new_site())
    # 4,000 times 6 kB: more than 16 MiB.
    events = [
        pageview(site, page={"url": f"https://x.example/{n}/" + "u" * 1900, "referrer": f"https://y.example/{n}/" + "r" * 3900},
                 custom_properties={})
        for n in range(4_000)
    ]  # fmt: skip
    for begin in range(0, len(events), 100):
        server.accept(events[begin : begin + 100])
    server.wait_for_events(site, len(events))
    wide = {"tracking_id": site, "date_range": "last_2_days", "metrics": ["events"], "dimensions": ["page_url", "referrer", "page_path"]}
    assert len(report(server, **wide, limit=100)["rows"]) == 100
    refused = ask(server, **wide, limit=10_000)
    assert refused.status == 400 and "/api/v1/sql" in refused.json()["detail"]
    sql = f"SELECT page_url, referrer FROM events WHERE tracking_id = '{site}'"
    assert len(server.administer("POST", "/api/v1/sql", {"sql": sql}).json()["rows"]) == len(events)


def test_replies_are_compressed(server: Server, filled: Reference):
    plain = server.request("GET", "/api/v1/meta").body
    for coding in ("gzip", "zstd"):
        url = f"{server.http}/api/v1/meta"
        reply = urllib3.PoolManager().request("GET", url, headers={"accept-encoding": coding}, decode_content=False)
        assert reply.headers["content-encoding"] == coding and len(reply.data) < len(plain) / 3
        unpacked = gzip.decompress(reply.data) if coding == "gzip" else pa.decompress(reply.data, len(plain), "zstd", asbytes=True)
        assert unpacked == plain


def test_openapi_document_describes_every_endpoint(server: Server):
    document = server.request("GET", "/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    # Administration, too, which is another part of the server.
    described = {path.removeprefix("/api/v1/").split("/")[0] for path in document["paths"]}
    assert described >= {"query", "exports", "sql", "meta", "realtime", "funnels", "retention", "sessions", "visitors", "sites", "tokens", "rollups", "segments", "dashboards"}
    for path, methods in document["paths"].items():
        for method in methods:
            # Known to the router: refused for its token, or answered.
            status = server.request(method.upper(), re.sub(r"\{.*?\}", "x", path)).status
            assert status == (200 if path == "/api/v1/meta" else 401), path
