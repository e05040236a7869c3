"""Exports: every row of a report in every format, whole or visibly not."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import urllib3

from events import new_site, pageview, rfc3339
from gateway import close, random_events
from gateway_client import fill, get, post, report, serving
from server import Reply, Server, wait_until

TODAY = datetime.now(UTC).date()
FORMATS = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}

# More than a page has, and than a report compares in one batch.
VISITORS = 10_300


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("exports")) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: Server) -> str:
    site = server.create_site(new_site(), timezone="Asia/Kathmandu")
    fill(server, site, random_events(site, seed=5, count=400, days=[TODAY - timedelta(days=days) for days in (3, 5, 8)]))
    return site


@pytest.fixture(scope="module")
def large(server: Server) -> str:
    """A site whose visitors all come on two days: once on the first, twice on the second."""
    site = server.create_site(new_site())
    noon = datetime.combine(TODAY - timedelta(days=4), datetime.min.time(), UTC) + timedelta(hours=12)
    events = [
        pageview(site, client_id=f"v{n:05}", timestamp=rfc3339(noon + timedelta(days=day, minutes=minute)), custom_properties={})
        for n in range(VISITORS)
        for day, minute in ((0, 0), (1, 0), (1, 1))
    ]
    fill(server, site, events)
    return site


def export(server: Server, token: str | None = None, accept: str | None = None, **request) -> Reply:
    return post(server, "/api/v1/exports", request, token, **({"accept": accept} if accept else {}))


def rows_of(kind: str, body: bytes, folder: Path) -> list[dict]:
    match kind:
        case "json":
            return json.loads(body)["rows"]
        case "ndjson":
            return [json.loads(line) for line in body.splitlines()]
        case "csv":
            return list(csv.DictReader(io.StringIO(body.decode())))
        case "arrow":
            return pa.ipc.open_stream(body).read_all().to_pylist()
    file = folder / "export.parquet"
    file.write_bytes(body)
    table = duckdb.sql(f"SELECT * FROM '{file}'").to_arrow_table().to_pylist()
    assert pl.read_parquet(file).height == len(pd.read_parquet(file)) == len(table)
    return table


@pytest.mark.parametrize("kind", FORMATS)
def test_export_equals_report(server: Server, site: str, kind: str, tmp_path: Path):
    asked = {"tracking_id": site, "date_range": "last_30_days", "metrics": ["events", "revenue", "bounce_rate"],
             "dimensions": ["country", "device"], "compare": "previous_period"}  # fmt: skip
    expected = report(server, **asked)
    assert len(expected["rows"]) == 6
    reply = export(server, accept=FORMATS[kind], **asked)
    assert reply.status == 200 and reply.headers["content-type"] == FORMATS[kind], reply.body
    rows = rows_of(kind, reply.body, tmp_path)
    columns = ["country", "device", *asked["metrics"], *(f"compare_{name}" for name in asked["metrics"])]
    assert all(list(row) == columns for row in rows)
    assert [(row["country"], row["device"]) for row in rows] == [(row["country"], row["device"]) for row in expected["rows"]]
    for ours, theirs in zip(rows, expected["rows"]):
        for name in asked["metrics"]:
            assert close(number(ours[name]), theirs[name]), (name, ours)
        assert ours["compare_events"] in (None, "") and theirs["compare"] is None
    # The same by its name, in the address and in the body.
    named = export(server, **asked, format=kind)
    addressed = post(server, f"/api/v1/exports?format={kind}", asked)
    assert len(named.body) == len(addressed.body) == len(reply.body)


def number(value) -> float | None:
    return None if value in (None, "") else float(value)


@pytest.mark.parametrize("kind", FORMATS)
def test_sessions_are_exported_whole(server: Server, site: str, kind: str, tmp_path: Path):
    asked = {"report": "sessions", "tracking_id": site, "date_range": {"start": str(TODAY - timedelta(days=9)), "end": str(TODAY)},
             "filters": {"device": "mobile"}, "format": kind}  # fmt: skip
    reply = export(server, **asked)
    assert reply.status == 200, reply.body
    rows = rows_of(kind, reply.body, tmp_path)
    page = get(server, "/api/v1/sessions", {"tracking_id": site, "date_range": "last_30_days", "limit": 1000,
                                            "filters": json.dumps({"device": "mobile"})}).json()  # fmt: skip
    assert 50 < len(rows) < 1000
    assert [row["session_id"] for row in rows] == [row["session_id"] for row in page["sessions"]]
    limited = rows_of("json", export(server, **asked | {"format": "json", "limit": 7}).body, tmp_path)
    assert [row["session_id"] for row in limited] == [row["session_id"] for row in rows][:7]


@pytest.mark.parametrize("kind", FORMATS)
def test_retention_and_funnels_are_exported_as_tables(server: Server, site: str, kind: str, tmp_path: Path):
    days = {"start": str(TODAY - timedelta(days=12)), "end": str(TODAY)}
    asked = {"tracking_id": site, "cohort": "week", "after": "1,2", "unbounded": True}
    reply = export(server, report="retention", date_range=days, format=kind, **asked)
    assert reply.status == 200 and "_retention_" in reply.headers["content-disposition"], reply.body
    cohorts = get(server, "/api/v1/retention", asked | {"unbounded": "true", "start_date": days["start"], "end_date": days["end"]}).json()["cohorts"]
    expected = [
        [cohort["cohort_date"], cohort["users"], cell["weeks_after"], cell["users"], cell["retention_rate"]]
        for cohort in cohorts for cell in cohort["retention"]
    ]  # fmt: skip
    rows = rows_of(kind, reply.body, tmp_path)
    assert len(rows) == len(expected) > 2
    assert list(rows[0]) == ["cohort_date", "cohort_users", "weeks_after", "users", "retention_rate"]
    for row, line in zip(rows, expected):
        assert [str(row["cohort_date"]), *map(number, list(row.values())[1:])] == [line[0], *map(number, line[1:])]

    steps = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
    funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": site, "name": "F", "steps": steps}).json()["funnel_id"]
    wait_until(lambda: get(server, f"/api/v1/funnels/{funnel}/analysis").json()["total_users"] > 0, "the funnel has visitors")
    analysis = get(server, f"/api/v1/funnels/{funnel}/analysis", {"breakdown_by": "country"}).json()
    reply = export(server, report="funnel", funnel_id=funnel, breakdown_by="country", format=kind)
    assert reply.status == 200 and "_funnel_" in reply.headers["content-disposition"], reply.body
    rows = rows_of(kind, reply.body, tmp_path)
    assert [(row["country"], int(row["step"]), row["name"], int(row["users"])) for row in rows] == [
        (group["value"], index + 1, step["name"], step["users"])
        for group in analysis["breakdown"] for index, step in enumerate(group["steps"])
    ]  # fmt: skip
    assert len(rows) == 6


def test_parquet_has_types(server: Server, site: str, tmp_path: Path):
    file = tmp_path / "sessions.parquet"
    file.write_bytes(export(server, report="sessions", tracking_id=site, format="parquet").body)
    frame = pd.read_parquet(file)
    assert str(frame["session_start"].dtype).startswith("datetime64[us, UTC") and frame["bounced"].dtype == bool
    types = dict(duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '{file}')").fetchall())
    assert types["revenue"].startswith("DECIMAL") and types["session_start"] == "TIMESTAMP WITH TIME ZONE"


def test_export_has_more_rows_than_a_page(server: Server, large: str, tmp_path: Path):
    asked = {"tracking_id": large, "date_range": "last_7_days", "metrics": ["pageviews"], "dimensions": ["client_id", "date"]}
    for kind in FORMATS:
        rows = rows_of(kind, export(server, **asked, format=kind).body, tmp_path)
        assert Counter(int(row["pageviews"]) for row in rows) == {1: VISITORS, 2: VISITORS}, kind
    assert len(rows_of("csv", export(server, **asked, format="csv", limit=15_000).body, tmp_path)) == 15_000


def test_every_row_is_compared(server: Server, large: str):
    """Rows beyond the first 10,000 of the other range, too."""
    day = str(TODAY - timedelta(days=3))
    asked = {"tracking_id": large, "date_range": {"start": day, "end": day}, "metrics": ["pageviews"], "dimensions": ["client_id"],
             "compare": "previous_period", "limit": 5}  # fmt: skip
    for direction in ("asc", "desc"):
        reply = report(server, **asked, order_by=[{"field": "client_id", "direction": direction}])
        assert reply["total_rows"] == VISITORS
        assert [row["compare"] for row in reply["rows"]] == [{"pageviews": 1}] * 5
        assert reply["compare"]["totals"] == {"pageviews": VISITORS} and reply["totals"] == {"pageviews": 2 * VISITORS}


FORMULAS = ["=HYPERLINK(\"https://evil.example\")", "+1", "-2+3", "@SUM(A1)", "\t=1", "plain"]


def test_csv_has_no_formulas_of_strangers(server: Server):
    site = server.create_site(new_site())
    titles = [pageview(site, page={"url": "https://shop.example/", "title": title}, revenue="-1.5") for title in FORMULAS]
    fill(server, site, titles)
    sql = f"SELECT page_title, revenue FROM events WHERE tracking_id = '{site}'"
    asked = {"tracking_id": site, "date_range": "last_7_days", "metrics": ["events", "revenue"], "dimensions": ["page_title"]}
    stored = {row["page_title"] for row in post(server, "/api/v1/sql", {"sql": sql}).json()["rows"]}

    def titles_of(reply: Reply) -> set[str]:
        assert reply.status == 200 and reply.headers["content-type"] == "text/csv", reply.body
        rows = list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))
        assert {float(row["revenue"]) for row in rows} == {-1.5}, "numbers are as they are"
        return {row["page_title"] for row in rows}

    escaped = {title if title == "plain" else f"'{title}" for title in stored}
    assert escaped != stored and len(escaped) == len(FORMULAS)
    assert titles_of(post(server, "/api/v1/sql?format=csv", {"sql": sql})) == escaped
    assert titles_of(export(server, accept="text/csv", **asked)) == escaped
    assert titles_of(post(server, "/api/v1/sql?format=csv&escape=none", {"sql": sql})) == stored
    assert titles_of(export(server, **asked, format="csv", escape="none")) == stored
    # Other formats are read by programs.
    assert {row["page_title"] for row in json.loads(export(server, **asked).body)["rows"]} == stored
    for escape, kind in (("all", "csv"), ("none", "json")):
        refused = export(server, **asked, format=kind, escape=escape)
        assert refused.status == 400 and refused.json()["field"] == "escape"


def test_files_are_named(server: Server, site: str):
    reply = export(server, tracking_id=site, date_range={"start": "2026-01-01", "end": "2026-01-31"}, metrics=["events"], format="csv")
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in site)
    assert reply.headers["content-disposition"] == f'attachment; filename="{name}_report_2026-01-01_2026-01-31.csv"'
    assert reply.body == b"events\n0\n" and reply.headers["cache-control"] == "private, no-store"


def test_impossible_exports_are_refused(server: Server, site: str):
    base = {"tracking_id": site, "date_range": "today", "metrics": ["events"]}
    for change, field in [
        ({"format": "xlsx"}, "format"), ({"format": 1}, "format"), ({"report": "x"}, "report"), ({"limit": 0}, "limit"),
        ({"limit": "all"}, "limit"), ({"cursor": "x"}, "cursor"), ({"explain": True}, "explain"), ({"metrics": ["x"]}, "metrics[0]"),
        ({"report": "funnel"}, "funnel_id"),
    ]:  # fmt: skip
        refused = export(server, **base | change)
        assert refused.status == 400 and refused.json()["field"] == field, (change, refused.body)
        assert refused.headers["content-type"] == "application/problem+json"
        assert "content-disposition" not in refused.headers
    assert export(server, accept="text/html", **base).status == 406
    lists = post(server, "/api/v1/sql?format=csv", {"sql": "SELECT make_array(1, 2) AS x"})
    assert lists.status == 400 and "csv" in lists.json()["detail"]
    interval = post(server, "/api/v1/sql?format=parquet", {"sql": "SELECT INTERVAL '1 month' AS x"})
    assert interval.status == 400 and "parquet" in interval.json()["detail"]


def test_export_is_for_the_sites_of_its_token(server: Server, site: str):
    other = server.create_token("reader", [server.create_site(new_site())])
    for kind in ("query", "sessions", "retention"):
        body = {"report": kind, "date_range": "today", "format": "csv"} | ({"metrics": ["events"]} if kind == "query" else {})
        theirs, nobodys = (export(server, other, tracking_id=name, **body) for name in (site, "site-of-nobody"))
        assert theirs.status == nobodys.status == 404
        assert theirs.body.replace(site.encode(), b"site-of-nobody") == nobodys.body
        assert export(server, server.create_token("writer", [site]), tracking_id=site, **body).status == 403
        assert export(server, "ffp_of_nobody", tracking_id=site, **body).status == 401


@pytest.mark.parametrize("kind", FORMATS)
def test_result_that_fails_midway_is_cut_off(server: Server, kind: str):
    # The division by zero is a million rows away from the start.
    sql = "SELECT value, 10 / (1000000 - value) AS x FROM generate_series(1, 1100000)"
    url = f"{server.http}/api/v1/sql?format={kind}"
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    reply = urllib3.PoolManager().request("POST", url, body=sql, headers=headers, preload_content=False, retries=False)
    assert reply.status == 200
    size = 0
    with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.IncompleteRead)):
        while piece := reply.read(1 << 20):
            size += len(piece)
    assert size > 100_000 or kind == "parquet"
