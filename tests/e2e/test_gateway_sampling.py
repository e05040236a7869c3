"""Sampled reports: the bounds hold the exact number in about 95 of 100 cases, and replies say that they are sampled."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

import lakes
from events import pageview, rfc3339
from gateway import METRICS
from server import Reply, Server

SETTINGS = {"FOOTFALL_INGEST__EVENTS_PER_SECOND": "100000", "FOOTFALL_INGEST__FLUSH_INTERVAL": "200ms"}
BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
SITES = 24
VISITORS = 250


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sampling")
    server = Server(lakes.local(folder / "lake"), folder / "server", SETTINGS)
    try:
        yield server.start()
    finally:
        server.end()


def visits(site: str, rng: random.Random) -> list[dict]:
    """Visitors with one to some visits. Each site is another sample: hashes are of site and visitor."""
    events = []
    for visitor in range(VISITORS):
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            at = BEGIN + timedelta(seconds=rng.uniform(0, 2 * 86_400))
            fields = {"client_id": f"v{visitor}", "user": {"country": rng.choice(["DE", "US", "US"])}}
            for nth in range(rng.choice([1, 1, 2, 4])):
                kind = rng.choice(["pageview", "pageview", "pageview", "purchase"])
                bought = {"revenue": str(rng.randrange(100, 5_000) / 100)} if kind == "purchase" else {}
                time = rfc3339(at + timedelta(minutes=nth))
                page = {"url": f"https://shop.example/{rng.randrange(4)}"}
                events.append(pageview(site, event_type=kind, timestamp=time, page=page, **fields, **bought))
    return events


@pytest.fixture(scope="module")
def sites(server: Server) -> list[str]:
    rng, made = random.Random(7), []
    for number in range(SITES):
        # The same each time, and so are the samples.
        site = server.create_site(f"sampled-{number}")
        events = visits(site, rng)
        for begin in range(0, len(events), 500):
            server.accept(events[begin : begin + 500])
        server.wait_for_events(site, len(events))
        made.append(site)
    return made


def ask(server: Server, site: str, token: str | None = None, **request) -> Reply:
    dates = {"start": str(BEGIN.date()), "end": str(BEGIN.date() + timedelta(days=3))}
    return server.administer("POST", "/api/v1/query", {"tracking_id": site, "date_range": dates} | request, token=token)


def report(server: Server, site: str, **request) -> dict:
    reply = ask(server, site, **request)
    assert reply.status == 200, reply.body
    return reply.json()


def test_bounds_hold_the_exact_number(server: Server, sites: list[str]):
    request = {"metrics": list(METRICS), "dimensions": ["country"]}
    held = wide = cases = 0
    for site in sites:
        exact = report(server, site, **request)
        sampled = report(server, site, **request, sampling="sampled", sample_rate=0.4)
        assert sampled["is_sampled"] and sampled["sample_rate"] == pytest.approx(0.4)
        known = {row["country"]: row for row in exact["rows"]} | {"all": exact["totals"]}
        found = {row["country"]: row for row in sampled["rows"]} | {"all": sampled["totals"]}
        assert set(found) == {"DE", "US", "all"}
        for name, row in found.items():
            for metric in METRICS:
                estimate, true = row[metric], known[name][metric]
                assert set(estimate) == {"value", "lower", "upper", "sample_size"}
                assert estimate["lower"] <= estimate["value"] <= estimate["upper"], (metric, estimate)
                # Nobody was there before: 0 of 0 says nothing.
                if metric != "returning_users":
                    held += estimate["lower"] - 1e-9 <= true <= estimate["upper"] + 1e-9
                    wide += estimate["upper"] > estimate["lower"]
                    cases += 1
    assert wide > 0.99 * cases
    assert 0.93 <= held / cases <= 0.97, f"{held} of {cases}"


def test_sample_is_the_same_each_time_and_ordered(server: Server, sites: list[str]):
    request = {"metrics": ["pageviews", "bounce_rate"], "dimensions": ["page_path", "country"], "sampling": "sampled",
               "order_by": [{"field": "pageviews", "direction": "desc"}]}  # fmt: skip
    one, other = (report(server, sites[0], **request) for _ in range(2))
    assert one["rows"] == other["rows"] and one["totals"] == other["totals"]
    values = [row["pageviews"]["value"] for row in one["rows"]]
    assert values == sorted(values, reverse=True) and one["sample_rate"] == pytest.approx(0.1)
    assert one["query"]["sampling"] == "sampled" and one["query"]["sample_rate"] == 0.1
    assert "TABLESAMPLE SYSTEM (10)" in one["sql"]
    # The SQL that the reply names gives the same.
    row = server.query(one["sql"]).to_pylist()[0]
    assert {row["pageviews"], row["pageviews_upper"]} == {one["rows"][0]["pageviews"][name] for name in ("value", "upper")}
    first = report(server, sites[0], **request, limit=2)
    rest = report(server, sites[0], **request, limit=100, cursor=first["next_cursor"])
    assert first["rows"] + rest["rows"] == one["rows"]


def test_empty_periods_and_comparisons_are_sampled_too(server: Server, sites: list[str]):
    reply = report(server, sites[0], metrics=["events", "conversion_rate"], dimensions=["date"], sampling="sampled",
                   compare="previous_period")  # fmt: skip
    assert len(reply["rows"]) == 4
    last = reply["rows"][-1]
    assert last["events"] == {"value": 0, "lower": 0, "upper": 0, "sample_size": 0}
    assert last["conversion_rate"]["value"] is None
    assert reply["compare"]["totals"]["events"]["value"] == 0
    assert reply["rows"][0]["compare"]["events"]["sample_size"] == 0


def test_auto_samples_long_ranges_that_no_rollup_answers(server: Server, sites: list[str]):
    long = {"start": str(BEGIN.date() - timedelta(days=120)), "end": str(BEGIN.date() + timedelta(days=3))}
    # Page titles are in no rollup.
    raw = {"metrics": ["events"], "dimensions": ["page_title"], "sampling": "auto"}
    for token in (None, server.create_token("reader", [sites[0]])):
        sampled = report(server, sites[0], **raw | {"date_range": long}, token=token)
        assert sampled["is_sampled"] and any("90 days" in warning for warning in sampled["warnings"])
    for exact in (report(server, sites[0], **raw), report(server, sites[0], **raw | {"date_range": long, "sampling": "exact"})):
        assert not exact["is_sampled"] and exact["sample_rate"] == 1.0
    # The parts of sessions are aggregated already.
    sessions = report(server, sites[0], metrics=["sessions"], date_range=long, sampling="auto")
    assert not sessions["is_sampled"]


def test_bad_rates_are_refused(server: Server, sites: list[str]):
    for rate in (0, 1, -1, 2):
        reply = ask(server, sites[0], metrics=["events"], sampling="sampled", sample_rate=rate)
        assert reply.status == 400 and reply.json()["field"] == "sample_rate"
    assert ask(server, sites[0], metrics=["events"], sampling="some").status == 400
