"""The tables are open: readers that never heard of Footfall see the same events."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from events import ago, new_site, pageviews, rfc3339
from server import Server

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


def test_deltalake_reads_the_very_same_rows(server: Server, filled: str):
    ours = server.query(f"SELECT * FROM events WHERE tracking_id = '{filled}' ORDER BY event_id")
    theirs = by_deltalake(server, filled).sort_by("event_id").select(ours.column_names)
    assert theirs.to_pylist() == ours.to_pylist()


def test_duckdb_reads_the_very_same_rows(server: Server, filled: str):
    sql = f"SELECT * FROM events WHERE tracking_id = '{filled}' ORDER BY event_id"
    with server.lake.duckdb() as duckdb:
        theirs = duckdb.execute(sql).to_arrow_table()
    ours = server.query(sql)
    assert theirs.select(ours.column_names).to_pylist() == ours.to_pylist()


def test_the_table_has_a_folder_for_each_day(server: Server, filled: str):
    table = server.lake.delta_table()
    assert table.metadata().partition_columns == ["event_date"]
    days = {str(partition["event_date"]) for partition in table.partitions()}
    dates = server.query(f"SELECT DISTINCT event_date FROM events WHERE tracking_id = '{filled}'")["event_date"]
    assert {str(date) for date in dates.to_pylist()} <= days
