"""Configured rollups from the command line to SQL: made, filled by the server, dropped, deleted."""

import json
import re
import sqlite3
from pathlib import Path

import pytest
from deltalake import DeltaTable

from commands import Footfall
from events import ago, new_site, pageview, rfc3339
from server import Server, wait_until


SIGNUPS = """
name = "signups"
grain = "hour"
dimensions = ["country"]

[[measures]]
name = "signups"
function = "count"
column = "event_type"
equals = "signup"
"""

COUNTS = "SELECT country, sum(signups) AS signups, sum(sessions) AS sessions FROM {name} GROUP BY 1 ORDER BY 1"


def send(server: Server, site: str, known: int, clients: int) -> None:
    """Visitors of two countries; each signs up once."""
    day = rfc3339(ago(days=3).replace(hour=10, minute=known % 60))
    sent = [
        pageview(site, client_id=f"{known}-{client}", timestamp=day, event_type=kind, user={"country": "BE" if client % 3 else "NL"})
        for client in range(clients)
        for kind in ("pageview", "signup")
    ]
    server.accept(sent)
    server.wait_for_events(site, known + 2 * clients)


def create(footfall: Footfall, folder: Path, text: str = SIGNUPS, **changes: str):
    file = folder / "r.toml"
    for old, new in changes.items():
        text = re.sub(rf"(?m)^{old} = .*$", f"{old} = {new}", text)
    file.write_text(text)
    return footfall.run("rollup", "create", "--file", file)


def counts(server: Server, name: str = "signups", token: str | None = None) -> list[tuple]:
    return [tuple(row.values()) for row in server.query(COUNTS.format(name=name), token=token).to_pylist()]


def reads_events(server: Server) -> bool:
    plan = server.query("EXPLAIN SELECT sum(signups) FROM signups").to_pylist()
    return "events/event_date" in next(row["plan"] for row in plan if row["plan_type"] == "physical_plan")


def listed(footfall: Footfall) -> list[dict]:
    return json.loads(footfall.must("rollup", "list", "--json"))


def is_refused(server: Server, token: str | None = None) -> bool:
    try:
        counts(server, token=token)
    except Exception as error:  # noqa: BLE001
        assert "not found" in str(error), error
        return True
    return False


def test_rollup_from_creation_to_deletion(make_server, lake, tmp_path):
    server: Server = make_server(lake)
    footfall = Footfall(lake, server.state)
    site, other = server.create_site(new_site()), server.create_site(new_site())
    send(server, site, 0, 30)
    send(server, other, 0, 9)
    send(server, site, 60, 6)
    wait_until(lambda: len(lake.delta_table().file_uris()) == 1, "the server has merged the day")

    made = create(footfall, tmp_path)
    assert made.code == 0, made.errors
    both = [("BE", 30, 30), ("NL", 15, 15)]
    wait_until(lambda: not is_refused(server), "the server knows it")
    assert counts(server) == both
    wait_until(lambda: not reads_events(server), "its history is there")
    assert counts(server) == both
    (known,) = listed(footfall)
    assert known["progress"] == {"files": 1, "covered_files": 1, "rows": 90, "covered_rows": 90}
    assert "100.0%" in footfall.must("rollup", "list")
    folder = f"{lake.data}/shard=00/rollups/signups-{known['revision']}"
    segment = DeltaTable(folder, storage_options=lake.storage_options).to_pyarrow_table()
    assert sum(segment["signups"].to_pylist()) == 45

    reader = server.create_token("reader", [other])
    assert counts(server, token=reader) == [("BE", 6, 6), ("NL", 3, 3)]
    send(server, other, 18, 3)
    assert counts(server) == [("BE", 32, 32), ("NL", 16, 16)]
    footfall.must("compact", "--date", ago(days=3).date().isoformat())
    assert "0 differences" in footfall.must("verify")
    assert counts(server) == [("BE", 32, 32), ("NL", 16, 16)]

    assert "is dropped" in footfall.must("rollup", "drop", "signups")
    wait_until(lambda: is_refused(server), "it is gone")
    # Another definition under the same name: for one site only.
    made = create(footfall, tmp_path, f'sites = ["{site}"]' + SIGNUPS, grain='"day"')
    assert made.code == 0, made.errors
    wait_until(lambda: not is_refused(server), "the server knows it")
    assert counts(server) == [("BE", 24, 24), ("NL", 12, 12)]
    assert is_refused(server, token=reader), "for other sites it is not there"

    # Its predecessor's files go a day after it was dropped.
    footfall.must("vacuum")
    assert DeltaTable(folder, storage_options=lake.storage_options).file_uris()
    with sqlite3.connect(server.state / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE rollups SET dropped_at = dropped_at - 100000000000 WHERE dropped_at IS NOT NULL")
    footfall.must("vacuum")
    assert not DeltaTable.is_deltatable(folder, storage_options=lake.storage_options)
    if not lake.data.startswith("s3://"):
        assert [path.name for path in Path(lake.data, "shard=00/rollups").glob("signups-*")] == [
            f"signups-{listed(footfall)[0]['revision']}"
        ]
    assert counts(server) == [("BE", 24, 24), ("NL", 12, 12)]


@pytest.mark.parametrize("lake", ["local"], indirect=True)
def test_rollup_survives_restart_and_wrong_ones_are_refused(make_server, lake, tmp_path):
    server: Server = make_server(lake)
    footfall = Footfall(lake, server.state)
    site = server.create_site(new_site())
    send(server, site, 0, 30)
    assert create(footfall, tmp_path).code == 0
    refused = {
        '"signups"': "exists already",
        '"events_daily"': "choose another",
        '"Signups"': "lowercase letter",
    }
    for name, reason in refused.items():
        outcome = create(footfall, tmp_path, name=name)
        assert outcome.code == 1 and reason in outcome.errors, outcome.errors
    outcome = create(footfall, tmp_path, name='"x"', dimensions='["colour"]')
    assert outcome.code == 1 and "possible are event_type" in outcome.errors, outcome.errors
    outcome = create(footfall, tmp_path, name='"x"', grain='"week"')
    assert outcome.code == 1 and "quarter_hour" in outcome.errors, outcome.errors
    server.kill()
    server.start()
    assert counts(server) == [("BE", 20, 20), ("NL", 10, 10)]
    assert "rollup create --file signups.toml" in footfall.must("rollup", "--help")
