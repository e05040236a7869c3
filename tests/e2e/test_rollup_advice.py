"""What `footfall rollup advise` proposes answers the statements that led to it."""

import json

import pytest

from commands import Footfall
from events import ago, new_site, pageview, rfc3339
from server import Server, wait_until

BY_CITY = "SELECT city, count(*) AS n FROM events WHERE event_timestamp < now() GROUP BY 1 ORDER BY 1"
OF_ONE = "SELECT sum(revenue) AS r FROM events WHERE city = 'Gent' AND event_type = 'purchase'"


def send(server: Server, site: str) -> None:
    day = ago(days=3)
    sent = [
        pageview(
            site,
            client_id=f"client-{nth % 10}",
            timestamp=rfc3339(day.replace(hour=10 + nth // 100, minute=nth % 60)),
            event_type="purchase" if nth % 4 == 0 else "pageview",
            revenue=nth,
            user={"city": ["Gent", "Brussel", "Liège"][nth % 3]},
        )
        for nth in range(400)
    ]
    # In several files, so that they are merged.
    for part in range(4):
        server.accept(sent[part::4])
        server.wait_for_events(site, 100 * (part + 1))


def source(server: Server, sql: str) -> str:
    plan = server.query(f"EXPLAIN {sql}").to_pylist()
    return next(row["plan"] for row in plan if row["plan_type"] == "routing")


@pytest.mark.parametrize("lake", ["local"], indirect=True)
def test_advised_rollup_answers_the_statements(make_server, lake, tmp_path):
    server: Server = make_server(lake)
    footfall = Footfall(lake, server.state)
    there = ["--server", server.flight]
    advise = lambda *more: footfall.must("rollup", "advise", *there, *more)  # noqa: E731
    assert "no rollup is missing" in advise()
    assert json.loads(advise("--json")) == []
    refused = footfall.run("rollup", "advise", *there, "--toml")
    assert refused.code == 1 and "no rollup would have saved" in refused.errors

    send(server, server.create_site(new_site()))
    wait_until(lambda: len(lake.delta_table().file_uris()) == 1, "the server has merged the day")
    answers = {sql: server.query(sql).to_pylist() for sql in [BY_CITY, OF_ONE]}
    assert all("raw events" in source(server, sql) for sql in answers)

    (only,) = json.loads(advise("--json"))
    assert sorted(only["rollup"]["dimensions"]) == ["city", "event_type"], only
    assert only["aggregates"] == 2 and 700 < only["rows_saved"] < 800, only
    assert 5 <= only["estimated_rows"] <= 7 and only["estimated_bytes"] > 0, only
    shown = advise()
    assert only["rollup"]["name"] in shown and "[[measures]]" in shown, shown

    file = tmp_path / "new.toml"
    file.write_text(advise("--toml"))
    footfall.must("rollup", "create", "--file", file)
    wait_until(lambda: all(f"rollup {only['rollup']['name']}: " in source(server, sql) for sql in answers), "it is filled")
    assert {sql: server.query(sql).to_pylist() for sql in answers} == answers
    assert "no rollup is missing" in advise()

    reader = server.create_token("reader", [server.create_site(new_site())])
    other = footfall.run("rollup", "advise", *there, "--token", reader)
    assert other.code == 1 and "needs a token of all sites" in other.errors
