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

import lakes
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


def mixed(path: Path) -> Path:
    """Ten rows, of which one is of a site that is not there and one has no visitor."""
    table = history("mixed", 10).to_pylist()
    table[2]["tracking_id"] = "nobodys-site"
    table[5]["client_id"] = None
    return write(pa.Table.from_pylist(table), path)


def test_rejected_rows_keep_file_out(lake: Lake, footfall: Footfall, tmp_path: Path):
    file, good = mixed(tmp_path / "mixed.parquet"), write(history("good", 10), tmp_path / "good.parquet")
    outcome = footfall.run("import", file, good)
    assert outcome.code == 1
    assert "nothing was imported, because 2 of 10 rows were rejected" in outcome.output
    assert 'unknown site "nobodys-site"' in outcome.output and "(row 3)" in outcome.output
    assert "client_id is missing (row 6)" in outcome.output
    assert "10 of 10 rows" in outcome.output, "the other file is imported"
    assert outcome.errors.startswith("error: ") and "1 of 2 files" in outcome.errors
    assert totals(lake)[0] == 10


def test_rejected_rows_are_skipped_and_come_later(lake: Lake, footfall: Footfall, tmp_path: Path):
    file = mixed(tmp_path / "mixed.parquet")
    printed = footfall.must("import", "--skip-rejected", file)
    assert "8 of 10 rows" in printed and "2 rejected" in printed
    footfall.must("site", "create", "nobodys-site")
    printed = footfall.must("import", "--skip-rejected", file)
    assert "1 of 10 rows" in printed and "8 duplicates" in printed and "1 rejected" in printed
    assert totals(lake)[:2] == (9, 9)


def test_same_command_works_after_site_is_created(lake: Lake, footfall: Footfall, tmp_path: Path):
    table = history("new", 10).to_pylist()
    for row in table[5:]:
        row["tracking_id"] = "blog"
    file = write(pa.Table.from_pylist(table), tmp_path / "new.parquet")
    assert footfall.run("import", file).code == 1
    footfall.must("site", "create", "blog")
    assert "10 of 10 rows" in footfall.must("import", file)
    assert "nothing was added" in footfall.must("import", file)
    assert totals(lake)[:2] == (10, 10)


def test_rows_repeated_in_file_count_once(lake: Lake, footfall: Footfall, tmp_path: Path):
    table = pa.concat_tables([history("same", 10), history("same", 10)])
    footfall.must("import", write(table, tmp_path / "repeated.parquet"))
    assert totals(lake)[:2] == (10, 10)


@pytest.mark.parametrize("ending", FORMATS)
def test_overlapping_files_add_what_is_new(lake: Lake, footfall: Footfall, tmp_path: Path, ending: str):
    table = history("both")
    footfall.must("import", write(table.slice(0, 600), tmp_path / f"first.{ending}"))
    printed = footfall.must("import", write(table.slice(400), tmp_path / f"second.{ending}"))
    assert "400 of 600 rows" in printed and "200 duplicates" in printed
    assert totals(lake) == (ROWS, ROWS, ROWS // 10 * Decimal("19.99"))


def test_events_sent_over_http_are_not_imported_again(
    lake: Lake, make_server: Callable[..., Server], tmp_path: Path
):
    server = make_server(lake)
    server.create_site("shop")
    events = [
        {
            "tracking_id": "shop",
            "client_id": f"visitor-{n}",
            "event_type": "purchase",
            "timestamp": (START + timedelta(seconds=n)).isoformat(),
            "page": {"url": "https://shop.example/?utm_source=news&utm_medium=email", "title": "Schöne \ud83d Schuhe"},
            "user": {"country": "de"},
            "revenue": n + 0.5,
            "custom_properties": {"order": 10**30 + n, "b": 1.10},
        }
        for n in range(20)
    ]
    server.accept(events[:15])
    server.wait_for_events("shop", 15)
    log = tmp_path / "log.ndjson"
    log.write_text("\ufeff" + "\n".join(json.dumps(event) for event in events))
    footfall = Footfall(lake, server.state)
    printed = footfall.must("import", log)
    assert "5 of 20 rows" in printed and "15 duplicates" in printed, printed
    server.wait_for_events("shop", 20)
    columns = "page_title, country, channel, utm_source, revenue, custom_properties, source"
    kinds = server.query(
        f"SELECT {columns.replace('revenue, custom_properties, ', '')}, count(*) AS n FROM events GROUP BY 1, 2, 3, 4, 5"
    )
    assert kinds.num_rows == 1 and kinds["n"].to_pylist() == [20], "as by HTTP"
    orders = server.query("SELECT custom_properties AS p FROM events ORDER BY revenue")["p"].to_pylist()
    assert orders == [f'{{"order":{10**30 + n},"b":1.1}}' for n in range(20)]


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_export_comes_back_identical(
    lake: Lake, footfall: Footfall, make_server: Callable[..., Server], tmp_path: Path, ending: str
):
    footfall.must("import", write(history("out", 50), tmp_path / "history.parquet"))
    server = make_server(lake)
    server.wait_for_events("shop", 50)
    everything = "SELECT * FROM events ORDER BY event_id"
    before = server.query(everything)
    export = tmp_path / f"export.{ending}"
    export.write_text(footfall.must("sql", "--format", ending, everything, "--server", server.flight))
    server.stop()
    empty = lakes.local(tmp_path / "other")
    other = Footfall(empty, tmp_path / "other-state" / "state")
    other.must("site", "create", "shop")
    other.must("import", export)
    names = [name for name in before.column_names if name != "event_date"]
    after = empty.delta_events(names).sort_by("event_id")
    assert after.to_pylist() == before.select(names).to_pylist()


def test_bad_csv_rows_do_not_fail_file(lake: Lake, footfall: Footfall, tmp_path: Path):
    millis = int(START.timestamp() * 1_000)
    file = tmp_path / "log.csv"
    file.write_text(
        "\ufefftracking_id,client_id,event_type,timestamp,timestmap\r\n"
        f"shop,1,pageview,{millis},\r\n"
        "shop,2,pageview\r\n"
        f'shop,3,"page"view,{millis},\r\n'
        f"shop,4,pageview,{millis // 1_000},\r\n"
    )
    outcome = footfall.run("import", file)
    assert outcome.code == 1
    assert "(row 2)" in outcome.output and "the row has 3 fields, the header 5" in outcome.output
    assert "a quote in the middle of a field" in outcome.output and "(row 3)" in outcome.output
    assert "looks like seconds since 1970" in outcome.output and "multiply them by 1,000" in outcome.output
    assert "timestmap" in outcome.output
    assert "1 of 4 rows" in footfall.must("import", "--skip-rejected", file)
    assert totals(lake)[0] == 1


def test_missing_file_is_refused_by_name(footfall: Footfall, tmp_path: Path):
    outcome = footfall.run("import", tmp_path / "nothing.parquet")
    assert outcome.code == 1
    assert "nothing.parquet" in outcome.errors
