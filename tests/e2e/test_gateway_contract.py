"""Every endpoint of the OpenAPI document, with generated requests: statuses, types and bodies are those described."""

import re
import shutil
import subprocess
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi_checks

from events import new_site, pageview, rfc3339
from gateway import random_events
from gateway_client import fill, get, post, serving
from server import Server

TODAY = datetime.now(UTC).date()

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


class Contract:
    """A server, a site with events and a funnel, and what was answered."""

    def __init__(self, server: Server):
        self.server = server
        self.site = server.create_site(new_site())
        fill(server, self.site, random_events(self.site, seed=1, count=200, days=[TODAY - timedelta(days=3)]))
        self.funnel = self.new_funnel()
        self.reader = server.create_token("reader", [self.site])
        self.asked = self.names = 0
        self.seen: dict[str, set[int]] = {}

    def new_funnel(self) -> str:
        steps = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
        funnel = {"tracking_id": self.site, "name": "F", "steps": steps}
        return self.server.administer("POST", "/api/v1/funnels", funnel).json()["funnel_id"]

    def new_token(self) -> str:
        return self.server.administer("POST", "/api/v1/tokens", {"role": "reader", "sites": "all"}).json()["token"]["id"]

    def new_rollup(self) -> str:
        rollup = {"name": f"r{self.asked}", "grain": "day", "dimensions": ["country"]}
        return self.server.administer("POST", "/api/v1/rollups", rollup).json()["name"]

    def saved(self, path: str) -> dict:
        """A segment or a dashboard of its own name."""
        body = {"tracking_id": self.site, "name": f"saved {self.names}"}
        self.names += 1
        if "dashboards" in path:
            query = {"metrics": ["events"], "date_range": "today"}
            return body | {"widgets": [{"title": "Events", "type": "number", "query": query}]}
        return body | {"filters": {"events": {"event_type": "purchase"}}}

    def new_saved(self, path: str) -> str:
        made = self.server.administer("POST", "/".join(path.split("/")[:4]), self.saved(path)).json()
        return made.get("segment_id") or made["dashboard_id"]

    def steer(self, case: schemathesis.Case) -> None:
        """What was generated, of what there is: or no reply would ever be 200."""
        for place in (case.body, case.query):
            if isinstance(place, dict) and "tracking_id" in place and case.path != "/api/v1/sites":
                place["tracking_id"] = self.site
        match f"{case.method} {case.path}":
            case "GET /api/v1/funnels/{id}/analysis" | "GET /api/v1/funnels/{id}" | "PUT /api/v1/funnels/{id}":
                case.path_parameters["id"] = self.funnel
            case "DELETE /api/v1/funnels/{id}":
                case.path_parameters["id"] = self.new_funnel()
            case "POST /api/v1/tokens/{id}/revoke":
                case.path_parameters["id"] = self.new_token()
            case "DELETE /api/v1/rollups/{name}":
                case.path_parameters["name"] = self.new_rollup()
            case "PATCH /api/v1/sites/{tracking_id}":
                case.path_parameters["tracking_id"] = self.site
            case "POST /api/v1/segments/preview" if isinstance(case.body, dict):
                case.body = {"tracking_id": self.site, "filters": {"events": {"event_type": "purchase"}}}
            case "POST /api/v1/funnels/analysis" if isinstance(case.body, dict):
                steps = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
                case.body = {"tracking_id": self.site, "steps": steps}
            case "GET /api/v1/visitors/{id}":
                case.path_parameters["id"] = "visitor-7"
            case "POST /api/v1/sql" if isinstance(case.body, dict):
                case.body |= {"sql": "SELECT country, revenue, event_timestamp FROM events LIMIT 3", "parameters": []}
            case "POST /api/v1/query" | "POST /api/v1/exports" if isinstance(case.body, dict):
                # Half of them with what was generated besides.
                besides = {name: case.body[name] for name in ("format", "fill", "totals", "date_range") if name in case.body}
                simple = {"tracking_id": self.site, "metrics": ["events", "revenue"], "dimensions": ["country"], "date_range": "last_7_days"}
                case.body = simple | besides if self.asked % 2 else case.body | simple
            case "POST /api/v1/segments" | "POST /api/v1/dashboards":
                case.body = self.saved(case.path)
            case "GET /api/v1/segments/{id}" | "GET /api/v1/dashboards/{id}" | "DELETE /api/v1/segments/{id}" | "DELETE /api/v1/dashboards/{id}":
                case.path_parameters["id"] = self.new_saved(case.path)
            case "PUT /api/v1/segments/{id}" | "PUT /api/v1/dashboards/{id}":
                case.path_parameters["id"], case.body = self.new_saved(case.path), self.saved(case.path)
            case "GET /api/v1/segments/{id}/preview":
                case.path_parameters["id"], case.query = self.new_saved(case.path), {"tracking_id": self.site}
            case "POST /api/v1/segments/preview":
                case.body = {"tracking_id": self.site, "filters": {"events": {"at_least": 2}}}
            case "POST /api/v1/funnels/analysis":
                case.body = {"tracking_id": self.site, "steps": [{"name": name, "event_type": name} for name in ("click", "purchase")]}
            case "POST /api/v1/funnels" if isinstance(case.body, dict):
                case.body |= {"name": "G", "steps": [{"name": name, "event_type": name} for name in ("a", "b", "c")]}
            case "POST /api/v1/sites":
                case.body = {"tracking_id": new_site(), "timezone": "Asia/Kathmandu", "currency": None}
            case "POST /api/v1/tokens":
                case.body = {"role": "reader", "sites": [self.site], "expires_in": "90d"}
            case "POST /api/v1/rollups":
                case.body = {"name": f"g{self.asked}", "grain": "hour", "dimensions": ["device"]}
            case "GET /api/v1/retention" | "GET /api/v1/sessions":
                case.query = {"tracking_id": self.site, "date_range": "last_30_days"}

    def call(self, case: schemathesis.Case) -> None:
        self.asked += 1
        if self.asked % 4:
            self.steer(case)
        token = self.reader if self.asked % 3 == 0 else self.server.admin_token
        reply = case.call(base_url=self.server.http, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.seen.setdefault(f"{case.method} {case.path}", set()).add(reply.status_code)
        case.validate_response(reply, checks=CHECKS)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    with serving(tmp_path_factory.mktemp("contract")) as server:
        yield Contract(server)


def ask_all(contract: Contract, mode: GenerationMode, examples: int) -> None:
    document = schemathesis.openapi.from_url(f"{contract.server.http}/api/v1/openapi.json")
    failures = {}
    for found in document.get_all_operations():
        operation = found.ok()
        # It does not end: the test of streams reads it.
        if operation.path == "/api/v1/realtime/stream":
            continue

        @settings(max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def replies(case: schemathesis.Case) -> None:
            contract.call(case)

        try:
            replies()
        except Unsatisfiable:
            # A request without parameters can't be wrong.
            assert mode == GenerationMode.NEGATIVE
        except Exception as failure:  # noqa: BLE001: each endpoint's, and not only the first one's
            failures[operation.label] = "".join(traceback.format_exception_only(failure))
    assert not failures, "\n".join(f"{label}\n{failure}" for label, failure in failures.items())


# Endpoints whose described replies must have been seen, and not only refusals.
ANSWERED = [
    "POST /api/v1/query", "POST /api/v1/exports", "POST /api/v1/sql", "GET /api/v1/meta", "GET /api/v1/realtime",
    "GET /api/v1/retention", "GET /api/v1/sessions", "GET /api/v1/visitors/{id}", "GET /api/v1/funnels/{id}/analysis",
    "GET /api/v1/funnels", "POST /api/v1/funnels", "GET /api/v1/funnels/{id}", "PUT /api/v1/funnels/{id}", "DELETE /api/v1/funnels/{id}",
    "GET /api/v1/sites", "POST /api/v1/sites", "PATCH /api/v1/sites/{tracking_id}",
    "GET /api/v1/tokens", "POST /api/v1/tokens", "POST /api/v1/tokens/{id}/revoke",
    "GET /api/v1/segments", "POST /api/v1/segments", "GET /api/v1/segments/{id}", "PUT /api/v1/segments/{id}", "DELETE /api/v1/segments/{id}",
    "GET /api/v1/segments/{id}/preview", "POST /api/v1/segments/preview",
    "GET /api/v1/dashboards", "POST /api/v1/dashboards", "GET /api/v1/dashboards/{id}", "PUT /api/v1/dashboards/{id}",
    "DELETE /api/v1/dashboards/{id}", "POST /api/v1/funnels/analysis",
    "GET /api/v1/rollups", "POST /api/v1/rollups", "DELETE /api/v1/rollups/{name}",
]  # fmt: skip


def test_replies_are_as_described(contract: Contract):
    ask_all(contract, GenerationMode.POSITIVE, examples=12)
    refused = [name for name in ANSWERED if not any(status < 300 for status in contract.seen[name])]
    assert not refused, contract.seen


def test_wrong_requests_are_refused_as_described(contract: Contract):
    ask_all(contract, GenerationMode.NEGATIVE, examples=4)


# --- The page that shows the document

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def test_documentation_page_shows_every_endpoint(contract: Contract, tmp_path: Path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert browser, "there is no Chromium on this machine: apt-get install chromium"
    url = f"{contract.server.http}/api/v1/docs"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000",
               "--enable-logging=stderr", "--dump-dom", url]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert 'data-ready="yes"' in run.stdout, run.stderr
    # Its policy forbids nothing that it needs.
    assert "Content Security Policy" not in run.stderr, run.stderr
    paths = contract.server.request("GET", "/api/v1/openapi.json").json()["paths"]
    shown = re.findall(r'<span class="method">(\w+)</span>([^<]+)</h3>', run.stdout)
    assert sorted(shown) == sorted((method.upper(), path) for path, methods in paths.items() for method in methods)
    for file in ("", "/page.js", "/page.css"):
        reply = contract.server.request("GET", f"/api/v1/docs{file}")
        policy = reply.headers["content-security-policy"]
        assert reply.status == 200 and policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert not re.search(rb"https?://", reply.body), "nothing from elsewhere"


# --- The specification's examples

REALTIME = {
    "tracking_id": "UA-123456-1", "timestamp": "2026-02-02T10:30:00.000Z", "active_users": 1234, "active_sessions": 890,
    "events_per_minute": 5670,
    "top_pages": [{"url": "/products/shoes", "active_users": 234, "pageviews": 456}],
    "traffic_sources": {"direct": 450, "organic_search": 320, "social": 180, "referral": 150},
    "devices": {"desktop": 670, "mobile": 520, "tablet": 100},
}  # fmt: skip

QUERY = {
    "query_id": "q_abc123", "execution_time_ms": 234,
    "rows": [{"date": "2026-01-01", "country": "US", "device": "desktop", "pageviews": 123456, "unique_users": 45678, "bounce_rate": 0.42}],
    "total_rows": 92, "is_sampled": False,
}  # fmt: skip

FUNNEL_REQUEST = {
    "name": "Purchase Funnel",
    "steps": [
        {"name": "View Product", "event_type": "pageview", "filters": {"page_path": "/products/*"}},
        {"name": "Add to Cart", "event_type": "click", "filters": {"element_id": "add-to-cart"}},
        {"name": "Checkout", "event_type": "pageview", "filters": {"page_path": "/checkout"}},
        {"name": "Purchase", "event_type": "purchase"},
    ],
    "window": "7d",
}
FUNNEL = FUNNEL_REQUEST | {"funnel_id": "funnel_xyz789", "created_at": "2026-02-02T10:30:00.000Z"}

ANALYSIS = {
    "funnel_id": "funnel_xyz789", "date_range": {"start": "2026-01-01", "end": "2026-01-31"}, "total_users": 100000,
    "steps": [{"name": "View Product", "users": 100000, "conversion_rate": 1.0, "drop_off_rate": 0.0}] * 4,
    "overall_conversion_rate": 0.08, "avg_time_to_convert": "2h 34m",
}  # fmt: skip


def same_shape(specified, reply, where: str = "reply") -> None:
    """The reply has every field that is specified, and its type; a list's items are like the first one specified, unless there are as many."""
    assert type(reply) is type(specified), f"{where}: {reply!r}, specified {specified!r}"
    match specified:
        case dict():
            for name, value in specified.items():
                assert name in reply, f"{where} has no {name}"
                same_shape(value, reply[name], f"{where}.{name}")
        case [first, *_]:
            assert reply, f"{where} is empty"
            for index, item in enumerate(reply):
                same_shape(specified[index] if len(reply) == len(specified) else first, item, f"{where}[{index}]")


def test_specified_examples_are_answered_field_by_field(contract: Contract):
    server = contract.server
    site = server.create_site(new_site())
    now = datetime.now(UTC)
    us = {"device": "desktop", "country": "US"}
    journey = [
        ("pageview", "/products/shoes", {}), ("click", "/products/shoes", {"element_id": "add-to-cart"}),
        ("pageview", "/checkout", {}), ("purchase", "/checkout", {}),
    ]  # fmt: skip
    funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": site} | FUNNEL_REQUEST)
    assert funnel.status == 201
    same_shape(FUNNEL, funnel.json())
    assert {name: funnel.json()[name] for name in FUNNEL_REQUEST} == FUNNEL_REQUEST
    fill(server, site, [
        pageview(site, client_id="ann", event_type=kind, user=us, page={"url": f"https://shop.example{path}"}, custom_properties=properties,
                 timestamp=rfc3339(now - timedelta(seconds=40 - 10 * step)))
        for step, (kind, path, properties) in enumerate(journey)
    ])  # fmt: skip
    same_shape(REALTIME, get(server, "/api/v1/realtime", {"tracking_id": site}).json())
    days = {"start": str(TODAY - timedelta(days=1)), "end": str(TODAY + timedelta(days=1))}
    query = {
        "tracking_id": site, "date_range": days, "metrics": ["pageviews", "unique_users", "bounce_rate"],
        "dimensions": ["date", "country", "device"], "filters": {"device": ["desktop", "mobile"], "country": "US"},
        "order_by": [{"field": "pageviews", "direction": "desc"}], "limit": 100,
    }  # fmt: skip
    same_shape(QUERY, post(server, "/api/v1/query", query).json())
    analysis = get(server, f"/api/v1/funnels/{funnel.json()['funnel_id']}/analysis", {"start_date": days["start"], "end_date": days["end"]})
    same_shape(ANALYSIS, analysis.json())
    assert [step["users"] for step in analysis.json()["steps"]] == [1, 1, 1, 1]
