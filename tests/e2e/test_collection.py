"""Events in by every transport, out over Flight SQL by every client library."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

import grpc
import pytest

from events import CHROME, ago, new_site, pageview, pageviews, rfc3339
from ingest_rpc import publish, stubs
from lakes import Lake
from readers import READERS, plain
from server import Server

# crates/model pins this hash of ("UA-1", "abc.def"); the column is signed.
UA_1_ABC_DEF = 0x9881455AD7297868 - (1 << 64)

COLUMNS = [
    "tracking_id", "client_hash", "event_timestamp", "event_id", "client_id", "session_id", "user_id", "event_type",
    "page_url", "page_host", "page_path", "page_title", "referrer",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "country", "city", "device", "browser", "os", "source", "channel", "is_bot", "revenue", "custom_properties",
    "created_at", "event_date",
]  # fmt: skip


def stored(server: Server, site: str, columns: str = "*") -> list[dict]:
    return server.query(f"SELECT {columns} FROM events WHERE tracking_id = '{site}' ORDER BY event_id").to_pylist()


@pytest.fixture(scope="module")
def full_event(shared_server: Server) -> dict:
    """One event with every field, sent by HTTP; returns what each of its columns must hold."""
    at = ago(hours=1)
    before = datetime.now(UTC)
    shared_server.create_site("UA-1")
    shared_server.accept(
        {
            "tracking_id": "UA-1",
            "event_id": "full-1",
            "client_id": "abc.def",
            "session_id": "sess_xyz789",
            "event_type": "purchase",
            "timestamp": rfc3339(at),
            "page": {
                "url": "https://Shop.example:443/checkout/?step=3#pay",
                "title": "Kasse – Größe ✓ 日本語 'quoted'",
                "referrer": "https://www.google.com/search?q=running+shoes",
            },
            "user": {
                "user_id": "user_12345",
                "country": "DE",
                "city": "Köln",
                "device": "tablet",
                "browser": "Firefox",
                "os": "Linux",
            },
            "utm": {
                "source": "newsletter",
                "medium": "email",
                "campaign": "spring",
                "term": "shoes",
                "content": "footer",
            },
            "revenue": 129.9501,
            "custom_properties": {"product_id": "prod_789", "price": 99.99, "tags": ["a", None, True]},
        }
    )
    after = datetime.now(UTC)
    shared_server.wait_for_events("UA-1", 1)
    return {
        "tracking_id": "UA-1",
        "client_hash": UA_1_ABC_DEF,
        "event_timestamp": at,
        "event_id": "full-1",
        "client_id": "abc.def",
        "session_id": "sess_xyz789",
        "user_id": "user_12345",
        "event_type": "purchase",
        "page_url": "https://Shop.example:443/checkout/?step=3#pay",
        "page_host": "shop.example",
        "page_path": "/checkout",
        "page_title": "Kasse – Größe ✓ 日本語 'quoted'",
        "referrer": "https://www.google.com/search?q=running+shoes",
        "utm_source": "newsletter",
        "utm_medium": "email",
        "utm_campaign": "spring",
        "utm_term": "shoes",
        "utm_content": "footer",
        "country": "DE",
        "city": "Köln",
        "device": "tablet",
        "browser": "Firefox",
        "os": "Linux",
        "source": "newsletter",
        "channel": "Email",
        "is_bot": False,
        "revenue": Decimal("129.9501"),
        "custom_properties": {"product_id": "prod_789", "price": 99.99, "tags": ["a", None, True]},
        "created_at": (before, after),
        "event_date": at.date(),
    }


@pytest.mark.parametrize("reader", READERS)
def test_full_event_round_trips(server: Server, full_event: dict, reader: str):
    (row,) = READERS[reader](server, "SELECT * FROM events WHERE tracking_id = 'UA-1'")
    row = {name: plain(value) for name, value in row.items()}
    assert list(row) == COLUMNS
    earliest, latest = full_event["created_at"]
    assert earliest - timedelta(seconds=1) <= row["created_at"] <= latest + timedelta(seconds=1)
    row["custom_properties"] = json.loads(row["custom_properties"])
    assert row | {"created_at": None} == full_event | {"created_at": None}


def test_missing_fields_are_null_or_defaulted(server: Server, site: str):
    event = {
        "tracking_id": site,
        "client_id": "visitor",
        "event_type": "pageview",
        "page": {
            "url": "https://shop.example/?utm_campaign=summer%20sale&x=1#utm_term=shoes",
            "referrer": "https://www.google.com/",
        },
    }
    before = datetime.now(UTC)
    reply = server.request(
        "POST", "/api/v1/events", json.dumps(event).encode(), content_type="application/json", user_agent=CHROME
    )
    assert reply.status == 204, reply.body
    server.wait_for_events(site, 1)
    (row,) = stored(server, site)
    assert len(row["event_id"]) == 32
    assert row["session_id"] is None, "none is assigned"
    assert (row["page_host"], row["page_path"]) == ("shop.example", "/")
    assert abs(row["event_timestamp"] - before) < timedelta(seconds=30)
    assert row["event_timestamp"] == row["created_at"], "without a timestamp, the time of receipt is the event's"
    found = {name: row[name] for name in ("browser", "os", "device", "utm_campaign", "utm_term", "source", "is_bot")}
    assert found == {
        "browser": "Chrome",
        "os": "Windows",
        "device": "desktop",
        "utm_campaign": "summer sale",
        "utm_term": "shoes",
        "source": "google",
        "is_bot": False,
    }
    empty = ("user_id", "page_title", "utm_source", "utm_medium", "utm_content", "country", "city")
    assert {name: row[name] for name in (*empty, "revenue", "custom_properties")} == dict.fromkeys(
        (*empty, "revenue", "custom_properties")
    )


def test_crawler_is_flagged_and_kept(server: Server, site: str):
    agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    body = json.dumps(pageview(site)).encode()
    reply = server.request("POST", "/api/v1/events", body, content_type="application/json", user_agent=agent)
    assert reply.status == 204, reply.body
    server.wait_for_events(site, 1)
    assert stored(server, site, "is_bot") == [{"is_bot": True}]


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
def test_batch_of_500_is_stored(server: Server, site: str, compress: bool):
    batch = pageviews(site, 500)
    server.accept(batch, compress=compress)
    server.wait_for_events(site, 500)
    assert [row["event_id"] for row in stored(server, site, "event_id")] == sorted(e["event_id"] for e in batch)


def test_mixed_batch_stores_valid_reports_invalid(server: Server, site: str):
    batch = pageviews(site, 5)
    del batch[1]["event_type"]
    batch[3]["timestamp"] = "yesterday"
    reply = server.post(batch)
    assert reply.status == 200, reply.body
    answer = reply.json()
    assert answer["accepted"] == 3
    rejected = {each["index"]: (each["field"], each["reason"]) for each in answer["rejected"]}
    assert {index: field for index, (field, _) in rejected.items()} == {1: "event_type", 3: "timestamp"}
    assert all(reason for _, reason in rejected.values())
    server.wait_for_events(site, 3)
    assert {row["event_id"] for row in stored(server, site)} == {batch[i]["event_id"] for i in (0, 2, 4)}


def test_batch_without_valid_events_is_refused(server: Server, site: str):
    reply = server.post([{"tracking_id": site}, {"tracking_id": site, "client_id": 7}])
    assert reply.status == 400
    assert reply.json()["accepted"] == 0
    assert [each["index"] for each in reply.json()["rejected"]] == [0, 1]


def test_unknown_site_is_not_found(server: Server):
    reply = server.post(pageview("nobodys-site"))
    assert reply.status == 404
    assert b"nobodys-site" in reply.body


def test_rate_limit_has_retry_after(lake: Lake, make_server: Callable[..., Server]):
    server = make_server(lake, FOOTFALL_INGEST__EVENTS_PER_SECOND="1")
    hasty, other = server.create_site(new_site()), server.create_site(new_site())
    # A whole batch is always allowed at first; it uses up what may come at once.
    server.accept(pageviews(hasty, 500))
    event = pageview(hasty)
    refused = server.post(event)
    assert refused.status == 429
    wait = int(refused.headers["Retry-After"])
    assert 1 <= wait <= 5
    server.accept(pageview(other))
    time.sleep(wait)
    server.accept(event)
    server.wait_for_events(hasty, 501)


def test_send_beacon_is_stored(server: Server, site: str):
    """What a browser's `navigator.sendBeacon` sends: JSON with the content type of text."""
    body = json.dumps(pageviews(site, 2)).encode()
    reply = server.request("POST", "/api/v1/beacon", body, content_type="text/plain;charset=UTF-8")
    assert reply.status == 204, reply.body
    server.wait_for_events(site, 2)


def test_beacon_image_stores_event(server: Server, site: str):
    fields = {
        "tracking_id": site,
        "client_id": "image visitor",
        "event_type": "pageview",
        "page.url": "https://shop.example/thanks?a=1&b=2",
        "page.title": "Thänks",
    }
    reply = server.request("GET", f"/api/v1/beacon?{urlencode(fields)}", user_agent=CHROME)
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Type"] == "image/gif"
    assert "no-store" in reply.headers["Cache-Control"]
    assert reply.body.startswith(b"GIF89a")
    width, height = (int.from_bytes(reply.body[at : at + 2], "little") for at in (6, 8))
    assert (width, height) == (1, 1)
    server.wait_for_events(site, 1)
    (row,) = stored(server, site, "client_id, page_url, page_path, page_title, browser")
    assert row == {
        "client_id": "image visitor",
        "page_url": "https://shop.example/thanks?a=1&b=2",
        "page_path": "/thanks",
        "page_title": "Thänks",
        "browser": "Chrome",
    }


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v1/beacon"])
def test_cross_origin_browsers_may_send(server: Server, site: str, path: str):
    asked = {"origin": "https://shop.example", "access_control_request_method": "POST"}
    preflight = server.request("OPTIONS", path, **asked, access_control_request_headers="content-type,content-encoding")
    assert preflight.status in (200, 204)
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "content-type" in allowed and "content-encoding" in allowed

    body = json.dumps(pageview(site)).encode()
    reply = server.request("POST", path, body, origin="https://shop.example", content_type="application/json")
    assert reply.status == 204
    assert reply.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert reply.headers["Access-Control-Allow-Credentials"] == "true"


def test_grpc_publish_stores_events(server: Server, site: str):
    messages, _ = stubs()
    at = ago(hours=2)

    def event(**fields):
        return messages.Event(tracking_id=site, client_id="grpc", event_type="pageview", **fields)

    full = event(
        event_id="full",
        session_id="s",
        user_id="u",
        event_timestamp=int(at.timestamp()) * 1_000_000 + at.microsecond,
        page_url="https://shop.example/",
        page_title="Home",
        referrer="https://news.example/",
        revenue=1_299_501,
        custom_properties='{"a": 1}',
        utm_source="s",
        utm_medium="m",
        utm_campaign="c",
        utm_term="t",
        utm_content="x",
        country="FR",
        city="Lyon",
        device="mobile",
        browser="Safari",
        os="iOS",
    )
    bad = messages.Event(tracking_id=site, event_type="pageview")
    batches = [
        messages.EventBatch(events=[event(event_id="first"), full]),
        messages.EventBatch(events=[event(event_id="third"), bad]),
    ]
    summary = publish(server, batches)
    assert summary.accepted == 3
    assert [(each.index, each.field) for each in summary.rejected] == [(3, "client_id")]
    assert summary.rejected[0].reason
    server.wait_for_events(site, 3)
    assert [row["event_id"] for row in stored(server, site)] == ["first", "full", "third"]
    (row,) = server.query(f"SELECT * FROM events WHERE tracking_id = '{site}' AND event_id = 'full'").to_pylist()
    expected = {
        "client_id": "grpc", "session_id": "s", "user_id": "u", "event_timestamp": at,
        "page_url": "https://shop.example/", "page_host": "shop.example", "page_path": "/",
        "page_title": "Home", "referrer": "https://news.example/",
        "utm_source": "s", "utm_medium": "m", "utm_campaign": "c", "utm_term": "t", "utm_content": "x",
        "country": "FR", "city": "Lyon", "device": "mobile", "browser": "Safari", "os": "iOS",
        "revenue": Decimal("129.9501"), "custom_properties": '{"a":1}', "event_date": at.date(),
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_grpc_unknown_site_is_not_found(server: Server):
    messages, _ = stubs()
    event = messages.Event(tracking_id="nobodys-site", client_id="c", event_type="pageview")
    with pytest.raises(grpc.RpcError) as caught:
        publish(server, [messages.EventBatch(events=[event])])
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_site_can_require_writer_token(server: Server):
    site = server.create_site(new_site(), writer_token_required=True)
    other = server.create_site(new_site())
    good, wrong = server.create_token("writer", [site]), server.create_token("writer", [other])
    body = json.dumps(pageview(site)).encode()

    def status(**headers: str) -> int:
        return server.request("POST", "/api/v1/events", body, content_type="application/json", **headers).status

    assert status() == 401
    assert status(authorization="Bearer nonsense") == 401
    assert status(authorization=f"Bearer {wrong}") == 403
    assert status(authorization=f"Bearer {good}") == 204
    server.wait_for_events(site, 1)
