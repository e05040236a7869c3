"""What visitors do, in SQL: the same numbers as over HTTP, and as computed visitor by visitor."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

import pytest

from commands import Footfall
from events import new_site
from gateway import clock_changes, random_events
from server import Server

ZONE = "Asia/Kathmandu"


@pytest.fixture
def filled(make_server, lake) -> tuple[Server, str]:
    """A site in Nepal with events of three months, partly merged, beside another site."""
    server: Server = make_server(lake, FOOTFALL_INGEST__EVENTS_PER_SECOND="100000")
    site, other = server.create_site(new_site(), timezone=ZONE), server.create_site(new_site())
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=days) for days in (3, 4, 9, 16, 17, 40, 75)]
    count = 0
    for seed in range(3):
        sent = random_events(site, seed=seed, count=120, days=[*days, *clock_changes("Europe/Berlin")[:1]])
        server.accept(sent)
        count += len(sent)
        server.accept(random_events(other, seed=seed, count=30, days=days))
    server.wait_for_events(site, count)
    Footfall(lake, server.state).must("compact", "--date", str(days[2]))
    return server, site


def over_http(server: Server, site: str, unit: str, unbounded: bool, first: date, last: date) -> dict:
    query = {
        "tracking_id": site,
        "cohort": unit,
        "start_date": first,
        "end_date": last,
        "unbounded": str(unbounded).lower(),
        "after": ",".join(str(number) for number in range(1, 40)),
    }
    reply = server.administer("GET", f"/api/v1/retention?{urlencode(query)}")
    assert reply.status == 200, reply.body
    return {
        (cohort["cohort_date"], cell[f"{unit}s_after"]): (cohort["users"], cell["users"], cell["retention_rate"])
        for cohort in reply.json()["cohorts"]
        for cell in cohort["retention"]
    }


@pytest.mark.parametrize("lake", ["local"], indirect=True)
def test_retention_cohorts_equal_the_gateways(filled):
    server, site = filled
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=85), today
    sql = (
        "SELECT cohort, period, visitors, retained, retention_rate "
        "FROM retention_cohorts($1, $2, $3, '{unit}', '{mode}', 'Asia/Kathmandu')"
    )
    for unit in ("day", "week", "month"):
        for mode in ("on", "unbounded"):
            asked = over_http(server, site, unit, mode == "unbounded", first, last)
            rows = server.query(sql.format(unit=unit, mode=mode), parameters=[site, first, last]).to_pylist()
            cells = {(str(row["cohort"]), row["period"]): tuple(row.values())[2:] for row in rows}
            assert {key[0] for key in cells} == {key[0] for key in asked}
            oldest = max(period for _, period in cells)
            asked = {key: cell for key, cell in asked.items() if key[1] <= oldest}
            assert len(asked) > (20 if unit == "day" else 2)
            assert {key: cell for key, cell in cells.items() if key in asked} == asked, (unit, mode)


def longest(events: list[tuple[datetime, str]], steps: list[str], window: timedelta) -> int:
    best = 0
    for start, (begun, _) in enumerate(events):
        step = 0
        for at, kind in events[start:]:
            if step < len(steps) and at <= begun + window and kind == steps[step]:
                step += 1
            if step == 0:
                break
        best = max(best, step)
    return best


@pytest.mark.parametrize("lake", ["local"], indirect=True)
def test_window_funnel_equals_a_computation_visitor_by_visitor(filled):
    server, site = filled
    steps = ["pageview", "click", "purchase"]
    histories: dict[str, list] = {}
    every = "SELECT client_id, event_timestamp AS at, event_type FROM events WHERE tracking_id = $1 ORDER BY 1, 2, CASE event_type WHEN 'pageview' THEN 0 WHEN 'click' THEN 1 ELSE 2 END"
    for row in server.query(every, parameters=[site]).to_pylist():
        histories.setdefault(row["client_id"], []).append((row["at"], row["event_type"]))
    sql = (
        "SELECT client_id, window_funnel(INTERVAL '2 days', event_timestamp, event_type = 'pageview', event_type = 'click', "
        "event_type = 'purchase') AS level FROM events WHERE tracking_id = $1 GROUP BY client_id"
    )
    levels = {row["client_id"]: row["level"] for row in server.query(sql, parameters=[site]).to_pylist()}
    expected = {client: longest(events, steps, timedelta(days=2)) for client, events in histories.items()}
    assert levels == expected and len(set(expected.values())) > 2
