#!/usr/bin/env python3
"""Loads a file of events into ClickHouse or DuckDB; prints a line of JSON.

`clickhouse` and `duckdb` read one JSON object a line, `clickhouse-parquet` a file as `make_events.py` writes it.

The tables have the columns that the events bring, under the names of Footfall's `events`.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("file", type=Path, help="the events")
    parser.add_argument("folder", type=Path, help="where the database is made")
    args = parser.parse_args()
    args.folder.mkdir(parents=True)
    print(json.dumps(PEERS[args.peer](args.file.resolve(), args.folder.resolve())))


def timed(work: Callable[[], object]) -> dict:
    """Seconds by the clock and of the processor."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    work()
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


# Sorted, partitioned and compressed as Footfall's files are.
CLICKHOUSE_TABLE = """
CREATE TABLE bench.events (
    tracking_id String, client_hash UInt64, event_timestamp DateTime64(6, 'UTC'), event_id String, client_id String,
    session_id String, user_id Nullable(String), event_type String, page_url Nullable(String),
    page_title Nullable(String), referrer Nullable(String), {more} revenue Nullable(Decimal(18, 4)),
    custom_properties Nullable(String)
) ENGINE = MergeTree
PARTITION BY toDate(event_timestamp)
ORDER BY (tracking_id, client_hash, event_timestamp)
SETTINGS default_compression_codec = 'ZSTD(1)', fsync_after_insert = 1
"""

CLICKHOUSE_INSERT = """
INSERT INTO bench.events
SELECT tracking_id, cityHash64(tracking_id, client_id), timestamp, event_id, client_id, session_id, user.user_id,
    event_type, page.url, page.title, page.referrer, revenue, custom_properties
FROM file('{file}', JSONEachRow, 'tracking_id String, event_id String, client_id String, session_id String,
    event_type String, timestamp DateTime64(6, \\'UTC\\'), revenue Nullable(Decimal(18, 4)),
    page Tuple(url Nullable(String), title Nullable(String), referrer Nullable(String)),
    user Tuple(user_id Nullable(String)), custom_properties Nullable(String)')
SETTINGS date_time_input_format = 'best_effort', input_format_json_read_objects_as_strings = 1
"""

# What the Parquet file brings besides.
MORE = [f"utm_{name}" for name in ("source", "medium", "campaign", "term", "content")]
MORE += ["country", "city", "device", "browser", "os"]

CLICKHOUSE_INSERT_PARQUET = f"""
INSERT INTO bench.events
SELECT tracking_id, cityHash64(tracking_id, client_id), event_timestamp, event_id, client_id, session_id, user_id,
    event_type, page_url, page_title, referrer, {", ".join(MORE)}, revenue, custom_properties
FROM file('{{file}}', Parquet)
"""


def clickhouse(file: Path, folder: Path) -> dict:
    return _clickhouse(CLICKHOUSE_TABLE.format(more=""), CLICKHOUSE_INSERT.format(file=file), folder)


def clickhouse_parquet(file: Path, folder: Path) -> dict:
    more = "".join(f"{name} Nullable(String), " for name in MORE)
    return _clickhouse(CLICKHOUSE_TABLE.format(more=more), CLICKHOUSE_INSERT_PARQUET.format(file=file), folder)


def _clickhouse(create: str, insert: str, folder: Path) -> dict:
    from chdb import session

    database = session.Session(str(folder))
    database.query("CREATE DATABASE bench ENGINE = Atomic")
    database.query(create)
    cost = timed(lambda: database.query(insert))
    sums = "SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts WHERE database = 'bench' AND active"
    rows, size, files = map(int, str(database.query(sums, "TabSeparated")).split())
    version = str(database.query("SELECT version()", "TabSeparated")).strip()
    return {"name": f"ClickHouse {version}, MergeTree", "rows": rows, "bytes": size, "files": files} | cost


DUCKDB_LOAD = """
CREATE TABLE events AS
SELECT tracking_id, hash(tracking_id, client_id) AS client_hash, timestamp AS event_timestamp, event_id, client_id,
    session_id, "user".user_id AS user_id, event_type, page.url AS page_url, page.title AS page_title,
    page.referrer AS referrer, revenue, custom_properties
FROM read_json('{file}', format = 'newline_delimited', columns = {{
    tracking_id: 'VARCHAR', event_id: 'VARCHAR', client_id: 'VARCHAR', session_id: 'VARCHAR', event_type: 'VARCHAR',
    timestamp: 'TIMESTAMPTZ', revenue: 'DECIMAL(18, 4)', custom_properties: 'JSON',
    page: 'STRUCT(url VARCHAR, title VARCHAR, referrer VARCHAR)', "user": 'STRUCT(user_id VARCHAR)'}})
"""


def duckdb(file: Path, folder: Path) -> dict:
    import duckdb

    path = folder / "events.duckdb"
    with duckdb.connect(str(path)) as database:

        def load() -> None:
            database.execute(DUCKDB_LOAD.format(file=file))
            database.execute("CHECKPOINT")

        cost = timed(load)
        (rows,) = database.execute("SELECT count(*) FROM events").fetchone()
        (version,) = database.execute("SELECT version()").fetchone()
    return {"name": f"DuckDB {version}, table unsorted", "rows": rows, "bytes": path.stat().st_size} | cost


PEERS = {"clickhouse": clickhouse, "clickhouse-parquet": clickhouse_parquet, "duckdb": duckdb}

if __name__ == "__main__":
    main()
