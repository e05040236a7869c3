"""`footfall sql`, `site`, `token`, `config`: against a running server and against the state folder."""

import csv
import io
import json
import subprocess
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest

import lakes
from commands import Footfall
from events import new_site, pageviews
from server import Server, binary


@pytest.fixture
def alone(tmp_path: Path) -> Footfall:
    """No server runs."""
    return Footfall(lakes.local(tmp_path / "lake"), tmp_path / "state")


@pytest.fixture
def beside(server: Server) -> Footfall:
    """Beside a server that runs."""
    return Footfall(server.lake, server.state, FOOTFALL_FLIGHT__ADDR=server.flight.split("://", 1)[1])


# --- site and token


def test_sites_are_managed_without_server(alone: Footfall):
    fields = ["--name", "My shop", "--url", "https://shop.example", "--timezone", "Europe/Berlin", "--currency", "EUR"]
    assert "shop" in alone.must("site", "create", "shop", *fields)
    alone.must("site", "create", "blog")
    listed = alone.must("site", "list")
    assert "blog" in listed and "My shop" in listed and "Europe/Berlin" in listed
    shop = next(site for site in json.loads(alone.must("site", "list", "--json")) if site["tracking_id"] == "shop")
    assert (shop["name"], shop["timezone"], shop["currency"]) == ("My shop", "Europe/Berlin", "EUR")


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        (["shop"], "shop"),  # It exists already.
        (["no spaces"], "tracking_id"),
        (["a", "--timezone", "Mars/Olympus"], "timezone"),
        (["a", "--currency", "euros"], "currency"),
        (["a", "--url", "ftp://x"], "url"),
    ],
)
def test_bad_site_is_refused_with_reason(alone: Footfall, arguments: list[str], mentions: str):
    alone.must("site", "create", "shop")
    outcome = alone.run("site", "create", *arguments)
    assert outcome.code == 1
    assert outcome.errors.startswith("error: ")
    assert mentions in outcome.errors


def test_site_added_beside_server_takes_events(server: Server, beside: Footfall):
    site = new_site()
    beside.must("site", "create", site)
    server.accept(pageviews(site, 3))
    server.wait_for_events(site, 3)


def test_commands_administer_over_http(server: Server, tmp_path: Path):
    """As from another machine: with only an address and a token."""
    far = Footfall(lakes.local(tmp_path / "nothing"), tmp_path / "empty" / "state")
    there = ["--server", server.http, "--token", server.admin_token]
    site = new_site()
    far.must("site", "create", site, *there)
    assert site in far.must("site", "list", *there)
    secret = _secret(far.must("token", "create", "--role", "reader", "--site", site, *there))
    server.accept(pageviews(site, 2))
    server.wait_for_events(site, 2)
    assert server.query("SELECT count(*) AS n FROM events", token=secret).to_pylist() == [{"n": 2}]
    wrong = far.run("site", "list", "--server", server.http, "--token", "nonsense")
    assert wrong.code == 1 and wrong.errors.startswith("error: ")


def _secret(output: str) -> str:
    (secret,) = [word for word in output.split() if word.startswith("ffp_")]
    return secret


def test_tokens_are_created_listed_revoked(alone: Footfall):
    alone.must("site", "create", "shop")
    secret = _secret(alone.must("token", "create", "--role", "reader", "--site", "shop", "--expires", "90d"))
    listed = alone.must("token", "list")
    assert "reader" in listed and "shop" in listed
    assert secret not in listed
    (token,) = [t for t in json.loads(alone.must("token", "list", "--json")) if t["role"] == "reader"]
    alone.must("token", "revoke", token["id"])
    (token,) = [t for t in json.loads(alone.must("token", "list", "--json")) if t["role"] == "reader"]
    assert token["revoked_at"]


@pytest.mark.parametrize(
    "arguments",
    [["--role", "reader", "--site", "nobody"], ["--role", "reader"], ["--role", "admin", "--expires", "soon"]],
)
def test_bad_token_is_refused(alone: Footfall, arguments: list[str]):
    outcome = alone.run("token", "create", *arguments)
    assert outcome.code in (1, 2)
    assert outcome.errors.startswith("error: ")


# --- sql


@pytest.fixture
def filled(server: Server, site: str) -> str:
    server.accept(pageviews(site, 4, page={"url": "https://x.example/", "title": 'a "title", with a comma'}))
    server.wait_for_events(site, 4)
    return site


def test_sql_prints_a_table(beside: Footfall, filled: str):
    printed = beside.must("sql", f"SELECT count(*) AS events FROM events WHERE tracking_id = '{filled}'")
    assert "events" in printed and "4" in printed


def test_sql_prints_csv(beside: Footfall, filled: str):
    sql = f"SELECT event_id, page_title FROM events WHERE tracking_id = '{filled}' ORDER BY event_id"
    head, *rows = csv.reader(io.StringIO(beside.must("sql", sql, "--format", "csv")))
    assert head == ["event_id", "page_title"]
    assert [row[1] for row in rows] == ['a "title", with a comma'] * 4


def test_sql_prints_json(beside: Footfall, filled: str):
    sql = f"SELECT event_type, is_bot, user_id FROM events WHERE tracking_id = '{filled}'"
    rows = [json.loads(line) for line in beside.must("sql", sql, "--format", "json").splitlines()]
    assert len(rows) == 4
    assert all(row["event_type"] == "pageview" and row["is_bot"] is False for row in rows)
    assert all(row.get("user_id") is None for row in rows)


def test_sql_writes_arrow(beside: Footfall, filled: str, tmp_path: Path):
    sql = f"SELECT * FROM events WHERE tracking_id = '{filled}'"
    written = subprocess.check_output([binary(), "sql", sql, "--format", "arrow"], env=beside.env, cwd=tmp_path)
    table = pa.ipc.open_stream(written).read_all()
    assert table.num_rows == 4
    assert table.schema.field("revenue").type == pa.decimal128(18, 4)


def test_sql_with_reader_token(server: Server, beside: Footfall, filled: str):
    token = server.create_token("reader", [filled])
    there = ["--server", server.flight, "--token", token, "--format", "csv"]
    assert beside.must("sql", "SELECT count(*) AS n FROM events", *there).split() == ["n", "4"]


def test_sql_reads_stdin(beside: Footfall, filled: str):
    printed = beside.must("sql", "--format", "csv", text="SELECT 40 +\n 2 AS n;\nSELECT 'x;y' AS t;\n")
    assert "42" in printed and "x;y" in printed


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT * FROM nothing", "DROP TABLE events"])
def test_sql_shows_server_error(beside: Footfall, sql: str):
    outcome = beside.run("sql", sql)
    assert outcome.code == 1
    assert outcome.errors.startswith("error: ")
    assert len(outcome.errors) > len("error: ") + 10


def test_sql_without_server_fails(alone: Footfall):
    outcome = alone.run("sql", "SELECT 1", "--server", "grpc://127.0.0.1:1", "--token", "x")
    assert outcome.code == 1
    assert outcome.errors.startswith("error: ")
    assert "127.0.0.1:1" in outcome.errors


# --- config, help


def test_config_prints_settings_without_secrets(alone: Footfall, tmp_path: Path):
    file = tmp_path / "footfall.toml"
    file.write_text('[http]\naddr = "127.0.0.1:1234"\n[s3]\nsecret_access_key = "very secret"\n')
    printed = alone.must("config", "--config", file, FOOTFALL_FLIGHT__ADDR="127.0.0.1:4321")
    assert "very secret" not in printed
    config = tomllib.loads(printed)
    assert config["http"]["addr"] == "127.0.0.1:1234"
    assert config["flight"]["addr"] == "127.0.0.1:4321"


def test_unknown_setting_is_refused_by_name(alone: Footfall, tmp_path: Path):
    file = tmp_path / "wrong.toml"
    file.write_text("[http]\nadress = 1\n")
    outcome = alone.run("config", "--config", file)
    assert outcome.code == 1
    assert "adress" in outcome.errors


@pytest.mark.parametrize("command", ["serve", "site", "token", "sql", "import", "demo", "config"])
def test_every_command_has_help(alone: Footfall, command: str):
    assert command in alone.must("--help")
    assert "Usage" in alone.must(command, "--help")


def test_mistyped_command_is_usage_error(alone: Footfall):
    assert alone.run("srve").code == 2
