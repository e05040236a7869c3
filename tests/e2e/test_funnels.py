"""Funnels from the command line to SQL: made, counted before and after `footfall compact`, deleted."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from commands import Footfall
from events import ago, new_site, pageview, rfc3339
from server import Server, wait_until

DOCS = Path(__file__).parents[2] / "docs" / "funnels.md"

PURCHASE = {
    "name": "Purchase Funnel",
    "steps": [
        {"name": "View Product", "event_type": "pageview", "filters": {"page_path": "/products/*"}},
        {"name": "Add to Cart", "event_type": "click", "filters": {"element_id": "add-to-cart"}},
        {"name": "Checkout", "event_type": "pageview", "filters": {"page_path": "/checkout"}},
        {"name": "Purchase", "event_type": "purchase"},
    ],
    "window": "7d",
}

VIEW = {"event_type": "pageview", "page": {"url": "https://shop.example/products/7?color=red"}}
CART = {"event_type": "click", "custom_properties": {"element_id": "add-to-cart"}}
CHECKOUT = {"event_type": "pageview", "page": {"url": "https://shop.example/checkout"}}
BUY = {"event_type": "purchase", "revenue": "19.90"}

MORNING = ago(days=3).replace(hour=10, minute=0, second=0, microsecond=0)


def journey(site: str, client: str, *steps: dict, begin: datetime = MORNING) -> list[dict]:
    """A step a minute."""
    return [
        pageview(site, client_id=client, timestamp=rfc3339(begin + timedelta(minutes=minute)), **step)
        for minute, step in enumerate(steps)
    ]


def create(footfall: Footfall, folder: Path, site: str, definition: dict) -> str:
    file = folder / "funnel.json"
    file.write_text(json.dumps({"tracking_id": site} | definition))
    return json.loads(footfall.must("funnel", "create", "--file", file, "--json"))["funnel_id"]


def results(server: Server, funnel: str, token: str | None = None) -> list[tuple]:
    sql = f"""SELECT step_index, step_name, user_count, conversion_rate FROM funnel_results
              WHERE funnel_id = '{funnel}' ORDER BY date, step_index"""
    return [tuple(row.values()) for row in server.query(sql, token=token).to_pylist()]


def progress(server: Server, funnel: str) -> list[tuple]:
    sql = f"""SELECT client_id, steps_completed, step0_completed, step3_completed, fully_converted, time_to_convert
              FROM funnel_progress WHERE funnel_id = '{funnel}' ORDER BY client_id, entered_at"""
    return [tuple(row.values()) for row in server.query(sql).to_pylist()]


def reads_events(server: Server, funnel: str) -> bool:
    plan = server.query(f"EXPLAIN SELECT * FROM funnel_progress WHERE funnel_id = '{funnel}'").to_pylist()
    physical = next(row["plan"] for row in plan if row["plan_type"] == "physical_plan")
    return "events/event_date" in physical


def test_specified_funnel_from_creation_to_deletion(make_server, lake, tmp_path):
    # A server that does not compact.
    server: Server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    footfall = Footfall(lake, server.state)
    site, other = server.create_site(new_site()), server.create_site(new_site())
    funnel = create(footfall, tmp_path, site, PURCHASE)
    sent = [
        *journey(site, "ann", VIEW, CART, VIEW, CHECKOUT, BUY),
        *journey(site, "bob", VIEW, VIEW, CART, CHECKOUT),
        *journey(site, "cem", CART, VIEW, CHECKOUT, BUY),
        # The window has passed.
        *journey(site, "dan", VIEW, CART, CHECKOUT, begin=MORNING - timedelta(days=8)),
        *journey(site, "dan", BUY),
        *journey(site, "eve", BUY, CHECKOUT),
    ]
    # Several files a day, and an event that is sent twice.
    for part, known in ((sent[::2], len(sent[::2])), (sent[1::2], len(sent)), (sent[:1], len(sent))):
        server.accept(part)
        server.wait_for_events(site, known)
    old_day = [(0, "View Product", 1, 1.0), (1, "Add to Cart", 1, 1.0), (2, "Checkout", 1, 1.0), (3, "Purchase", 0, 0.0)]
    new_day = [
        (0, "View Product", 3, 1.0),
        (1, "Add to Cart", 2, pytest.approx(2 / 3)),
        (2, "Checkout", 2, 1.0),
        (3, "Purchase", 1, 0.5),
    ]
    visitors = [
        ("ann", 4, True, True, True, 240),
        ("bob", 3, True, False, False, None),
        ("cem", 1, True, False, False, None),
        ("dan", 3, True, False, False, None),
    ]
    wait_until(lambda: results(server, funnel) == old_day + new_day, "the funnel is known and counted")
    assert progress(server, funnel) == visitors
    assert reads_events(server, funnel)

    assert results(server, funnel, server.create_token("reader", [site])) == old_day + new_day
    assert results(server, funnel, server.create_token("reader", [other])) == []

    for days in range(2, 14):
        date = (MORNING + timedelta(days=2 - days)).date().isoformat()
        footfall.must("compact", "--date", date)
    wait_until(lambda: not reads_events(server, funnel), "segments are used")
    assert results(server, funnel) == old_day + new_day
    assert progress(server, funnel) == visitors
    folder = f"{lake.data}/shard=00/funnel_steps"
    steps = DeltaTable(folder, storage_options=lake.storage_options).to_pyarrow_table()
    assert steps.num_rows == len(sent)

    # A funnel that is made after the merge, and late events.
    late = create(footfall, tmp_path, site, PURCHASE | {"name": "Short", "steps": PURCHASE["steps"][:2], "window": "1m"})
    server.accept(journey(site, "fay", VIEW, CART))
    server.wait_for_events(site, len(sent) + 2)
    short = [(0, "View Product", 1, 1.0), (1, "Add to Cart", 1, 1.0), (0, "View Product", 4, 1.0), (1, "Add to Cart", 3, 0.75)]
    wait_until(lambda: results(server, late) == short, "the new funnel is known and counted")
    footfall.must("compact", "--date", MORNING.date().isoformat())
    assert "steps of funnels that are newer" in footfall.must("compact")
    wait_until(lambda: not reads_events(server, late), "its segments are used")
    assert results(server, late) == short
    assert progress(server, funnel) == [*visitors, ("fay", 2, True, False, False, None)]

    # Changed in place: the same id, at once, over the same events.
    file = tmp_path / "funnel.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"step_window": "30s", "strict_order": True}))
    changed = json.loads(footfall.must("funnel", "update", late, "--file", file, "--json"))
    assert changed["funnel_id"] == late and changed["step_window"] == "30s"
    slow = [(0, "View Product", 1, 1.0), (1, "Add to Cart", 0, 0.0), (0, "View Product", 4, 1.0), (1, "Add to Cart", 0, 0.0)]
    wait_until(lambda: results(server, late) == slow, "the change is known")
    assert reads_events(server, late)
    footfall.must("compact")
    wait_until(lambda: not reads_events(server, late), "its segments are used")
    assert results(server, late) == slow

    listed = footfall.must("funnel", "list")
    assert funnel in listed and "View Product > Add to Cart > Checkout > Purchase" in listed and "7d" in listed
    assert json.loads(footfall.must("funnel", "show", funnel))["steps"] == PURCHASE["steps"]
    assert "is deleted" in footfall.must("funnel", "delete", funnel)
    wait_until(lambda: results(server, funnel) == [], "it is gone")
    assert results(server, late) == slow
    refused = footfall.run("funnel", "show", funnel)
    assert refused.code == 1 and "there is no funnel" in refused.errors


def test_server_adds_steps_of_new_funnels_to_merged_files(make_server, lake, tmp_path):
    server: Server = make_server(lake)
    footfall = Footfall(lake, server.state)
    site = server.create_site(new_site())
    for sent, client in enumerate(("ann", "bob"), start=1):
        server.accept(journey(site, client, VIEW, CART))
        server.wait_for_events(site, 2 * sent)
    wait_until(lambda: len(lake.delta_table().file_uris()) == 1, "the server has merged the day")
    funnel = create(footfall, tmp_path, site, PURCHASE)
    expected = [(0, "View Product", 2, 1.0), (1, "Add to Cart", 2, 1.0), (2, "Checkout", 0, 0.0), (3, "Purchase", 0, 0.0)]
    wait_until(lambda: results(server, funnel) == expected, "the funnel is known and counted")
    wait_until(lambda: not reads_events(server, funnel), "segments are used")
    assert results(server, funnel) == expected
    assert server.metric("footfall_funnel_backfills_total") >= 1


def test_session_funnel_ends_with_session(make_server, lake, tmp_path):
    server: Server = make_server(lake, FOOTFALL_ROLES="ingest,query,gateway")
    footfall = Footfall(lake, server.state)
    site = server.create_site(new_site())
    definition = {"name": "One visit", "steps": PURCHASE["steps"][:2], "scope": "session"}
    funnel = create(footfall, tmp_path, site, definition)
    assert json.loads(footfall.must("funnel", "show", funnel))["scope"] == "session"
    scroll = {"event_type": "scroll"}
    sent = [
        # What is no step keeps the session going.
        *(journey(site, "ann", step, begin=MORNING + timedelta(minutes=25 * n))[0] for n, step in enumerate((VIEW, scroll, CART))),
        *journey(site, "bob", VIEW),
        *journey(site, "bob", CART, begin=MORNING + timedelta(minutes=30)),
    ]
    server.accept(sent)
    server.wait_for_events(site, len(sent))
    sessions = f"SELECT client_id, count(*) FROM sessions WHERE tracking_id = '{site}' GROUP BY 1 ORDER BY 1"
    assert [tuple(row.values()) for row in server.query(sessions).to_pylist()] == [("ann", 1), ("bob", 2)]

    day = MORNING.date()
    days = {"start_date": str(day), "end_date": str(day)}
    unsaved = {"tracking_id": site} | definition
    text = json.dumps(unsaved).replace("'", "''")

    def all_answers() -> list[list[int]]:
        saved = [users for _, _, users, _ in results(server, funnel)]
        sql = f"SELECT users FROM funnel_of('{text}', '{day}', '{day + timedelta(days=1)}') ORDER BY step_index"
        ad_hoc = server.query(sql).column(0).to_pylist()
        path = f"/api/v1/funnels/{funnel}/analysis?start_date={day}&end_date={day}"
        replies = [
            server.administer("GET", path).json(),
            server.administer("POST", "/api/v1/funnels/analysis", unsaved | days).json(),
        ]
        return [saved, ad_hoc, *([step["users"] for step in reply["steps"]] for reply in replies)]

    wait_until(lambda: all_answers() == [[2, 1]] * 4, "the funnel is known and counted")
    footfall.must("compact", "--date", str(day))
    wait_until(lambda: not reads_events(server, funnel), "segments are used")
    assert all_answers() == [[2, 1]] * 4
    by_visitor = server.administer("POST", "/api/v1/funnels/analysis", unsaved | days | {"scope": "visitor"}).json()
    assert [step["users"] for step in by_visitor["steps"]] == [2, 2]


def test_bad_funnel_is_refused_with_reason(make_server, lake, tmp_path):
    server: Server = make_server(lake)
    site = server.create_site(new_site())
    file = tmp_path / "funnel.json"
    footfall = Footfall(lake, server.state)
    for change, expected in [
        ({"strict_once": True}, "unknown field `strict_once`"),
        ({"scope": "visit"}, "expected `visitor` or `session`"),
        ({"window": "forever"}, "such as 7d, 12h, 30m or 45s"),
        ({"steps": PURCHASE["steps"][:1]}, "expected 2 to 20"),
        ({"tracking_id": "nowhere"}, "create the site first"),
    ]:
        file.write_text(json.dumps({"tracking_id": site} | PURCHASE | change))
        for where in ([], ["--server", server.http]):
            refused = footfall.run("funnel", "create", "--file", file, *where)
            assert refused.code == 1 and expected in refused.errors, refused.errors


def test_documented_examples_give_the_results_shown(make_server, lake, tmp_path):
    # Dates on the page are fixed; events must not be older than their retention.
    day = datetime.now(UTC).date() - timedelta(days=3)
    page = DOCS.read_text()
    for shift in range(3):
        page = page.replace(f"2026-11-0{2 + shift}", (day + timedelta(days=shift)).isoformat())
    blocks = re.findall(r"^```(\w+)\n(.*?)\n?```$", page, re.MULTILINE | re.DOTALL)
    definition, events = (body for language, body in blocks if language == "json")
    server: Server = make_server(lake)
    server.create_site("shop")
    footfall = Footfall(lake, server.state)
    (tmp_path / "funnel.json").write_text(definition)
    footfall.must("funnel", "create", "--file", tmp_path / "funnel.json", "--server", server.http)
    sent = [{"tracking_id": "shop"} | json.loads(line) for line in events.splitlines()]
    server.accept(sent)
    server.wait_for_events("shop", len(sent))
    examples = [(sql, shown) for (a, sql), (b, shown) in zip(blocks, blocks[1:]) if (a, b) == ("sql", "text")]
    assert len(examples) == 6
    for sql, shown in examples:
        found = footfall.must("sql", "--server", server.flight, sql)
        table = "\n".join(line for line in found.splitlines() if line[:1] in "+|")
        assert table == shown, f"{sql}\n{found}"
