#!/usr/bin/env python3
"""Loads files of `make_events.py` into ClickHouse or DuckDB, or asks there; prints a line of JSON.

A process of its own, so that its memory is free afterwards, and so that a question can be the first one.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from answers import plain
from peers import MORE, timed
from repeat import repeat

MEMORY_BYTES = 8 * 2**30

# What ClickHouse's manual recommends: columns of few values by dictionary, nothing else compressed beyond the default.
CLICKHOUSE_TABLE = """
CREATE TABLE bench.events (
    tracking_id LowCardinality(String), event_timestamp DateTime64(6, 'UTC'), event_id String, client_id String,
    session_id String, user_id Nullable(String), event_type LowCardinality(String),
    page_url LowCardinality(Nullable(String)), page_path LowCardinality(Nullable(String)),
    page_title LowCardinality(Nullable(String)), referrer LowCardinality(Nullable(String)), {more},
    revenue Nullable(Decimal(18, 4)), custom_properties Nullable(String)
) ENGINE = MergeTree PARTITION BY toYYYYMM(event_timestamp) ORDER BY (tracking_id, event_timestamp)
"""
CLICKHOUSE_HOURLY = """
CREATE TABLE bench.hourly (
    tracking_id LowCardinality(String), hour DateTime('UTC'), event_type LowCardinality(String),
    country LowCardinality(Nullable(String)), device LowCardinality(Nullable(String)),
    events SimpleAggregateFunction(sum, UInt64), revenue SimpleAggregateFunction(sum, Nullable(Decimal(38, 4))),
    visitors AggregateFunction(uniq, String), sessions AggregateFunction(uniq, String)
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(hour) ORDER BY (tracking_id, hour, event_type, country, device)
SETTINGS allow_nullable_key = 1
"""
# A view fills it while events are inserted, as one would have it.
CLICKHOUSE_VIEW = """
CREATE MATERIALIZED VIEW bench.hourly_view TO bench.hourly AS
SELECT tracking_id, toStartOfHour(event_timestamp) AS hour, event_type, country, device, count() AS events,
    sum(events.revenue) AS revenue, uniqState(client_id) AS visitors, uniqState(session_id) AS sessions
FROM bench.events AS events GROUP BY tracking_id, hour, event_type, country, device
"""
_COLUMNS = f"""tracking_id, event_timestamp, event_id, client_id, session_id, user_id, event_type, page_url, page_path,
    page_title, referrer, {", ".join(MORE)}, revenue, custom_properties"""
_SOURCE = _COLUMNS.replace("page_path", "{path} AS page_path")


class ClickHouse:
    def __init__(self, folder: Path):
        from chdb import session

        self._database = session.Session(str(folder))
        self._database.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        self._database.query("USE bench")
        for setting, value in (("max_threads", os.cpu_count()), ("max_memory_usage", MEMORY_BYTES)):
            self._database.query(f"SET {setting} = {value}")

    def load(self, files: list[Path]) -> dict:
        more = ", ".join(f"{name} LowCardinality(Nullable(String))" for name in MORE)
        for sql in (CLICKHOUSE_TABLE.format(more=more), CLICKHOUSE_HOURLY, CLICKHOUSE_VIEW):
            self._database.query(sql)
        # Each view's block is as large as the insert's, and its states take memory.
        self._database.query("SET max_insert_threads = 1")
        source = _SOURCE.format(path="path(page_url)")

        def load() -> None:
            for file in files:
                self._database.query(f"INSERT INTO bench.events SELECT {source} FROM file('{file}', Parquet)")
            for table in ("events", "hourly"):
                self._database.query(f"OPTIMIZE TABLE bench.{table} FINAL")

        cost = timed(load)
        sums = "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE database = 'bench' AND active "
        parts = {table: (rows, size) for table, rows, size in self.ask(sums + "GROUP BY table").rows()}
        ((version,),) = self.ask("SELECT version()").rows()
        return cost | {
            "name": f"ClickHouse {version}",
            "rows": parts["events"][0],
            "bytes": parts["events"][1],
            "rollup_rows": parts["hourly"][0],
            "rollup_bytes": parts["hourly"][1],
        }

    def ask(self, sql: str) -> "ClickHouseAnswer":
        return ClickHouseAnswer(self._database.query(sql, "Arrow"))


class ClickHouseAnswer:
    def __init__(self, result):
        self._result = result
        self.server_seconds = result.elapsed()

    def rows(self) -> list[tuple]:
        import pyarrow as pa

        table = pa.ipc.open_file(pa.py_buffer(self._result.bytes())).read_all()
        return rows_of(table)


def rows_of(table) -> list[tuple]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


class DuckDb:
    def __init__(self, folder: Path):
        import duckdb

        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "events.duckdb"
        self._database = duckdb.connect(str(self._path))
        for setting in (
            f"memory_limit = '{MEMORY_BYTES}B'",
            f"temp_directory = '{folder / 'temp'}'",
            f"threads = {os.cpu_count()}",
        ):
            self._database.execute(f"SET {setting}")

    def load(self, files: list[Path]) -> dict:
        names = ", ".join(f"'{file}'" for file in files)
        # A time without a zone is what DuckDB is fastest at.
        source = _SOURCE.format(path="regexp_extract(page_url, '^[a-z]+://[^/]*(/[^?#]*)', 1)")
        source = source.replace("event_timestamp,", "event_timestamp AT TIME ZONE 'UTC' AS event_timestamp,", 1)

        def load() -> None:
            self._database.execute(
                f"CREATE TABLE events AS SELECT {source} FROM read_parquet([{names}]) "
                "ORDER BY tracking_id, event_timestamp"
            )
            self._database.execute("CHECKPOINT")

        cost = timed(load)
        (rows,) = self._database.execute("SELECT count(*) FROM events").fetchone()
        (version,) = self._database.execute("SELECT version()").fetchone()
        return cost | {"name": f"DuckDB {version}", "rows": rows, "bytes": self._path.stat().st_size}

    def ask(self, sql: str) -> "DuckDbAnswer":
        return DuckDbAnswer(self._database.execute(sql).fetchall())


class DuckDbAnswer:
    server_seconds = None

    def __init__(self, rows: list[tuple]):
        self._rows = rows

    def rows(self) -> list[tuple]:
        return self._rows


SYSTEMS: dict[str, Callable[[Path], ClickHouse | DuckDb]] = {"clickhouse": ClickHouse, "duckdb": DuckDb}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("folder", type=Path, help="where the database is")
    parser.add_argument("--load", type=Path, nargs="+", help="make it, of these files")
    parser.add_argument("--repeats", type=int, default=0, help="how often each statement is asked again (default: 0)")
    parser.add_argument("--seconds", type=float, default=30, help="of one statement's repetitions (default: 30)")
    args = parser.parse_args()
    database = SYSTEMS[args.system](args.folder.resolve())
    if args.load:
        print(json.dumps(database.load([file.resolve() for file in args.load])))
        return
    database.ask("SELECT 1")
    statements = json.load(sys.stdin)
    print(json.dumps([measure(database, sql, args.repeats, args.seconds) for sql in statements]))


def measure(database: ClickHouse | DuckDb, sql: str, repeats: int, most_seconds: float) -> dict:
    """The first time, and the rows; the median of so many others."""
    began = time.perf_counter()
    answer = database.ask(sql)
    first = time.perf_counter() - began
    measured = {"first": first, "answer": plain(answer.rows())}
    if not repeats:
        return measured
    of_server: list[float | None] = []
    hot = repeat(lambda: of_server.append(database.ask(sql).server_seconds), repeats, most_seconds, time.process_time)
    server = None if of_server[0] is None else statistics.median(of_server)
    return measured | {"hot": hot.seconds, "cpu": hot.cpu_seconds, "server": server}


if __name__ == "__main__":
    main()
