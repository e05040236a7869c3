"""Segments: a report of a segment's visitors equals the plain computation over the events of those visitors."""

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import pytest

import lakes
from commands import Footfall
from events import ago, new_site, pageview, rfc3339
from gateway import METRICS, Reference, Row, close, random_events
from server import Reply, Server

SETTINGS = {"FOOTFALL_INGEST__EVENTS_PER_SECOND": "100000", "FOOTFALL_INGEST__FLUSH_INTERVAL": "200ms"}
TODAY = datetime.now(UTC).date()
ZONE = "Asia/Kathmandu"

# The specification's view: sessions with a conversion, at least 3 of them, with a revenue above 500.
HIGH_VALUE = {"sessions": {"filters": {"converted": True}, "at_least": 3, "revenue": {"gt": 500}}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("segments")
    server = Server(lakes.local(folder / "lake"), folder / "server", SETTINGS)
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture(scope="module")
def filled(server: Server) -> Reference:
    site = server.create_site(new_site(), timezone=ZONE)
    events = random_events(site, seed=61, count=700, days=[TODAY - timedelta(days=days) for days in (2, 5, 12, 30)])
    # Visitors of another site have the same names.
    other = server.create_site(new_site())
    for begin in range(0, len(events), 500):
        server.accept(events[begin : begin + 500])
    server.accept([event | {"tracking_id": other} for event in events[:300]])
    server.wait_for_events(site, len(events))
    server.wait_for_events(other, 300)
    return Reference(server, site)


def create(server: Server, site: str, name: str, filters: dict) -> dict:
    reply = server.administer("POST", "/api/v1/segments", {"tracking_id": site, "name": name, "filters": filters})
    assert reply.status == 201, reply.body
    return reply.json()


def get(server: Server, path: str, token: str | None = None, **query) -> Reply:
    return server.administer("GET", f"{path}?{urlencode(query)}", token=token)


def report(server: Server, token: str | None = None, **request) -> dict:
    reply = server.administer("POST", "/api/v1/query", request, token=token)
    assert reply.status == 200, reply.body
    return reply.json()


# --- Numbers: JSON beside the same in Python

Holds = Callable[[list[Row], list[Row]], bool]


def within(days: int | None, at: str) -> Callable[[Row], bool]:
    """`last_N_days` in the site's time zone, today included."""
    first = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=(days or 0) - 1)
    return lambda row: days is None or row[at].astimezone(ZoneInfo(ZONE)).date() >= first


def random_test(rng: random.Random) -> tuple[dict, Holds]:
    """A condition on the events or the sessions of a visitor."""
    of_events = rng.random() < 0.6
    at = "event_timestamp" if of_events else "session_start"
    days = rng.choice([None, 7, 20])
    filters, keep = rng.choice(
        [
            ({}, lambda row: True),
            ({"country": "DE"}, lambda row: row["country"] == "DE"),
            ({"device": {"is_not": "mobile"}}, lambda row: row["device"] != "mobile"),
        ]
        + [
            ({"event_type": "purchase"}, lambda row: row["event_type"] == "purchase"),
            ({"page_path": {"starts_with": "/shoes"}}, lambda row: (row["page_path"] or "").startswith("/shoes")),
            ({"custom_properties.price": {"gte": 60}}, lambda row: json.loads(row["custom_properties"])["price"] >= 60),
        ]
        * of_events
        + [({"converted": True}, lambda row: row["converted"])] * (not of_events)
    )
    test: dict = {"filters": filters} if filters else {}
    if days:
        test["date_range"] = f"last_{days}_days"
    least, most = rng.choice([(None, None), (2, None), (4, None), (None, 0), (None, 2), (1, 3)])
    test |= {"at_least": least} if least is not None else {}
    test |= {"at_most": most} if most is not None else {}
    over = rng.choice([None, None, 300])
    test |= {"revenue": {"gte": over}} if over is not None else {}
    recent = within(days, at)

    def holds(events: list[Row], sessions: list[Row]) -> bool:
        rows = [row for row in (events if of_events else sessions) if recent(row) and keep(row)]
        enough = len(rows) >= (least if least is not None else 1 if most is None else 0)
        revenue = sum(row["revenue"] or 0 for row in rows)
        return enough and (most is None or len(rows) <= most) and (over is None or revenue >= over)

    return {"events" if of_events else "sessions": test}, holds


def random_segment(rng: random.Random, depth: int = 0) -> tuple[dict, Holds]:
    kind = rng.choice(["test", "test", "and", "or", "not"]) if depth < 2 else "test"
    if kind == "test":
        return random_test(rng)
    parts = [random_segment(rng, depth + 1) for _ in range(1 if kind == "not" else rng.choice([2, 3]))]
    if kind == "not":
        (filters, holds) = parts[0]
        return {"not": filters}, lambda events, sessions: not holds(events, sessions)
    every = all if kind == "and" else any
    return (
        {kind: [filters for filters, _ in parts]},
        lambda events, sessions: every(holds(events, sessions) for _, holds in parts),
    )


def members(filled: Reference, holds: Holds) -> set[str]:
    by_client: dict[str, tuple[list[Row], list[Row]]] = {row["client_id"]: ([], []) for row in filled.events}
    for row in filled.events:
        by_client[row["client_id"]][0].append(row)
    for row in filled.sessions:
        by_client[row["client_id"]][1].append(row)
    return {client for client, rows in by_client.items() if holds(*rows)}


def test_random_segments_equal_plain_computation(server: Server, filled: Reference):
    partial = 0
    for seed in range(30):
        rng = random.Random(seed)
        filters, holds = random_segment(rng)
        name = f"random {seed}"
        create(server, filled.site, name, filters)
        inside = members(filled, holds)
        everybody = {row["client_id"] for row in filled.events}
        partial += 0 < len(inside) < len(everybody)
        reply = get(server, f"/api/v1/segments/{quote(name)}/preview", tracking_id=filled.site)
        assert reply.status == 200, (filters, reply.body)
        preview = reply.json()
        assert (preview["visitors"], preview["total_visitors"]) == (len(inside), len(everybody)), filters
        metrics = rng.sample(list(METRICS), 4)
        first, last = TODAY - timedelta(days=25), TODAY
        way = rng.choice(["segments", "filter", "not"])
        request = {
            "segments": {"segments": [name]},
            "filter": {"filters": {"or": [{"segment": name}, {"country": "nowhere"}]}},
            "not": {"filters": {"not": {"segment": name}}},
        }[way]
        keep = (lambda row, inside=inside: row["client_id"] not in inside) if way == "not" else (
            lambda row, inside=inside: row["client_id"] in inside)  # fmt: skip
        dates = {"start": str(first), "end": str(last)}
        reply = report(server, tracking_id=filled.site, date_range=dates, metrics=metrics, **request)
        expected = filled.rows(metrics, [], ZONE, first, last, keep)[()]
        for metric in metrics:
            assert close(reply["rows"][0][metric], expected[metric]), (filters, way, metric)
        # The SQL that the reply names gives the same.
        row = server.query(reply["sql"]).to_pylist()[0]
        assert all(close(None if row[m] is None else float(row[m]), reply["rows"][0][m]) for m in metrics)
    assert partial >= 10, "otherwise the test says little"


def test_high_value_users_of_the_specification(server: Server):
    site = server.create_site(new_site())
    # Visits with a purchase, and what they brought in.
    visits = {"ann": [200, 200, 200], "bob": [400, 400], "cem": [100, 100, 300], "dan": [300, 300, 0.5], "eve": [0, 0]}
    events = []
    for client, revenues in visits.items():
        for nth, revenue in enumerate(revenues):
            begin = ago(days=10 - nth)
            events.append(pageview(site, client_id=client, timestamp=rfc3339(begin)))
            events.append(pageview(site, client_id=client, timestamp=rfc3339(begin + timedelta(minutes=1)),
                                   event_type="purchase", revenue=str(revenue)))  # fmt: skip
    server.accept(events)
    server.wait_for_events(site, len(events))
    create(server, site, "high_value_users", HIGH_VALUE)
    sql = f"""SELECT client_id FROM sessions WHERE tracking_id = '{site}' AND converted = true
              GROUP BY client_id HAVING COUNT(*) >= 3 AND SUM(revenue) > 500"""
    assert set(server.query(sql)["client_id"].to_pylist()) == {"ann", "dan"}
    reply = report(server, tracking_id=site, date_range="last_30_days", metrics=["unique_users", "revenue"],
                   dimensions=["client_id"], segments=["high_value_users"])  # fmt: skip
    assert {row["client_id"]: row["revenue"] for row in reply["rows"]} == {"ann": 600, "dan": 600.5}
    assert reply["query"]["segments"] == ["high_value_users"] and reply["totals"]["unique_users"] == 2
    # The same elsewhere.
    of = {"tracking_id": site, "segments": "high_value_users"}
    sessions = get(server, "/api/v1/sessions", **of).json()["sessions"]
    assert {session["client_id"] for session in sessions} == {"ann", "dan"} and len(sessions) == 6
    cohorts = get(server, "/api/v1/retention", **of).json()["cohorts"]
    assert sum(cohort["users"] for cohort in cohorts) == 2
    steps = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
    funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": site, "name": "F", "steps": steps}).json()
    saved = get(server, f"/api/v1/funnels/{funnel['funnel_id']}/analysis", segments="high_value_users").json()
    unsaved = server.administer(
        "POST", "/api/v1/funnels/analysis", {"tracking_id": site, "steps": steps, "segments": ["high_value_users"]}
    ).json()
    assert [step["users"] for step in saved["steps"]] == [step["users"] for step in unsaved["steps"]] == [2, 2]


# --- Management


def test_segments_are_managed_over_http_and_by_command(server: Server, tmp_path: Path):
    site = server.create_site(new_site())
    made = create(server, site, "buyers", {"events": {"event_type": "purchase"}})
    assert made["segment_id"].startswith("segment_") and made["filters"] == {"events": {"event_type": "purchase"}}
    path = f"/api/v1/segments/{made['segment_id']}"
    assert get(server, path).json() == made
    assert made in get(server, "/api/v1/segments").json()["segments"]
    body = {"tracking_id": site, "name": "buyers", "filters": {"events": {}}}
    again = server.administer("POST", "/api/v1/segments", body)
    assert again.status == 409 and b"exists already" in again.body
    changed = server.administer("PUT", path, body).json()
    assert changed["filters"] == {"events": {}} and changed["created_at"] == made["created_at"]
    elsewhere = server.administer("PUT", path, body | {"tracking_id": server.create_site(new_site())})
    assert elsewhere.status == 400 and b"stays with its site" in elsewhere.body
    bad = server.administer("POST", "/api/v1/segments", body | {"name": "x", "filters": {"events": {"at_least": "3"}}})
    assert bad.status == 400 and bad.json()["field"] == "filters.events.at_least"
    assert server.administer("POST", "/api/v1/segments", body | {"more": 1}).status == 400
    assert server.administer("DELETE", path).json() == changed
    assert get(server, path).status == 404
    reader = server.create_token("reader", [site])
    assert server.administer("POST", "/api/v1/segments", body, token=reader).status == 403

    footfall = Footfall(server.lake, server.state)
    file = tmp_path / "segment.json"
    file.write_text(json.dumps({"tracking_id": site, "name": "fans", "filters": HIGH_VALUE}))
    at = ("--server", server.http)
    made = json.loads(footfall.must("segment", "create", "--file", file, "--json", *at))
    assert get(server, f"/api/v1/segments/{made['segment_id']}").json() == made
    assert "fans" in footfall.must("segment", "list", *at)
    assert json.loads(footfall.must("segment", "show", made["segment_id"], *at)) == made
    file.write_text(json.dumps({"tracking_id": site, "name": "fans", "filters": {"event": {}}}))
    refused = footfall.run("segment", "update", made["segment_id"], "--file", file, *at)
    assert refused.code == 1 and "did you mean `events`?" in refused.errors
    # Without the server, the same checks.
    refused = footfall.run("segment", "update", made["segment_id"], "--file", file)
    assert refused.code == 1 and "did you mean `events`?" in refused.errors
    assert "is deleted" in footfall.must("segment", "delete", made["segment_id"], *at)


# --- Who may ask


def test_segment_of_another_site_is_not_found(server: Server, filled: Reference):
    mine = server.create_site(new_site())
    theirs = create(server, filled.site, "theirs", {"events": {}})
    token = server.create_token("reader", [mine])
    for known, unknown in (("theirs", "nobodys"), (theirs["segment_id"], "segment_of_nobody")):
        request = {"tracking_id": mine, "date_range": "today", "metrics": ["events"]}
        of = {name: server.administer("POST", "/api/v1/query", request | {"segments": [name]}, token=token) for name in (known, unknown)}
        assert of[known].status == of[unknown].status == 400
        assert of[known].body.replace(known.encode(), unknown.encode()) == of[unknown].body
        previews = [get(server, f"/api/v1/segments/{name}/preview", token, tracking_id=mine) for name in (known, unknown)]
        assert previews[0].status == 400
        assert previews[0].body.replace(known.encode(), unknown.encode()) == previews[1].body
        assert get(server, f"/api/v1/segments/{known}/preview", token, tracking_id=filled.site).status == 404
    unsaved = {"tracking_id": filled.site, "filters": {"events": {}}}
    assert server.administer("POST", "/api/v1/segments/preview", unsaved, token=token).status == 404
    writer = server.create_token("writer", [filled.site])
    assert server.administer("POST", "/api/v1/segments/preview", unsaved, token=writer).status == 403


HOSTILE = ["' OR '1'='1", "'; DROP TABLE events; --", '"', "$1", "\\", "%", "_", "x" * 100, "ü'", "{}", "/* */", "a.b[0]"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(server: Server, filled: Reference, text: str):
    reader = server.create_token("reader", [filled.site])
    filters = {"or": [{"events": {"filters": {"country": text, f"custom_properties.{text}": "x"}}},
                      {"sessions": {"filters": {"source": text}}}]}  # fmt: skip
    create(server, filled.site, text, filters)
    reply = report(server, reader, tracking_id=filled.site, date_range="last_60_days", metrics=["events"], segments=[text])
    assert reply["rows"] == [{"events": 0}]
    preview = get(server, f"/api/v1/segments/{quote(text, safe='')}/preview", reader, tracking_id=filled.site)
    assert preview.json()["visitors"] == 0
    unknown = server.administer(
        "POST", "/api/v1/query",
        {"tracking_id": filled.site, "date_range": "today", "metrics": ["events"], "segments": [text + "?"]}, token=reader,
    )  # fmt: skip
    assert unknown.status == 400 and unknown.json()["field"] == "segments[0]"
    funnel = {"tracking_id": filled.site, "name": text, "steps": [
        {"name": text, "event_type": text, "filters": {text: text}}, {"name": "b", "event_type": "purchase"}]}  # fmt: skip
    analysed = server.administer("POST", "/api/v1/funnels/analysis", funnel, token=reader)
    assert analysed.status == 200 and [step["users"] for step in analysed.json()["steps"]] == [0, 0], analysed.body


# --- Documentation

DOCS = Path(__file__).parents[2] / "docs" / "segments.md"


def test_documented_segments_are_accepted(server: Server, filled: Reference):
    blocks = re.findall(r"^```json\n(.*?)\n?```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    for nth, block in enumerate(blocks):
        body = json.loads(block)
        assert create(server, filled.site, f"documented {nth}", body["filters"])["filters"] == body["filters"]
        preview = server.administer("POST", "/api/v1/segments/preview", body | {"tracking_id": filled.site})
        assert preview.status == 200, preview.body
