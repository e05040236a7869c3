"""Flight SQL with as little of its own as possible: two calls for each statement, on one connection."""

import pyarrow as pa
import pyarrow.flight as flight

_STATEMENT = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"


class FlightClient:
    """`url`: as the server's ready line has it. `headers` go with each call."""

    def __init__(self, url: str, token: str, **headers: str):
        self._client = flight.FlightClient(url.replace("http://", "grpc+tcp://"))
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._options = flight.FlightCallOptions(
            headers=[(b"authorization", f"Bearer {token}".encode()), *named], timeout=900
        )

    def __enter__(self) -> "FlightClient":
        return self

    def __exit__(self, *_) -> None:
        self._client.close()

    def ask(self, sql: str) -> pa.Table:
        descriptor = flight.FlightDescriptor.for_command(statement(sql))
        info = self._client.get_flight_info(descriptor, self._options)
        parts = [self._client.do_get(end.ticket, self._options).read_all() for end in info.endpoints]
        return pa.concat_tables(parts)


def statement(sql: str) -> bytes:
    """`CommandStatementQuery` in an `Any`, as protobuf."""
    return _field(1, _STATEMENT) + _field(2, _field(1, sql.encode()))


def _field(number: int, content: bytes) -> bytes:
    """A field that is a text, bytes or a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
