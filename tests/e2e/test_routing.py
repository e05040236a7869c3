"""Aggregates over events are answered from rollups; clients see it, and can compare."""

import json

import adbc_driver_flightsql.dbapi as flightsql
import pytest
from adbc_driver_flightsql import DatabaseOptions
from pyarrow import flight

from commands import Footfall
from events import ago, new_site, pageviews, rfc3339
from readers import statement_command
from server import Server, wait_until

EVENTS = 200


@pytest.fixture
def merged(make_server, lake, tmp_path) -> tuple[Server, str]:
    """A server with one merged day."""
    server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    site = server.create_site(new_site())
    for part in range(2):
        day = rfc3339(ago(days=2))
        ids = {"client_id": f"v{part}", "session_id": f"s{part}", "user": {"user_id": "u"}}
        server.accept(pageviews(site, EVENTS // 2, timestamp=day, revenue="1.25", **ids))
        server.wait_for_events(site, (part + 1) * EVENTS // 2)
    Footfall(server.lake, tmp_path / "cli" / "state").must("compact")
    wait_until(lambda: source(server, "SELECT count(*) FROM events").startswith("rollup"), "segments are used")
    return server, site


def source(server: Server, sql: str, **options) -> str:
    plan = server.query(f"EXPLAIN {sql}", **options).to_pylist()
    return next(row["plan"] for row in plan if row["plan_type"] == "routing").removeprefix("aggregate 1: ").strip()


def statements(site: str) -> list[tuple[str, str]]:
    where = f"FROM events WHERE tracking_id = '{site}'"
    return [
        ("rollup", f"SELECT event_type, count(*), sum(revenue), avg(revenue) {where} GROUP BY 1"),
        ("rollup", f"SELECT date_trunc('day', event_timestamp) AS day, count(*) {where} GROUP BY 1"),
        ("rollup visitors_daily", f"SELECT count(DISTINCT client_id) AS visitors, count(*) AS n {where}"),
        ("rollup visitors_daily", f"SELECT count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users {where}"),
        ("rollup visitors_daily", f"SELECT country, count(DISTINCT coalesce(user_id, client_id)) AS n {where} GROUP BY 1"),
        ("raw events", f"SELECT page_url, count(*) {where} GROUP BY 1 ORDER BY 1"),
    ]


def test_answers_are_the_same_with_and_without_rollups(merged):
    server, site = merged
    for expected, sql in statements(site):
        assert source(server, sql).startswith(expected)
        assert "routing is off" in source(server, sql, routing=False)
        assert server.query(sql) == server.query(sql, routing=False)


def test_provenance_comes_with_the_rows(merged):
    server, site = merged
    (_, sql), *_ = statements(site)
    headers = [(b"authorization", f"Bearer {server.admin_token}".encode())]
    options = flight.FlightCallOptions(headers=headers, timeout=60)
    with flight.connect(server.flight) as client:
        descriptor = flight.FlightDescriptor.for_command(statement_command(sql))
        (endpoint,) = client.get_flight_info(descriptor, options).endpoints
        first = client.do_get(endpoint.ticket, options).read_chunk()
    provenance = json.loads(first.app_metadata.to_pybytes())
    assert (provenance["is_sampled"], provenance["sample_rate"]) == (False, 1.0)
    assert provenance["snapshot"] > 0
    assert provenance["sources"][0].startswith("rollup ")


def test_ended_statements_are_listed(merged):
    server, site = merged
    (_, sql), *_ = statements(site)
    server.query(sql)
    listed = "SELECT source, status, rows, rows_read FROM system.queries WHERE sql = $1 ORDER BY started_at DESC LIMIT 1"
    (found,) = server.query(listed, parameters=[sql]).to_pylist()
    assert found["source"].startswith("rollup ")
    assert (found["status"], found["rows"]) == ("ok", 1)
    assert 0 < found["rows_read"] < EVENTS


def test_reader_sees_no_figures_of_shared_files(merged):
    server, site = merged
    token = server.create_token("reader", [site])
    shown = source(server, "SELECT count(*) FROM events", token=token)
    assert shown == "rollup totals_daily, and events that it does not cover yet"
    assert server.query("SELECT count(*) AS n FROM events", token=token).to_pylist() == [{"n": EVENTS}]


def test_other_values_of_the_option_are_refused(merged):
    server, _ = merged
    options = {
        DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {server.admin_token}",
        DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "footfall.routing": "maybe",
    }
    with flightsql.connect(server.flight, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        with pytest.raises(Exception, match=r"footfall\.routing"):
            cursor.execute("SELECT 1")
