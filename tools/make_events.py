#!/usr/bin/env python3
"""Writes a Parquet file of events as `footfall import` takes it: realistic, and the same for the same arguments."""

import argparse
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from report import machine, table

ROWS_PER_CHUNK = 1_000_000
EVENTS_PER_SESSION = 6

PAGES = ["/", "/search", "/cart", "/checkout", "/thanks", "/about", *(f"/product/{n}" for n in range(3_000))]
REFERRERS = [None, "https://www.google.com/", "https://www.bing.com/", "https://news.example/item", "https://t.co/x"]
CAMPAIGNS = [None, "spring", "summer-sale", "brand", "newsletter-12"]
SOURCES = [None, "google", "google", "facebook", "newsletter"]
MEDIUMS = [None, "cpc", "cpc", "social", "email"]
COUNTRIES = ["US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "NL", "SE", "PL", "IT", "ES", "AU", "MX", "KR"]
CITIES = [None, "Berlin", "London", "Paris", "New York", "Tokyo", "Austin", "Lyon", "Leeds", "Mumbai"]
DEVICES = ["desktop", "mobile", "tablet", "other"]
BROWSERS = ["Chrome", "Safari", "Firefox", "Edge", "Samsung Internet"]
SYSTEMS = ["Windows", "iOS", "Android", "Mac OS X", "Linux"]
TYPES = ["pageview", "click", "scroll", "add_to_cart", "purchase"]
TYPE_SHARES = [0.70, 0.18, 0.08, 0.03, 0.01]
PROPERTIES = [f'{{"product_id":{n},"list":"a"}}' for n in range(500)]

SCHEMA = pa.schema(
    [
        ("tracking_id", pa.string()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in ("event_id", "client_id", "session_id", "user_id", "event_type")),
        *((name, pa.string()) for name in ("page_url", "page_title", "referrer")),
        *((f"utm_{name}", pa.string()) for name in ("source", "medium", "campaign", "term", "content")),
        *((name, pa.string()) for name in ("country", "city", "device", "browser", "os")),
        ("revenue", pa.decimal128(18, 4)),
        ("custom_properties", pa.string()),
    ]
)


def visitors_of(rows: int) -> int:
    """How many visitors so many events have, unless a generator is told otherwise."""
    return max(rows // 20, 1)


class Generator:
    """`days` of traffic of `sites` that ends at `end` (microseconds), a chunk at a time. The first of the sites are the
    largest.

    `in_order`: by time, as most exports are. Otherwise each chunk has visits of all the days.
    `visitor_skew`: the more, the more sessions belong to few visitors. With 3, the busiest ones never pause.
    `visitors`: so many as of other events, so that they come again.
    """

    def __init__(
        self,
        rows: int,
        sites: list[str],
        days: int,
        end: int,
        seed: int,
        in_order: bool = False,
        visitor_skew: float = 3,
        visitors: int | None = None,
    ):
        self.rows, self.days, self.end, self.in_order = rows, days, end, in_order
        self.visitor_skew = visitor_skew
        self.random = np.random.default_rng(seed)
        self.sites = pa.array(sites)
        self.visitors = visitors or visitors_of(rows)
        self.done = 0
        self.written = 0

    def chunk(self, rows: int) -> pa.Table:
        """Whole sessions of visitors, some of whom come often and most of whom seldom."""
        random = self.random
        sessions = rows // EVENTS_PER_SESSION + 1
        # Most sessions belong to few visitors, as everywhere.
        visitor = (self.visitors * random.random(sessions) ** self.visitor_skew).astype(np.int64)
        start = self.end - (self._ages_in_order(sessions, rows) if self.in_order else self._ages(sessions))
        index = np.tile(np.arange(EVENTS_PER_SESSION), sessions)[:rows]
        session = np.repeat(np.arange(sessions), EVENTS_PER_SESSION)[:rows]
        who = visitor[session]
        # Gaps of up to 3 minutes keep a session together. Sessions start an hour before `end`, so none reaches past it.
        gaps = random.integers(1_000_000, 180_000_000, rows)
        elapsed = np.cumsum(gaps)
        times = start[session] + elapsed - elapsed[session * EVENTS_PER_SESSION]
        kind = random.choice(len(TYPES), rows, p=TYPE_SHARES)
        page = (len(PAGES) * random.random(rows) ** 4).astype(np.int64)
        # What is the same for all of a session, and what for all of a visitor.
        campaign = _of(session, 7, len(CAMPAIGNS))
        first = index == 0
        purchase = kind == TYPES.index("purchase")
        columns = {
            "tracking_id": self.sites.take(pa.array(_of(who, 29, len(self.sites), skew=3))),
            "event_timestamp": pa.array(times),
            "event_id": _hex(random, rows),
            "client_id": _numbered("visitor-", who),
            "session_id": _numbered("session-", session + self.done),
            "user_id": _where(who % 5 == 0, _numbered("user-", who)),
            "event_type": _pick(TYPES, kind),
            "page_url": _pick([f"https://shop.example{page}" for page in PAGES], page),
            "page_title": _pick([f"Page {page}" for page in PAGES], page),
            "referrer": _where(first, _pick(REFERRERS, _of(session, 3, len(REFERRERS)))),
            "utm_source": _where(first, _pick(SOURCES, campaign)),
            "utm_medium": _where(first, _pick(MEDIUMS, campaign)),
            "utm_campaign": _where(first, _pick(CAMPAIGNS, campaign)),
            "utm_term": pa.nulls(rows, pa.string()),
            "utm_content": pa.nulls(rows, pa.string()),
            "country": _pick(COUNTRIES, _of(who, 11, len(COUNTRIES))),
            "city": _pick(CITIES, _of(who, 13, len(CITIES))),
            "device": _pick(DEVICES, _of(who, 17, len(DEVICES))),
            "browser": _pick(BROWSERS, _of(who, 19, len(BROWSERS))),
            "os": _pick(SYSTEMS, _of(who, 23, len(SYSTEMS))),
            "revenue": _where(purchase, _money(random.integers(50_000, 5_000_000, rows))),
            "custom_properties": _where(kind != 0, _pick(PROPERTIES, page % len(PROPERTIES))),
        }  # fmt: skip
        self.done += sessions
        self.written += rows
        chunk = pa.table(
            [column if column.type == field.type else column.cast(field.type) for field, column in _fields(columns)],
            schema=SCHEMA,
        )
        return chunk.take(pa.array(np.argsort(times, kind="stable"))) if self.in_order else chunk

    def _ages(self, sessions: int) -> np.ndarray:
        """Microseconds before the end: spread over the days, thin at night."""
        day = self.random.integers(0, self.days, sessions)
        hour = np.clip(self.random.normal(10, 4.5, sessions), 1, 23.9)
        return ((day * 24 + hour) * 3_600_000_000).astype(np.int64)

    def _ages_in_order(self, sessions: int, rows: int) -> np.ndarray:
        """As `_ages`, but only the part of the days whose turn it is: chunks overlap by the end of a session."""
        first, last = (1 - done / self.rows for done in (self.written, self.written + rows))
        places = self.random.uniform(last, first, sessions) * self.days
        hours = np.sort(np.clip(self.random.normal(10, 4.5, 10_001), 1, 23.9))
        hour = np.interp(places % 1, np.linspace(0, 1, len(hours)), hours)
        return ((np.floor(places) * 24 + hour) * 3_600_000_000).astype(np.int64)


def _fields(columns: dict[str, pa.Array]):
    return ((SCHEMA.field(name), columns[name]) for name in SCHEMA.names)


def _of(key: np.ndarray, salt: int, choices: int, skew: int = 2) -> np.ndarray:
    """A choice that is always the same for the same key, more often among the first: the more so, the more skew.

    Choices with different salts are independent: the mix is SplitMix64's.
    """
    mixed = key.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    share = (mixed >> np.uint64(40)).astype(np.float64) / (1 << 24)
    return (choices * share**skew).astype(np.int64)


def _pick(values: list, index: np.ndarray) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(index))


def _where(condition: np.ndarray, values: pa.Array) -> pa.Array:
    return pa.compute.if_else(pa.array(condition), values, pa.scalar(None, values.type))


def _numbered(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.compute.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _hex(random: np.random.Generator, rows: int) -> pa.Array:
    """128 random bits a row, as 32 hexadecimal digits."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[random.integers(0, 16, (rows, 32), np.uint8)]
    offsets = np.arange(0, 32 * rows + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(digits))


def _money(units: np.ndarray) -> pa.Array:
    """Decimals from units of 1/10,000: a decimal128 is 16 bytes, and these fit in the lower 8."""
    halves = np.zeros((len(units), 2), np.int64)
    halves[:, 0] = units
    return pa.Array.from_buffers(pa.decimal128(18, 4), len(units), [None, pa.py_buffer(halves)])


def write(
    path: Path,
    rows: int,
    sites: list[str],
    days: int = 31,
    seed: int = 1,
    end: int | None = None,
    in_order: bool = False,
    visitors: int | None = None,
) -> None:
    """Writes `rows` events. The same arguments, `end` included, give the same file."""
    end = end or int(time.time() // 3600 * 3600) * 1_000_000
    generator = Generator(rows, sites, days, end, seed, in_order, visitors=visitors)
    partial = path.with_suffix(".partial")
    with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for start in range(0, rows, ROWS_PER_CHUNK):
            writer.write_table(generator.chunk(min(ROWS_PER_CHUNK, rows - start)))
    partial.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="the file to write")
    parser.add_argument("--rows", type=int, default=10_000_000, help="events (default: 10,000,000)")
    parser.add_argument("--sites", default="bench", help="tracking ids, comma-separated (default: bench)")
    parser.add_argument("--days", type=int, default=31, help="spread over so many days back (default: 31)")
    parser.add_argument("--seed", type=int, default=1, help="of the generator (default: 1)")
    parser.add_argument("--end", type=int, help="last moment, seconds since 1970 (default: the last full hour)")
    parser.add_argument("--in-order", action="store_true", help="by time (default: visits of all the days mixed)")
    args = parser.parse_args()
    started = time.monotonic()
    end = None if args.end is None else args.end * 1_000_000
    write(args.path, args.rows, args.sites.split(","), args.days, args.seed, end, args.in_order)
    seconds = time.monotonic() - started
    size = args.path.stat().st_size
    print(table([("rows", f"{args.rows:,}"), ("size", f"{size / 1e6:,.0f} MB"), ("seconds", f"{seconds:.1f}")]))
    print(machine())


if __name__ == "__main__":
    main()
