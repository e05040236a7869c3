"""Every operation of the OpenAPI document: who may ask, and what a wrong request is told."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from events import new_site, pageview, rfc3339
from gateway_client import fill, serving
from server import Reply, Server

STEPS = [{"name": name, "event_type": name} for name in ("pageview", "purchase")]
REPORT = {"date_range": "last_7_days", "metrics": ["events"]}
SEGMENT = {"events": {"event_type": "pageview"}}

# What a reader of the site may ask of it: the body, or else the site in the address.
REPORTS: dict[str, dict | None] = {
    "POST /api/v1/query": REPORT,
    "POST /api/v1/exports": REPORT,
    "POST /api/v1/funnels/analysis": {"steps": STEPS},
    "POST /api/v1/segments/preview": {"filters": SEGMENT},
    "GET /api/v1/realtime": None,
    "GET /api/v1/realtime/stream": None,
    "GET /api/v1/retention": None,
    "GET /api/v1/sessions": None,
    "GET /api/v1/visitors/{id}": None,
    "GET /api/v1/segments/{id}/preview": None,
}
# These name no site, or need none.
FUNNEL, SQL, META = "GET /api/v1/funnels/{id}/analysis", "POST /api/v1/sql", "GET /api/v1/meta"

# All else is an admin's.
MANAGEMENT = {
    "GET /api/v1/sites", "POST /api/v1/sites", "PATCH /api/v1/sites/{tracking_id}",
    "GET /api/v1/tokens", "POST /api/v1/tokens", "POST /api/v1/tokens/{id}/revoke",
    *(f"{method} /api/v1/{what}" for what in ("funnels", "segments", "dashboards") for method in ("GET", "POST")),
    *(f"{method} /api/v1/{what}/{{id}}" for what in ("funnels", "segments", "dashboards") for method in ("GET", "PUT", "DELETE")),
    "GET /api/v1/rollups", "POST /api/v1/rollups", "DELETE /api/v1/rollups/{name}",
}  # fmt: skip


@dataclass
class Site:
    name: str
    funnel: str
    # By role, of this site.
    reader: str
    writer: str
    expired: str
    # A reader's of another site.
    foreign: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("access")) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    name = server.create_site(new_site())
    brief = {"role": "reader", "sites": [name], "expires_in": "1s"}
    expired = server.administer("POST", "/api/v1/tokens", brief).json()["secret"]
    at = rfc3339(datetime.now(UTC) - timedelta(days=1))
    fill(server, name, [pageview(name, client_id="x", timestamp=at) for _ in range(3)])
    made = server.administer("POST", "/api/v1/funnels", {"tracking_id": name, "name": "F", "steps": STEPS})
    segment = server.administer("POST", "/api/v1/segments", {"tracking_id": name, "name": "x", "filters": SEGMENT})
    assert made.status == segment.status == 201
    time.sleep(1.1)
    return Site(
        name, made.json()["funnel_id"], server.create_token("reader", [name]), server.create_token("writer", [name]), expired,
        server.create_token("reader", [server.create_site(new_site())]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def operations(server: Server) -> set[str]:
    paths = server.request("GET", "/api/v1/openapi.json").json()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def ask(server: Server, operation: str, site: str, token: str | None, **headers: str) -> Reply:
    method, path = operation.split()
    path, body = re.sub(r"\{.*?\}", "x", path), REPORTS.get(operation)
    if operation in REPORTS and body is None:
        path += f"?tracking_id={site}"
    sent = body | {"tracking_id": site} if body else None
    return send(server, method, path, sent, token, **headers)


def send(server: Server, method: str, path: str, body: dict | None, token: str | None) -> Reply:
    if token is None:
        return server.request(method, path)
    return server.administer(method, path, body, token=token)


def problem(reply: Reply, status: int) -> dict:
    """The reply is a problem that says what it is."""
    assert reply.status == status and reply.headers["content-type"] == "application/problem+json", (reply.status, reply.body)
    body = reply.json()
    assert body["status"] == status and body["title"] and body["code"] and len(body["detail"]) > 10, body
    return body


# --- Who may ask


def test_every_operation_is_known_here(operations: set[str]):
    assert operations == {*REPORTS, *MANAGEMENT, FUNNEL, SQL, META}


@pytest.mark.parametrize("operation", REPORTS)
def test_report_is_for_readers_of_its_site(server: Server, site: Site, operation: str):
    if operation != "GET /api/v1/realtime/stream":
        assert ask(server, operation, site.name, site.reader).status == 200
    theirs, nobodys = (ask(server, operation, name, site.foreign) for name in (site.name, "site-of-nobody"))
    problem(theirs, 404)
    assert theirs.body.replace(site.name.encode(), b"site-of-nobody") == nobodys.body, "a site that exists is like one that does not"
    problem(ask(server, operation, site.name, site.writer), 403)
    for token in (site.expired, "ffp_of_nobody"):
        refused = ask(server, operation, site.name, token)
        problem(refused, 401)
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    missing = ask(server, operation, site.name, None)
    problem(missing, 401)
    assert missing.headers["www-authenticate"] == 'Bearer realm="footfall"'


def test_sql_and_funnels_are_for_readers_of_their_site(server: Server, site: Site):
    path = f"/api/v1/funnels/{site.funnel}/analysis"
    asked = {"sql": "SELECT count(*) AS n FROM events"}
    assert send(server, "GET", path, None, site.reader).json()["total_users"] == 1
    theirs, nobodys = (send(server, "GET", each, None, site.foreign) for each in (path, "/api/v1/funnels/none/analysis"))
    problem(theirs, 404)
    assert theirs.body.replace(site.funnel.encode(), b"none") == nobodys.body
    counts = [send(server, "POST", "/api/v1/sql", asked, token).json()["rows"][0]["n"] for token in (site.reader, site.foreign)]
    assert counts == [3, 0]
    for token, status in ((site.writer, 403), (site.expired, 401), (None, 401)):
        problem(send(server, "GET", path, None, token), status)
        problem(send(server, "POST", "/api/v1/sql", asked, token), status)
    assert server.request("GET", "/api/v1/meta").status == 200


@pytest.mark.parametrize("operation", sorted(MANAGEMENT))
def test_management_is_for_admins(server: Server, site: Site, operation: str):
    for token, status in ((site.reader, 403), (site.foreign, 403), (site.writer, 403), (site.expired, 401), (None, 401)):
        refused = ask(server, operation, site.name, token)
        problem(refused, status)
        assert site.name.encode() not in refused.body and "Bearer" in refused.headers["www-authenticate"]


# --- What a wrong request is told


def test_every_error_of_the_api_is_a_problem(server: Server, site: Site, operations: set[str]):
    admin = {"authorization": f"Bearer {server.admin_token}"}
    for operation in sorted(operations - {META}):
        method, path = operation.split()
        path = re.sub(r"\{.*?\}", "x", path)
        wrong = server.request("PROPFIND", path, **admin)
        problem(wrong, 405)
        assert method in wrong.headers["allow"].split(","), operation
        if method in ("POST", "PUT", "PATCH") and not path.endswith("/revoke"):
            malformed = problem(server.request(method, path, b"{\n  : 1}", **admin), 400)
            assert "line 2, column 3" in malformed["detail"] and malformed["code"] == "invalid_json", operation
            typed = problem(server.request(method, path, b"<x/>", content_type="application/xml", **admin), 415)
            assert "application/json" in typed["allowed"]
            assert problem(server.request(method, path, b"\x1f\x8b", content_encoding="gzip", **admin), 415)["field"] == "Content-Encoding"
            assert "65536 bytes" in problem(server.request(method, path, b" " * 65_537, **admin), 413)["detail"]
        if method in ("POST", "PUT", "PATCH") and operation not in (SQL, "POST /api/v1/exports") and not path.endswith("/revoke"):
            unknown = problem(server.request(method, path, b'{"tracking_idd": "a"}', **admin), 400)
            assert unknown["field"] == "tracking_idd" and unknown["allowed"], operation
        if operation in REPORTS and method == "GET":
            unknown = problem(server.request("GET", f"{path}?tracking_id={site.name}&tracking=x", **admin), 400)
            assert unknown["field"] == "tracking" and "did you mean `tracking_id`?" in unknown["detail"]
            assert "tracking_id" in unknown["allowed"]
            assert problem(server.request("GET", path, **admin), 400)["field"] == "tracking_id"


def test_unknown_addresses_are_problems(server: Server, site: Site):
    for path in ("/api/v1/sitess", "/api/v1/query/x", "/api/v1/", "/api/v1/visitors", "/api/v2/query", "/api/v1/funnels/x/y"):
        for method in ("GET", "POST"):
            found = problem(server.request(method, path), 404)
            assert path in found["detail"] and "/api/v1/openapi.json" in found["detail"]
    assert "did you mean `sites`?" in server.request("GET", "/api/v1/sitess").json()["detail"]
    assert server.request("GET", "/elsewhere").status == 404
    for parameters, field in (("limit=many", "limit"), ("limit=0", "limit"), ("date_range=last_weak", "date_range"), ("time_zone=Mars", "time_zone"),
                              ("start_date=2026-01-01", "end_date"), ("filters={", "filters"), ("cursor=x", "cursor"), ("segments=none", "segments[0]")):  # fmt: skip
        wrong = send(server, "GET", f"/api/v1/sessions?tracking_id={site.name}&{parameters}", None, site.reader)
        assert problem(wrong, 400)["field"] == field, wrong.body
    assert problem(send(server, "GET", f"/api/v1/retention?tracking_id={site.name}&cohort=weak", None, site.reader), 400)["allowed"] == ["day", "week", "month"]
    for path in ("/api/v1/visitors/%FF", "/api/v1/funnels/%FF"):
        problem(send(server, "GET", f"{path}?tracking_id={site.name}", None, None), 401)
        assert problem(send(server, "GET", f"{path}?tracking_id={site.name}", None, server.admin_token), 400)["code"] == "unreadable"
