"""Every endpoint of the OpenAPI document, with generated requests: statuses, types and bodies are those described."""

import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi_checks

from events import new_site
from gateway import random_events
from gateway_client import fill, get, serving
from server import Server

TODAY = datetime.now(UTC).date()

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


# Requests for each endpoint.
EXAMPLES = 20


class Contract:
    """A server, a site with events and a funnel, and what was answered."""

    def __init__(self, server: Server):
        self.server = server
        self.site = server.create_site(new_site())
        fill(server, self.site, random_events(self.site, seed=1, count=200, days=[TODAY - timedelta(days=3)]))
        steps = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
        funnel = server.administer("POST", "/api/v1/funnels", {"tracking_id": self.site, "name": "F", "steps": steps})
        self.ids = {"/api/v1/funnels/{id}/analysis": funnel.json()["funnel_id"], "/api/v1/visitors/{id}": "visitor-7"}
        self.reader = server.create_token("reader", [self.site])
        self.asked = 0
        self.seen: dict[str, set[int]] = {}

    def call(self, case: schemathesis.Case) -> None:
        """Most requests are for what exists, or no reply would ever be 200."""
        self.asked += 1
        if self.asked % 4:
            for place in (case.body, case.query):
                if isinstance(place, dict) and "tracking_id" in place and case.path != "/api/v1/sites":
                    place["tracking_id"] = self.site
            if case.path in self.ids:
                case.path_parameters["id"] = self.ids[case.path]
        token = self.reader if self.asked % 3 == 0 else self.server.admin_token
        reply = case.call(base_url=self.server.http, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.seen.setdefault(f"{case.method} {case.path}", set()).add(reply.status_code)
        case.validate_response(reply, checks=CHECKS)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    with serving(tmp_path_factory.mktemp("contract")) as server:
        yield Contract(server)


def test_replies_are_as_described(contract: Contract):
    document = schemathesis.openapi.from_url(f"{contract.server.http}/api/v1/openapi.json")
    failures = {}
    for found in document.get_all_operations():
        operation = found.ok()
        # It does not end: the test of streams reads it.
        if operation.path == "/api/v1/realtime/stream":
            continue

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy())
        def replies(case: schemathesis.Case) -> None:
            contract.call(case)

        try:
            replies()
        except BaseException as failure:  # noqa: BLE001: each endpoint's, and not only the first one's
            failures[operation.label] = "".join(traceback.format_exception_only(failure))
    assert not failures, "\n".join(f"{label}\n{failure}" for label, failure in failures.items())
    print(contract.seen)
