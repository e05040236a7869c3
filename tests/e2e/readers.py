"""One query through each client library, as plain Python rows."""

import datetime
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from google.protobuf.any_pb2 import Any as Command
from pyarrow import flight

from server import Server

Rows = list[dict[str, Any]]


def adbc(server: Server, sql: str) -> Rows:
    return server.query(sql).to_pylist()


def pyarrow_flight(server: Server, sql: str) -> Rows:
    """Plain Arrow Flight, which knows nothing of SQL: the command is packed by hand."""
    return ask_flight(server, sql, server.admin_token).to_pylist()


def pandas(server: Server, sql: str) -> Rows:
    with server.connect() as connection:
        frame = pd.read_sql(sql, connection)
    return frame.to_dict(orient="records")


def polars(server: Server, sql: str) -> Rows:
    with server.connect() as connection:
        return pl.read_database(sql, connection).to_dicts()


READERS: dict[str, Callable[[Server, str], Rows]] = {
    "adbc": adbc,
    "pyarrow": pyarrow_flight,
    "pandas": pandas,
    "polars": polars,
}


def statement_command(sql: str) -> bytes:
    """The command of a statement, for a plain Flight client."""
    text = sql.encode()
    assert len(text) < 1 << 14, "the length is written as a varint of one or two bytes"
    length = bytes([len(text)]) if len(text) < 128 else bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    command = Command(
        type_url="type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery",
        value=b"\x0a" + length + text,  # field 1: the query
    )
    return command.SerializeToString()


def ask_flight(server: Server, sql: str, token: str) -> pa.Table:
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())], timeout=60)
    with flight.connect(server.flight) as client:
        descriptor = flight.FlightDescriptor.for_command(statement_command(sql))
        (endpoint,) = client.get_flight_info(descriptor, options).endpoints
        return client.do_get(endpoint.ticket, options).read_all()


def plain(value: Any) -> Any:
    """The libraries' own scalars as Python's: pandas has NaN for null and a timestamp of its own."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime()
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC)
    return value.item() if hasattr(value, "item") else value
