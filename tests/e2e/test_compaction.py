"""Compaction by hand and by the server: fewer files, the same numbers, and rollups that need no events."""

from datetime import UTC, datetime, timedelta

import datasketches
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from commands import Footfall
from events import ago, new_site, pageviews, rfc3339
from server import Server, wait_until

DAYS = 3
BY_DAY = "SELECT event_date, {measures} FROM {table} WHERE tracking_id = '{site}' GROUP BY 1 ORDER BY 1"


def fill(server: Server) -> str:
    """Three days of events, each day in several files; returns the site."""
    site = server.create_site(new_site())
    sent = 0
    for day in range(DAYS):
        for part in range(3):
            server.accept(pageviews(site, 50, timestamp=rfc3339(ago(days=day + 1)), revenue=f"{part}.25"))
            sent += 50
            server.wait_for_events(site, sent)
    return site


@pytest.fixture
def filled(make_server, lake) -> tuple[Server, str]:
    """A server that does not compact."""
    server = make_server(lake, FOOTFALL_ROLES="ingest,query")
    return server, fill(server)


def live_files(server: Server) -> int:
    return len(server.lake.delta_table().file_uris())


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


def answers(server: Server, site: str) -> list:
    def ask(table: str, measures: str) -> list:
        sql = BY_DAY.format(table=table, measures=measures, site=site)
        return server.query(sql, routing=table != "events").to_pylist()

    raw = ask("events", "count(*) AS events, sum(revenue) AS revenue, min(event_timestamp) AS first")
    finer = ("events_totals", "events_hourly")
    for view in (*finer, "totals_daily", "countries_daily", "sources_daily"):
        rolled = ask(view, "sum(event_count) AS events, sum(total_revenue) AS revenue, min(first_event) AS first")
        assert rolled == raw, view
    without_times = [{name: row[name] for name in ("event_date", "events", "revenue")} for row in raw]
    for view in ("events_daily", "pages_daily", "visitors_daily", "visits"):
        rolled = ask(view, "sum(event_count) AS events, sum(total_revenue) AS revenue")
        assert rolled == without_times, view
    stitched = "SELECT sum(event_count) AS events, sum(revenue) AS revenue, min(session_start) AS first FROM sessions"
    (sessions,) = server.query(f"{stitched} WHERE tracking_id = '{site}'").to_pylist()
    assert sessions["events"] == sum(row["events"] for row in raw)
    assert sessions["revenue"] == sum(row["revenue"] for row in raw)
    assert sessions["first"] == min(row["first"] for row in raw)
    return raw


def test_merged_days_have_same_numbers(filled, tmp_path):
    server, site = filled
    footfall = Footfall(server.lake, tmp_path / "cli" / "state")
    before = answers(server, site)
    assert [row["events"] for row in before] == [150] * DAYS
    files = len(server.lake.delta_table().file_uris())
    assert files == 3 * DAYS

    assert footfall.must("compact", "--dry-run").count("the day is over") >= DAYS - 1
    assert len(server.lake.delta_table().file_uris()) == files, "a dry run merges nothing"
    for day in range(DAYS):
        assert "3 files -> 1, 150 events" in footfall.must("compact", "--date", days_ago(day + 1))
        assert answers(server, site) == before
    assert len(server.lake.delta_table().file_uris()) == DAYS

    def is_routed() -> bool:
        plan = server.query("EXPLAIN SELECT sum(event_count) FROM events_daily").to_pylist()
        physical = next(row["plan"] for row in plan if row["plan_type"] == "physical_plan")
        return "rollups/events_daily" in physical and "/events/event_date" not in physical

    wait_until(is_routed, "the view reads segments alone")
    assert answers(server, site) == before
    assert server.lake.delta_events().num_rows == 150 * DAYS
    with server.lake.duckdb() as duckdb:
        assert duckdb.execute("SELECT count(*), sum(revenue) FROM events").fetchone() == (
            150 * DAYS,
            sum(row["revenue"] for row in before),
        )
    folder = f"{server.lake.data}/shard=00/rollups/events_daily"
    segments = DeltaTable(folder, storage_options=server.lake.storage_options).to_pyarrow_table()
    assert pc.sum(segments["event_count"]).as_py() == 150 * DAYS
    assert "Nothing to merge" in footfall.must("compact")


def test_events_after_merge_are_counted_at_once(filled, tmp_path):
    server, site = filled
    Footfall(server.lake, tmp_path / "cli" / "state").must("compact", "--date", days_ago(1))
    server.accept(pageviews(site, 7, timestamp=rfc3339(ago(days=1))))
    server.wait_for_events(site, 150 * DAYS + 7)
    assert answers(server, site)[-1]["events"] == 157


def test_server_merges_closed_days_by_itself(make_server, lake):
    server = make_server(lake)
    site = fill(server)
    before = answers(server, site)
    # Yesterday counts as over two hours after its end, so it may or may not be merged yet.
    wait_until(lambda: live_files(server) <= DAYS + 2, "the days that are over are one file each", seconds=60)
    assert answers(server, site) == before
    assert server.metric("footfall_compactions_total") >= DAYS - 1
    assert server.lake.delta_events().num_rows == 150 * DAYS
    server.stop()
    server.start()
    assert answers(server, site) == before


def test_compactor_of_its_own_takes_turns_with_the_server(make_server, lake):
    """Two compactors with a catalog each: neither knows of the other's lease, and the lake tells them apart."""
    quick = {
        # Longer than a busy machine takes from one file to the next: a file that is merged alone is no fewer.
        "FOOTFALL_COMPACT__FRESH_AGE": "3s",
        "FOOTFALL_COMPACT__FRESH_BYTES": "1KiB",
        "FOOTFALL_COMPACT__LEASE": "1s",
    }
    server = make_server(lake, **quick)
    alone = make_server(lake, "compactor", FOOTFALL_ROLES="compact", **quick)
    site = server.create_site(new_site())
    for part in range(20):
        server.accept(pageviews(site, 50, revenue=f"{part}.25"))
        server.wait_for_events(site, 50 * (part + 1))
        assert sum(row["events"] for row in answers(server, site)) == 50 * (part + 1)
    wait_until(lambda: live_files(server) < 15, "files were merged", seconds=60)
    assert sum(row["events"] for row in answers(server, site)) == 1_000
    assert server.metric("footfall_compactions_total") + alone.metric("footfall_compactions_total") >= 1
    assert alone.stop() == 0
    assert server.lake.delta_events().num_rows == 1_000


def test_other_programs_read_and_make_sketches(filled, tmp_path):
    """The PyPI library reads the segments' sketches, unites them with its own, and Footfall reads the result."""
    server, site = filled
    footfall = Footfall(server.lake, tmp_path / "cli" / "state")
    footfall.must("compact", "--date", days_ago(1))
    folder = f"{server.lake.data}/shard=00/rollups/events_hourly"
    segments = DeltaTable(folder, storage_options=server.lake.storage_options).to_pyarrow_table()
    assert segments.num_rows > 0

    visitors = server.query(f"SELECT DISTINCT client_id FROM events WHERE event_date = DATE '{days_ago(1)}'")
    visitors = visitors["client_id"].to_pylist()
    own = datasketches.hll_sketch(12)
    for visitor in visitors:
        own.update(visitor)
    stored = datasketches.hll_union(12)
    for sketch in segments["visitors_sketch"].to_pylist():
        stored.update(datasketches.hll_sketch.deserialize(sketch))
    assert stored.get_result().get_estimate() == pytest.approx(len(visitors), rel=0.01)

    # The same visitors have the same hashes: nothing is added by our own sketch of them.
    both = datasketches.hll_union(12)
    both.update(stored.get_result())
    both.update(own)
    assert both.get_result().get_estimate() == pytest.approx(stored.get_result().get_estimate(), rel=1e-9)

    for bytes_of in (own.serialize_compact(), own.serialize_updatable()):
        estimate = server.query(f"SELECT hll_estimate(decode('{bytes(bytes_of).hex()}', 'hex')) AS visitors")
        assert estimate["visitors"].to_pylist() == [len(visitors)]


def test_visitors_are_counted_exactly(filled, tmp_path):
    server, site = filled
    where = f"WHERE tracking_id = '{site}'"
    raw = f"SELECT event_date, count(DISTINCT client_id) AS visitors FROM events {where} GROUP BY 1 ORDER BY 1"
    exact = server.query(raw, routing=False).to_pylist()
    assert sum(row["visitors"] for row in exact) > DAYS
    for day in range(DAYS):
        for visitors, view in (("count(DISTINCT client_hash)", "visits"), ("sum(unique_users)", "sources_daily")):
            sql = f"SELECT event_date, {visitors} AS visitors FROM {view} {where} GROUP BY 1 ORDER BY 1"
            # All come from one source, so that no visitor is in two rows of a day.
            assert server.query(sql).to_pylist() == exact, view
        Footfall(server.lake, tmp_path / "cli" / "state").must("compact", "--date", days_ago(day + 1))
