"""Files into the lake: each once, however often it is given."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from commands import Footfall
from lakes import Lake
from server import Server

ROWS = 1_000
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)

FORMATS = ["parquet", "ndjson", "csv"]


def history(prefix: str, rows: int = ROWS) -> pa.Table:
    """Two days of events of one site; optional columns are left out."""
    numbers = range(rows)
    return pa.table(
        {
            "tracking_id": ["shop"] * rows,
            "event_id": [f"{prefix}-{n}" for n in numbers],
            "client_id": [f"visitor-{n % 17}" for n in numbers],
            "session_id": [f"session-{n % 40}" for n in numbers],
            "event_type": ["purchase" if n % 10 == 0 else "pageview" for n in numbers],
            "event_timestamp": pa.array(
                [START + timedelta(seconds=n * 172_800 / rows) for n in numbers], pa.timestamp("us", tz="UTC")
            ),
            "page_url": ["https://www.shop.example/sale/?utm_source=old" for _ in numbers],
            "country": [None if n % 3 else "DE" for n in numbers],
            "revenue": pa.array([Decimal("19.9900") if n % 10 == 0 else None for n in numbers], pa.decimal128(18, 4)),
        }
    )


def write(table: pa.Table, path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        text = table.set_column(8, "revenue", table["revenue"].cast(pa.string()))
        times = [time.isoformat() for time in table["event_timestamp"].to_pylist()]
        pyarrow.csv.write_csv(text.set_column(5, "event_timestamp", pa.array(times)), path)
    else:
        lines = []
        for row in table.to_pylist():
            row |= {
                "event_timestamp": row["event_timestamp"].isoformat(),
                "revenue": row["revenue"] and str(row["revenue"]),
            }
            lines.append(json.dumps({key: value for key, value in row.items() if value is not None}))
        path.write_text("\n".join(lines) + "\n")
    return path


def totals(lake: Lake) -> tuple[int, int, Decimal]:
    table = lake.delta_events(["event_id", "revenue"])
    revenue = sum((each for each in table["revenue"].to_pylist() if each is not None), Decimal(0))
    return table.num_rows, len(set(table["event_id"].to_pylist())), revenue


@pytest.fixture
def footfall(lake: Lake, tmp_path: Path) -> Footfall:
    footfall = Footfall(lake, tmp_path / "server" / "state")
    footfall.must("site", "create", "shop")
    return footfall


@pytest.mark.parametrize("ending", FORMATS)
def test_repeated_import_adds_nothing(lake: Lake, footfall: Footfall, tmp_path: Path, ending: str):
    file = write(history("a"), tmp_path / f"history.{ending}")
    expected = (ROWS, ROWS, ROWS // 10 * Decimal("19.99"))
    assert f"{ROWS} of {ROWS} rows" in footfall.must("import", file)
    assert totals(lake) == expected
    version = lake.delta_table().version()
    assert "nothing was added" in footfall.must("import", file)
    assert totals(lake) == expected
    assert lake.delta_table().version() == version
    # The same bytes under another name are the same file.
    copy = tmp_path / f"copy.{ending}"
    copy.write_bytes(file.read_bytes())
    footfall.must("import", copy, "--format", ending)
    assert totals(lake) == expected


def test_imported_events_are_served(lake: Lake, footfall: Footfall, make_server: Callable[..., Server], tmp_path: Path):
    before, during = (write(history(name), tmp_path / f"{name}.parquet") for name in ("before", "during"))
    footfall.must("import", before)
    server = make_server(lake)
    server.wait_for_events("shop", ROWS)
    # Beside the running server, which follows what others commit.
    footfall.must("import", during)
    server.wait_for_events("shop", 2 * ROWS)
    (row,) = server.query("SELECT * FROM events WHERE event_id = 'before-30'").to_pylist()
    expected = {
        "tracking_id": "shop",
        "client_id": "visitor-13",
        "session_id": "session-30",
        "event_type": "purchase",
        "event_timestamp": START + timedelta(seconds=30 * 172_800 / ROWS),
        "country": "DE",
        "city": None,
        "user_id": None,
        "page_title": None,
        "page_host": "www.shop.example",
        "page_path": "/sale",
        "revenue": Decimal("19.9900"),
        "utm_source": "old",
        "custom_properties": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_broken_file_ends_import(lake: Lake, footfall: Footfall, tmp_path: Path):
    good = write(history("good", 10), tmp_path / "1.parquet")
    broken = tmp_path / "2.parquet"
    broken.write_bytes(good.read_bytes()[:-20])
    outcome = footfall.run("import", good, broken)
    assert outcome.code == 1
    assert outcome.errors.startswith("error: ") and "2.parquet" in outcome.errors
    assert totals(lake)[0] == 10


def test_bad_rows_are_counted_by_reason(lake: Lake, footfall: Footfall, tmp_path: Path):
    table = history("mixed", 10).to_pylist()
    table[2]["tracking_id"] = "nobodys-site"
    table[5]["client_id"] = None
    file = write(pa.Table.from_pylist(table), tmp_path / "mixed.parquet")
    printed = footfall.must("import", file)
    assert "8 of 10 rows" in printed and "2 rejected" in printed
    assert "nobodys-site" in printed or "tracking_id" in printed
    assert "client_id" in printed
    assert totals(lake)[0] == 8


def test_existing_rows_are_not_added(lake: Lake, footfall: Footfall, tmp_path: Path):
    table = pa.concat_tables([history("same", 10), history("same", 10)])
    footfall.must("import", write(table, tmp_path / "repeated.parquet"))
    assert totals(lake)[:2] == (10, 10)


def test_missing_file_is_refused_by_name(footfall: Footfall, tmp_path: Path):
    outcome = footfall.run("import", tmp_path / "nothing.parquet")
    assert outcome.code == 1
    assert "nothing.parquet" in outcome.errors
