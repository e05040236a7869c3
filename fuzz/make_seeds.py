"""Writes fuzz/seeds/<target>/: a few inputs of each shape to start from. Needs pyarrow, as the tests have it."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import ipaddress
import struct
from pathlib import Path

import pyarrow as pa

SEEDS = Path(__file__).parent / "seeds"
NOW_MICROS = 1_770_028_200_000_000

EVENT = (
    '{"tracking_id":"site","client_id":"c1","event_type":"purchase","event_id":"e1","session_id":"s",'
    '"timestamp":"2026-02-02T10:29:00.5+01:00","sent_at":1770028200000,"revenue":"99.99",'
    '"page":{"url":"https://a.com/?utm_source=x","title":"T\\u00e9","referrer":"https://b.com"},'
    '"user":{"user_id":"u","country":"us","city":"X","device":"mobile","browser":"B","os":"O"},'
    '"utm":{"source":"s","medium":"m","campaign":"c","term":"t","content":"n"},'
    '"custom_properties":{"revenue":1e2,"a":[{"b":null}],"\\ud83d\\ude00":"x"},"unknown":[1,{"x":"y"}]}'
)
SMALL = '{"tracking_id":"t","client_id":"c","event_type":"e"}'


def varint(number: int) -> bytes:
    """Protobuf's variable-length integer; negative ones in 64 bits."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: int | bytes | str) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def collect_body() -> dict[str, bytes]:
    """Bodies, beacons, gRPC events, headers."""
    message = b"".join(
        [
            field(1, "site"), field(2, "id"), field(3, "client"), field(6, "purchase"), field(7, NOW_MICROS),
            field(8, "https://a.com/"), field(11, 1_999_800), field(12, '{"revenue":"1.5","a":{"b":[1]}}'),
            field(20, "google"), field(25, "de"), field(32, 1),
        ]
    )  # fmt: skip
    query = "?tid=t&cid=c&et=view&url=https%3A%2F%2Fa.com%2F&ts=1770028200000&cp=%7B%22revenue%22%3A2%7D&utm.source=x"
    headers = "application/json; charset=utf-8\nidentity\n1.1.1.1, [2001:db8::1]:443\rx\nMozilla/5.0\nBearer t\n"
    return {
        "event": EVENT.encode(),
        "array": f"[{SMALL},5,{EVENT},null]".encode(),
        "gzip": gzip.compress(f"[{SMALL}]".encode(), mtime=0),
        "gzip_members": gzip.compress(b"[", mtime=0) + gzip.compress(SMALL.encode() + b"]", mtime=0),
        "gzip_bomb": gzip.compress(b" " * 100_000, mtime=0),
        "to_compress": b"\x02" + SMALL.encode(),
        "beacon": query.encode(),
        "message": b"\x01" + message,
        "headers": b"H" + headers.encode() + SMALL.encode(),
        "deep": b"[" * 200 + b"]" * 200,
        "surrogate": SMALL.replace('"t"', '"\\ud800"').encode(),
        "numbers": SMALL.replace("}", ',"revenue":-1.23456e-2,"timestamp":1e999,"sent_at":-0}').encode(),
    }


def log_reader() -> dict[str, bytes]:
    """Programs for the disk image: see fuzz_targets/log_reader/image.rs."""
    record, same_group, seal, next_segment = b"\x02\x04abcd", b"\x03\x04efgh", b"\x04\x00", b"\x00\x00"
    whole = record + same_group + record + seal + next_segment + record + record + seal
    return {
        "whole": whole,
        "long": b"\x0b\x9d\x0b\xf0" + record,
        "torn": whole + record + b"\x0a\x03",
        "flipped": record + record + b"\x09\x1e" + record + record,
        "zeros": record + b"\x07\x40" + record,
        "garbage": record + b"\x06\x08\xff\xf8R\x01zzzz" + record,
        "repeated": record + b"\x08\x00" + record,
        "superseded": record * 5 + b"\x00\xfd" + record,
        "gap": record + b"\x00\x05" + record,
        "header": record + b"\x0d\x10" + next_segment + record + b"\x0d\x00\x0d\xff" + record,
        "other_log": record + b"\x01\x00" + record,
        "far": record + b"\x0c\x00" + struct.pack("<Q", 1 << 40) + record,
    }


def mmdb_control(kind: int, size: int) -> bytes:
    return bytes([kind << 5 | size])


def mmdb(value: str | dict | list | tuple[int, int]) -> bytes:
    """A value of MaxMind's format; a number is its type and itself."""
    match value:
        case str():
            return mmdb_control(2, len(value)) + value.encode()
        case dict():
            return mmdb_control(7, len(value)) + b"".join(mmdb(key) + mmdb(inner) for key, inner in value.items())
        case list():
            return bytes([0, 4])
        case (9, number):
            return bytes([8, 2]) + struct.pack(">Q", number)
        case (5, number):
            return mmdb_control(5, 2) + struct.pack(">H", number)
        case (kind, number):
            return mmdb_control(kind, 4) + struct.pack(">I", number)
    raise TypeError(value)


def database() -> bytes:
    """A database of one network, 81.2.69.0/24."""
    address, nodes = int(ipaddress.ip_address("81.2.69.0")), 24
    tree = bytearray()
    for bit in range(nodes):
        inside = nodes + 16 if bit + 1 == nodes else bit + 1
        pair = [nodes, inside] if address >> (31 - bit) & 1 else [inside, nodes]
        for target in pair:
            tree += target.to_bytes(3, "big")
    metadata = {
        "binary_format_major_version": (5, 2), "binary_format_minor_version": (5, 0), "build_epoch": (9, 0),
        "database_type": "Test-City", "description": {}, "ip_version": (5, 4), "languages": [],
        "node_count": (6, nodes), "record_size": (5, 24),
    }  # fmt: skip
    record = {"city": {"names": {"en": "London"}}, "country": {"iso_code": "GB"}}
    return bytes(tree) + bytes(16) + mmdb(record) + b"\xab\xcd\xefMaxMind.com" + mmdb(metadata)


def enrich() -> dict[str, bytes]:
    """Lines, or a database."""
    chrome = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
    iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1"
    bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    page = "https://shop.example/?utm_source=news%20letter&utm_medium=e+mail&utm_campaign=%C3%BC&utm_term=a&utm_content=%ff&gclid=1#x"
    lines = {
        "phone": [chrome, page, "https://mail.google.com/", "8.8.8.8"],
        "tablet": [iphone, "//user:p@bücher.example:8080/x?fbclid=1", "android-app://com.google.android.gm/", "2001:67c:2e8::1"],
        "bot": [bot, "example.com/page?msclkid=1", "https://www.bing.com./search?q=a", "::ffff:1.1.1.1", "Kiosk", "JP", "fb", "g"],
        "library": ["curl/8.5.0", "http://0x7f.1/", "http://[::1]:80/", "10.0.0.1"],
        "app": ["MyApp/1 CFNetwork/1494.0.7 Darwin/23.4.0", "https:\\\\xn--bcher-kva.example\\", "t.co", ""],
    }
    seeds = {name: "\n".join(given).encode() for name, given in lines.items()}
    inside = ipaddress.ip_address("::ffff:81.2.69.1").packed
    return seeds | {"database": inside + database()}


def statement() -> bytes:
    """A handle with a value of every kind."""
    widths = [0, 1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 16, 3, 3, 4, 8, 4, 4, 8, 8, 8, 8, 8, 8]
    values = b""
    for kind, width in enumerate(widths):
        value = field(1, kind) + field(2, bytes(width))
        if kind == 12:
            value += field(4, 38) + field(5, 20)
        if kind >= 21:
            value += field(3, "Europe/Berlin" if kind % 2 else "+01:00")
        values += field(1, value)
    return field(1, "SELECT $1") + field(2, values) + field(2, field(1, field(1, 5))) + field(3, 7)


def flight_handle() -> dict[str, bytes]:
    """Commands in an Any, handles, a FlightInfo."""
    package = "type.googleapis.com/arrow.flight.protocol.sql."

    def command(name: str, *fields: bytes) -> bytes:
        return field(1, package + name) + field(2, b"".join(fields))

    ticket = command("TicketStatementQuery", field(1, statement()))
    return {
        "handle": statement(),
        "small": field(1, "SELECT 1"),
        "ticket": ticket,
        "query": command("CommandStatementQuery", field(1, "SELECT 1"), field(2, b"t")),
        "prepared": command("CommandPreparedStatementQuery", field(1, statement())),
        "update": command("CommandPreparedStatementUpdate", field(1, statement())),
        "close": command("ActionClosePreparedStatementRequest", field(1, statement())),
        "tables": command("CommandGetTables", field(1, "c"), field(2, "s%"), field(4, "VIEW"), field(5, 1)),
        "sql_info": command("CommandGetSqlInfo", field(1, b"\x00\x01\xf4\x03")),
        "info": field(3, field(1, field(1, ticket))),
    }


def flight_data(*messages: pa.Buffer) -> bytes:
    """Arrow's encapsulated messages as the target reads them: both lengths, header, body."""
    out = b""
    for message in messages:
        raw = message.to_pybytes()
        (length,) = struct.unpack_from("<i", raw, 4)
        header, body = raw[8 : 8 + length], raw[8 + length :]
        out += struct.pack("<HH", len(header), len(body)) + header + body
    return out


def bound(columns: dict[str, pa.Array], times: int = 1) -> bytes:
    batch = pa.record_batch(columns)
    return flight_data(batch.schema.serialize(), *[batch.serialize()] * times)


def flight_binding() -> dict[str, bytes]:
    """One seed for each kind of column, and some together."""
    when = dt.datetime(2026, 2, 2, 10, 30)
    seeds = {
        "integers": {f"{kind}": pa.array([1, None, 3], kind) for kind in (pa.int8(), pa.int64(), pa.uint16())},
        "floats": {"a": pa.array([1.5, None], pa.float32()), "b": pa.array([2.5, 3.5], pa.float64())},
        "decimal": {"a": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(10, 2))},
        "text": {"a": pa.array(["a", None, "ccc"]), "b": pa.array(["x", "y", "z"], pa.large_string())},
        "views": {
            "a": pa.array(["short", "a text that is too long to be inlined", None], pa.string_view()),
            "b": pa.array([b"", b"another value that is not inlined", b"c"], pa.binary_view()),
        },
        "binary": {"a": pa.array([b"a", None], pa.binary()), "b": pa.array([b"x", b"y"], pa.large_binary())},
        "flags": {"a": pa.array([True, None, False]), "b": pa.nulls(3)},
        "dates": {"a": pa.array([when.date(), None], pa.date32()), "b": pa.array([when, None], pa.date64())},
        "times": {"a": pa.array([when.time()], pa.time32("s")), "b": pa.array([when.time()], pa.time64("ns"))},
        "timestamps": {
            "a": pa.array([when, None], pa.timestamp("us", "UTC")),
            "b": pa.array([when, None], pa.timestamp("s")),
        },
        # Refused, each in its own way.
        "list": {"a": pa.array([[1]])},
        "dictionary": {"a": pa.array(["a"]).dictionary_encode()},
        "struct": {"a": pa.array([{"b": 1}])},
    }
    return {name: bound(columns) for name, columns in seeds.items()} | {
        "twice": bound({"a": pa.array([1, 2])}, times=2),
        "empty": bound({}),
    }


def import_reader() -> dict[str, bytes]:
    """Files of text, and programs for columns: see fuzz_targets/import_reader.rs."""
    flat = EVENT.replace('"page":{"url"', '"page_url":"https://b.com","page":{"url"').replace('"site"', '"t"')
    header = "tracking_id,client_id,et,timestamp,url,revenue,custom_properties,is_bot,x\r\n"
    rows = f't,1,view,{NOW_MICROS // 1_000},https://a.com/?utm_source=x,9.99,"{{""a"":1}}",true,\r\n'
    rows += 't,2\r\nt,"3"x,,,,,,,\r\nt,"4\n4",e,2026-02-02 10:29:00+00,"","1e2",{},no,\r\nt,"5,e'
    number = struct.Struct("<q").pack
    millis, other = number(NOW_MICROS // 1_000), number(5)
    kinds = {f"columns_{kind}": bytes([kind, *range(kind, kind + 12)]) + (millis + other + millis) * 12 for kind in range(16)}
    seeds = {"ndjson": f"J\ufeff{flat}\n\n{{\n[]\n{SMALL}", "csv": f"C\ufeff{header}{rows}"}
    return {name: text.encode() for name, text in seeds.items()} | {name: b"T" + program for name, program in kinds.items()}


def main() -> None:
    for target in (collect_body, log_reader, enrich, import_reader, flight_handle, flight_binding):
        folder = SEEDS / target.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in target().items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
