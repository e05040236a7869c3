"""Flight SQL as the client libraries use it."""

import datetime
from decimal import Decimal

import adbc_driver_flightsql.dbapi as flightsql
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import flight

from events import pageviews
from readers import READERS, ask_flight
from server import Server


@pytest.fixture(scope="module")
def filled(shared_server: Server) -> str:
    """A site with 60 events of 3 types and a known revenue."""
    site = shared_server.create_site("clients-site")
    types = ("pageview", "click", "purchase")
    batch = [
        event | {"event_type": types[n % 3], "client_id": f"v{n % 7}", "revenue": "0.0001" if n % 3 == 2 else None}
        for n, event in enumerate(pageviews(site, 60))
    ]
    shared_server.accept([{k: v for k, v in event.items() if v is not None} for event in batch])
    shared_server.wait_for_events(site, 60)
    return site


@pytest.mark.parametrize("reader", READERS)
def test_aggregate_is_right(server: Server, filled: str, reader: str):
    sql = (
        "SELECT event_type, count(*) AS events, count(DISTINCT client_id) AS visitors, sum(revenue) AS revenue "
        f"FROM events WHERE tracking_id = '{filled}' AND event_type <> 'click' GROUP BY event_type ORDER BY event_type"
    )
    rows = [tuple(row.values()) for row in READERS[reader](server, sql)]
    assert [row[:3] for row in rows] == [("pageview", 20, 7), ("purchase", 20, 7)]
    assert rows[1][3] == Decimal("0.0020")


@pytest.mark.parametrize("reader", ["pandas", "polars"])
def test_empty_result_has_columns(server: Server, reader: str):
    sql = "SELECT event_id, revenue, event_timestamp FROM events WHERE tracking_id = 'none'"
    with server.connect() as connection:
        frame = pd.read_sql(sql, connection) if reader == "pandas" else pl.read_database(sql, connection)
    assert list(frame.columns) == ["event_id", "revenue", "event_timestamp"]
    assert len(frame) == 0


def test_rows_have_plain_types(server: Server):
    schema = server.query("SELECT * FROM events LIMIT 0").schema
    assert schema.field("client_hash").type == pa.int64()
    assert schema.field("event_timestamp").type == pa.timestamp("us", tz="UTC")
    assert schema.field("revenue").type == pa.decimal128(18, 4)
    assert schema.field("is_bot").type == pa.bool_()
    assert schema.field("event_date").type == pa.date32()
    assert {schema.field(name).type for name in ("tracking_id", "page_url", "channel")} == {pa.string()}


def test_parameters_bind_by_position(server: Server, filled: str):
    with server.cursor() as cursor:
        sql = "SELECT count(*) FROM events WHERE tracking_id = ? AND event_type = ? AND event_timestamp > ?"
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        cursor.execute(sql, (filled, "click", yesterday))
        assert cursor.fetchone() == (20,)
        cursor.execute(sql, ("no such site", "click", yesterday))
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("condition", "values", "count"),
    [
        ("CAST(? AS BIGINT) = 7", [7], 60),
        ("CAST(? AS BIGINT) = 7", ["7"], 60),
        ("coalesce(user_id, ?) = 'nobody'", ["nobody"], 60),
        ("date_trunc(?, event_timestamp) <= event_timestamp", ["day"], 60),
        ("(? IS NULL OR event_type = ?)", [None, None], 60),
        ("(? IS NULL OR event_type = ?)", ["click", "click"], 20),
        ("event_type IN (?, ?)", ["click", "purchase"], 40),
        ("revenue BETWEEN ? AND ?", [0, 0.0001], 20),
        ("revenue = ?", [Decimal("0.0001")], 20),
        ("revenue < ?", [0.00011], 20),
        ("event_timestamp > ? - INTERVAL '1 day'", [datetime.datetime.now(datetime.UTC)], 60),
        ("event_timestamp < ? - INTERVAL '1 day'", [datetime.datetime.now(datetime.UTC)], 0),
        ("event_timestamp > ?", [datetime.date(2020, 2, 29)], 60),
        ("event_date > ?", [datetime.datetime(2020, 2, 29, 12)], 60),
        ("event_timestamp > ?", ["2020-02-29T12:00:00Z"], 60),
    ],
)
def test_parameter_types_are_inferred(server: Server, filled: str, condition: str, values: list, count: int):
    sql = f"SELECT count(*) AS n FROM events WHERE tracking_id = '{filled}' AND {condition}"
    assert server.query(sql, values).to_pylist() == [{"n": count}]


def test_headers_for_another_session_are_refused(server: Server):
    for name, value in (("database", "other"), ("catalog", "other"), ("schema", "other"), ("timezone", "Asia/Kathmandu")):
        options = [(b"authorization", f"Bearer {server.admin_token}".encode()), (name.encode(), value.encode())]
        with flight.connect(server.flight) as client, pytest.raises(pa.ArrowInvalid, match="there is only"):
            client.get_flight_info(
                flight.FlightDescriptor.for_command(b""), flight.FlightCallOptions(headers=options, timeout=60)
            )


def test_dropped_clause_is_refused(server: Server):
    with server.cursor() as cursor, pytest.raises(flightsql.NotSupportedError, match="only tables can be sampled"):
        cursor.execute("SELECT count(*) FROM (SELECT * FROM events) e TABLESAMPLE (10 PERCENT)")


def test_twelve_parameters_keep_their_order(server: Server):
    values = list(range(12))
    sql = "SELECT " + ", ".join(f"CAST(${n + 1} AS BIGINT) AS c{n}" for n in values)
    assert server.query(sql, values).to_pylist() == [{f"c{n}": n for n in values}]


def test_question_mark_in_string_is_literal(server: Server):
    assert server.query("SELECT 'why?' AS why, CAST(? AS VARCHAR) AS what", ["x"]).to_pylist() == [
        {"why": "why?", "what": "x"}
    ]


def test_rows_are_fetched_one_by_one(server: Server, filled: str):
    with server.cursor() as cursor:
        cursor.execute(f"SELECT event_id FROM events WHERE tracking_id = '{filled}' ORDER BY event_id")
        assert [column[0] for column in cursor.description] == ["event_id"]
        rows = [cursor.fetchone(), *cursor.fetchmany(9), *cursor.fetchall()]
    assert len(rows) == 60
    assert rows == sorted(rows)


def test_connection_runs_many_statements(server: Server):
    with server.cursor() as cursor:
        for number in range(50):
            cursor.execute(f"SELECT {number} AS n")
            assert cursor.fetchone() == (number,)


def test_large_result_is_complete(server: Server):
    """More than one message: 300,000 rows of some 30 bytes."""
    sql = (
        "SELECT value AS n, concat('a string with the number ', CAST(value AS VARCHAR)) AS text "
        "FROM generate_series(1, 300000)"
    )
    table = server.query(sql)
    assert table.num_rows == 300_000
    assert table["text"][299_999].as_py() == f"a string with the number {table['n'][299_999].as_py()}"


def test_get_objects_describes_events(server: Server):
    with server.connect() as connection:
        catalogs = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        narrow = connection.adbc_get_objects(depth="all", table_name_filter="no_such_%").read_all().to_pylist()
    (footfall,) = [catalog for catalog in catalogs if catalog["catalog_name"] == "footfall"]
    (public,) = [each for each in footfall["catalog_db_schemas"] if each["db_schema_name"] == "public"]
    tables = {table["table_name"]: table for table in public["db_schema_tables"]}
    assert tables["events"]["table_type"] in ("TABLE", "BASE TABLE")
    columns = [column["column_name"] for column in tables["events"]["table_columns"]]
    assert columns == server.query("SELECT * FROM events LIMIT 0").column_names
    assert not [t for c in narrow for s in c["catalog_db_schemas"] or [] for t in s["db_schema_tables"] or []]


def test_metadata_calls_are_answered(server: Server):
    with server.connect() as connection:
        assert connection.adbc_get_table_types()
        schema = connection.adbc_get_table_schema("events")
        assert schema.names == server.query("SELECT * FROM events LIMIT 0").column_names
        info = connection.adbc_get_info()
    assert "footfall" in info["vendor_name"].lower()


@pytest.mark.parametrize("user", ["token", "anybody at all"])
def test_token_works_as_password(server: Server, user: str):
    """The handshake that JDBC, ODBC and BI tools do."""
    options = {"username": user, "password": server.admin_token}
    with flightsql.connect(server.flight, db_kwargs=options, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS one")
            assert cursor.fetchone() == (1,)


def test_pyarrow_authenticates_by_basic_token(server: Server):
    with flight.connect(server.flight) as client:
        name, value = client.authenticate_basic_token("token", server.admin_token)
    assert name == b"authorization"
    assert ask_flight(server, "SELECT 1 AS one", value.decode().removeprefix("Bearer ")).to_pylist() == [{"one": 1}]


@pytest.mark.parametrize(
    ("sql", "mentions"),
    [
        ("SELEC 1", "SELEC"),
        ("SELECT * FROM evnts", "evnts"),
        ("SELECT page_ur FROM events", "page_ur"),
        ("SELECT no_such_function(1)", "no_such_function"),
        ("SELECT 1; SELECT 2", "one at a time"),
        ("", ""),
    ],
)
def test_query_error_has_reason(server: Server, sql: str, mentions: str):
    with server.cursor() as cursor, pytest.raises(flightsql.ProgrammingError) as caught:
        cursor.execute(sql)
    assert mentions.lower() in str(caught.value).lower()
    assert "DataFusion error" not in str(caught.value)


def test_mid_stream_error_reaches_client(server: Server):
    sql = "SELECT sum(100 / (value - 50000)) AS boom FROM generate_series(1, 100000)"
    with server.cursor() as cursor, pytest.raises(flightsql.Error) as caught:
        cursor.execute(sql)
        cursor.fetch_arrow_table()
    assert "by zero" in str(caught.value).lower()
