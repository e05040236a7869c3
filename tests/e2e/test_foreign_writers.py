"""Other programs leave writing to us, unless they are let; then ingestion goes on or says why not, and no row counts
twice."""

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import polars as pl
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.exceptions import CommitFailedError

import lakes
from commands import Footfall
from events import ago, new_site, pageview, pageviews, rfc3339
from lakes import Lake
from server import Server, wait_until

BATCH = 20


class Traffic:
    """Sends events of one site without a pause, and every tenth batch a second time."""

    def __init__(self, server: Server, site: str):
        self.server, self.site = server, site
        self.sent: list[dict] = []
        self.failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                batch = [pageview(self.site, timestamp=rfc3339(ago(days=number % 3))) for number in range(BATCH)]
                self.server.accept(batch)
                self.sent += batch
                if len(self.sent) % (10 * BATCH) == 0:
                    self.server.accept(self.sent[-BATCH:])
                self._stop.wait(0.02)
        except Exception as failure:  # noqa: BLE001 (raised again by the test's own thread)
            self.failure = failure

    def wait_for(self, more: int) -> None:
        wanted = len(self.sent) + more
        wait_until(lambda: self.failure is not None or len(self.sent) >= wanted, f"{more} more events are sent")
        assert self.failure is None, self.failure


def opened(lake: Lake) -> DeltaTable:
    return DeltaTable(lake.events, storage_options=lake.storage_options | {"conditional_put": "etag"})


def unlock(lake: Lake, folder: Path) -> None:
    """Lets other programs write the events."""
    assert "table events is unlocked" in Footfall(lake, folder / "state").must("table", "unlock", "events")


def committed(lake: Lake, change: Callable[[DeltaTable], object]) -> None:
    """Commits a change, again if one of our appends came first."""
    for _ in range(20):
        try:
            change(opened(lake))
            return
        except CommitFailedError as failure:
            last = failure
    raise last


def copies(lake: Lake, site: str, to: str) -> pa.Table:
    """The rows of a site as another program would write them for another one."""
    rows = lake.delta_events().filter(pc.field("tracking_id") == site)
    index = rows.column_names.index("tracking_id")
    return rows.set_column(index, rows.schema.field(index), pa.array([to] * rows.num_rows, pa.string()))


def counts(server: Server) -> dict[str, int]:
    rows = server.query("SELECT tracking_id, count(*), count(DISTINCT event_id) FROM events GROUP BY 1").to_pydict()
    sites, events, distinct = rows.values()
    assert events == distinct, "a row is there twice"
    return dict(zip(sites, events, strict=True))


def test_other_programs_read_and_do_not_write(lake: Lake, make_server: Callable[..., Server], tmp_path: Path):
    """Until they are let, and again after they no longer are."""
    server = make_server(lake)
    site = server.create_site(new_site())
    server.accept(pageviews(site, 20))
    server.wait_for_events(site, 20)
    rows = copies(lake, site, "other")
    changes = {
        "append": lambda: write_deltalake(opened(lake), rows, mode="append"),
        "overwrite": lambda: write_deltalake(opened(lake), rows, mode="overwrite"),
        "delete": lambda: opened(lake).delete(),
        "optimize": lambda: opened(lake).optimize.z_order(["client_hash"]),
        "properties": lambda: opened(lake).alter.set_table_properties({"delta.appendOnly": "true"}),
        "polars": lambda: pl.from_arrow(rows).write_delta(opened(lake), mode="append"),
    }

    def check_locked() -> None:
        for name, change in changes.items():
            with pytest.raises(CommitFailedError, match="footfall-exclusiveWriter"):
                change()
            assert lake.delta_events().num_rows == expected, name

    expected = 20
    check_locked()
    with lake.duckdb() as duckdb:
        assert duckdb.execute("SELECT count(*) FROM events").fetchone() == (20,)
    assert pl.read_delta(lake.events, storage_options=lake.storage_options, use_pyarrow=True).height == 20
    assert opened(lake).metadata().name == "events"

    unlock(lake, tmp_path)
    changes["append"]()
    expected = 40
    wait_until(lambda: counts(server) == {site: 20, "other": 20}, "the appended rows are visible")
    server.stop()
    server.start()
    committed(lake, lambda table: table.delete("tracking_id = 'other'"))
    expected = 20
    footfall = Footfall(lake, tmp_path / "state")
    assert "table events is locked" in footfall.must("table", "lock")
    assert "table events is locked already" in footfall.must("table", "lock", "events")
    check_locked()
    assert "there is no table nothing" in footfall.run("table", "lock", "nothing").errors.replace('"', "")
    server.accept(pageview(site))
    server.wait_for_events(site, 21)


def test_ingestion_continues_beside_deltalake(lake: Lake, make_server: Callable[..., Server], tmp_path: Path):
    """Compacted, z-ordered, deleted from, appended to and vacuumed while events come."""
    server = make_server(lake, FOOTFALL_INGEST__FLUSH_INTERVAL="50ms")
    unlock(lake, tmp_path)
    ours, deleted, appended = (server.create_site(new_site()) for _ in range(3))
    server.accept(pageviews(deleted, 50))
    server.wait_for_events(deleted, 50)
    with Traffic(server, ours) as traffic:
        traffic.wait_for(10 * BATCH)
        committed(lake, lambda table: table.optimize.compact())
        traffic.wait_for(5 * BATCH)
        committed(lake, lambda table: table.delete(f"tracking_id = '{deleted}'"))
        traffic.wait_for(5 * BATCH)
        rows = copies(lake, ours, appended)
        committed(lake, lambda table: write_deltalake(table, rows, mode="append"))
        traffic.wait_for(5 * BATCH)
        committed(lake, lambda table: table.optimize.z_order(["client_hash"]))
        opened(lake).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        traffic.wait_for(10 * BATCH)
    assert traffic.failure is None, traffic.failure
    expected = {ours: len(traffic.sent), appended: rows.num_rows}
    wait_until(lambda: counts(server) == expected, f"{expected} are visible")
    assert lake.delta_events(["event_id"]).num_rows == sum(expected.values())

    # The files with most of the ids are gone, their rows are in files of another writer.
    server.kill()
    server.start()
    server.accept([*traffic.sent[: 2 * BATCH], *traffic.sent[-2 * BATCH :], pageview(ours)])
    expected[ours] += 1
    wait_until(lambda: counts(server) == expected, f"{expected} are visible after the restart")
    committed(lake, lambda table: table.optimize.compact())
    server.accept(pageview(ours))
    expected[ours] += 1
    wait_until(lambda: counts(server) == expected, f"{expected} are visible at the end")


def constraint(table: DeltaTable) -> None:
    table.alter.add_constraint({"named": "event_id <> ''"})


def appends_only(table: DeltaTable) -> None:
    table.alter.set_table_properties({"delta.appendOnly": "true"})


@pytest.mark.parametrize(
    ("demand", "mend", "reason"),
    [
        (constraint, lambda table: table.alter.drop_constraint("named"), "delta.constraints.named"),
        (
            appends_only,
            lambda table: table.alter.set_table_properties({"delta.appendOnly": "false"}),
            "delta.appendOnly is true",
        ),
    ],
)
def test_unsupported_feature_stops_server(tmp_path, make_server, demand, mend, reason):
    """The server stops with the reason, at once and at every start. After the repair every event is stored."""
    lake = lakes.local(tmp_path / "lake")
    server = make_server(lake)
    site = server.create_site(new_site())
    server.accept(pageviews(site, 10))
    server.wait_for_events(site, 10)
    unlock(lake, tmp_path)
    demand(opened(lake))
    server.accept(pageviews(site, 10))
    assert server.wait_for_end() != 0
    assert reason in server.output()
    server.launch()
    assert server.wait_for_end() != 0
    assert reason in server.output()
    mend(opened(lake))
    server.start()
    server.wait_for_events(site, 20)


def test_table_with_foreign_column_is_refused(tmp_path, make_server):
    lake = lakes.local(tmp_path / "lake")
    server = make_server(lake)
    server.stop()
    unlock(lake, tmp_path)
    opened(lake).alter.add_columns([Field("mine", "string", nullable=True)])
    server.launch()
    assert server.wait_for_end() != 0
    assert "it has a column mine" in server.output()
