"""The tables are open: other Delta readers see the same events."""

import time
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from events import ago, new_site, pageview, pageviews, rfc3339
from lakes import Lake
from server import Server, wait_until

TOTALS = (
    "SELECT count(*) AS events, count(DISTINCT client_id) AS visitors, sum(revenue) AS revenue, "
    "sum(client_hash % 1000) AS hashes, min(event_timestamp) AS first, max(event_timestamp) AS last, "
    "min(event_date) AS first_day FROM events WHERE tracking_id = '{site}'"
)

DAYS = 3


@pytest.fixture(scope="module")
def filled(shared_server: Server) -> str:
    """A site with three days of events, in several commits."""
    site = shared_server.create_site(new_site())
    for day in range(DAYS):
        batch = pageviews(site, 100, timestamp=rfc3339(ago(days=day)), revenue=f"{day + 1}.0301")
        shared_server.accept(batch)
        shared_server.wait_for_events(site, 100 * (day + 1))
    return site


def by_deltalake(server: Server, site: str) -> pa.Table:
    return server.lake.delta_events().filter(pc.field("tracking_id") == site)


def test_footfall_duckdb_and_deltalake_agree(server: Server, filled: str):
    sql = TOTALS.format(site=filled)
    (ours,) = server.query(sql).to_pylist()
    assert ours["events"] == 100 * DAYS
    assert ours["revenue"] == 100 * (Decimal("1.0301") + Decimal("2.0301") + Decimal("3.0301"))

    with server.lake.duckdb() as duckdb:
        (theirs,) = duckdb.execute(sql).to_arrow_table().to_pylist()
    assert theirs == ours

    table = by_deltalake(server, filled)
    assert table.num_rows == ours["events"]
    assert pc.sum(table["revenue"]).as_py() == ours["revenue"]
    assert pc.count_distinct(table["client_id"]).as_py() == ours["visitors"]


def test_deltalake_reads_same_rows(server: Server, filled: str):
    ours = server.query(f"SELECT * FROM events WHERE tracking_id = '{filled}' ORDER BY event_id")
    theirs = by_deltalake(server, filled).sort_by("event_id").select(ours.column_names)
    assert theirs.to_pylist() == ours.to_pylist()


def test_duckdb_reads_same_rows(server: Server, filled: str):
    sql = f"SELECT * FROM events WHERE tracking_id = '{filled}' ORDER BY event_id"
    with server.lake.duckdb() as duckdb:
        theirs = duckdb.execute(sql).to_arrow_table()
    ours = server.query(sql)
    assert theirs.select(ours.column_names).to_pylist() == ours.to_pylist()


def test_column_comments_in_delta_not_flight(server: Server, filled: str):
    comments = {field.name: field.metadata.get("comment") for field in server.lake.delta_table().schema().fields}
    assert comments["page_path"] == "Path of `page_url`, without query, fragment and trailing slash."
    assert all(comments.values()), comments
    ours = server.query("SELECT * FROM events LIMIT 1").schema
    assert set(ours.names) == set(comments)
    assert not any(field.metadata and b"comment" in field.metadata for field in ours)


def test_table_has_folder_per_day(server: Server, filled: str):
    table = server.lake.delta_table()
    assert table.metadata().partition_columns == ["event_date"]
    days = {str(partition["event_date"]) for partition in table.partitions()}
    dates = server.query(f"SELECT DISTINCT event_date FROM events WHERE tracking_id = '{filled}'")["event_date"]
    assert {str(date) for date in dates.to_pylist()} <= days


def test_checkpointed_table_is_continued(lake: Lake, make_server: Callable[..., Server]):
    """After a hundred versions the Delta log begins with a checkpoint: others read it, and we start from it."""
    server = make_server(lake, FOOTFALL_INGEST__FLUSH_INTERVAL="10ms")
    site = server.create_site(new_site())
    first, sent, deadline = pageview(site), 1, time.monotonic() + 90
    server.accept(first)
    while not lake.has("_delta_log/_last_checkpoint"):
        assert time.monotonic() < deadline, f"no checkpoint at version {lake.delta_table().version()}"
        for event in pageviews(site, 20):
            server.accept(event)
            sent += 1
    server.wait_for_events(site, sent)
    assert lake.delta_table().version() >= 100
    assert lake.delta_events(["event_id"]).num_rows == sent
    with lake.duckdb() as duckdb:
        assert duckdb.execute("SELECT count(*) FROM events").fetchone() == (sent,)

    server.kill()
    server.start()
    # What was seen before the crash is still known, and what comes is added.
    server.accept([first, pageview(site)])
    server.wait_for_events(site, sent + 1)
    wait_until(lambda: lake.delta_events(["event_id"]).num_rows == sent + 1, "deltalake sees the event after the crash")
