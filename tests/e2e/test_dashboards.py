"""Dashboards: stored with widgets that were checked, managed over HTTP and by command."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lakes
from commands import Footfall
from events import new_site
from server import Server

DOCS = Path(__file__).parents[2] / "docs" / "dashboards.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dashboards")
    server = Server(lakes.local(folder / "lake"), folder / "server")
    try:
        yield server.start()
    finally:
        server.end()


def documented() -> dict:
    return json.loads(re.search(r"^```json\n(.*?)\n```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)[1])


def test_dashboard_from_creation_to_deletion(server: Server):
    site = server.create_site(new_site())
    body = documented() | {"tracking_id": site}
    created = server.administer("POST", "/api/v1/dashboards", body)
    assert created.status == 201, created.body
    made = created.json()
    assert made["dashboard_id"].startswith("dashboard_") and made["widgets"] == body["widgets"]
    path = f"/api/v1/dashboards/{made['dashboard_id']}"
    assert server.administer("GET", path).json() == made
    assert made in server.administer("GET", "/api/v1/dashboards").json()["dashboards"]
    changed = server.administer("PUT", path, body | {"name": "Less", "widgets": body["widgets"][:1]}).json()
    assert changed["name"] == "Less" and len(changed["widgets"]) == 1 and changed["updated_at"] >= made["updated_at"]
    # What a widget asks is what its endpoint answers.
    for widget in body["widgets"]:
        if "query" in widget:
            reply = server.administer("POST", "/api/v1/query", widget["query"] | {"tracking_id": site})
            assert reply.status == 200, (widget, reply.body)
    assert server.administer("DELETE", path).json() == changed
    assert server.administer("GET", path).status == 404
    assert server.administer("PUT", path, body).status == 404


def test_refusal_names_the_widget_as_the_query_would(server: Server):
    site = server.create_site(new_site())
    query = {"metrics": ["pageview"], "date_range": "today"}
    widgets = [{"title": "Now", "type": "realtime", "realtime": {}}, {"title": "It's", "type": "number", "query": query}]
    refused = server.administer("POST", "/api/v1/dashboards", {"tracking_id": site, "name": "D", "widgets": widgets})
    problem = refused.json()
    asked = server.administer("POST", "/api/v1/query", query | {"tracking_id": site}).json()
    assert refused.status == 400 and problem["field"] == f"widgets[1].query.{asked['field']}"
    assert problem["detail"] == f"widget `It's`: {asked['detail']}" and problem["allowed"] == asked["allowed"]


def test_dashboards_are_an_admins(server: Server):
    site = server.create_site(new_site())
    body = {"tracking_id": site, "name": "D", "widgets": []}
    made = server.administer("POST", "/api/v1/dashboards", body).json()
    path = f"/api/v1/dashboards/{made['dashboard_id']}"
    for role in ("reader", "writer"):
        token = server.create_token(role, [site])
        for method, sent in (("GET", None), ("PUT", body), ("DELETE", None)):
            assert server.administer(method, path, sent, token=token).status == 403
    assert server.request("GET", path).status == 401
    assert server.administer("POST", path).status == 405
    assert server.administer("GET", path).json() == made


def test_dashboards_are_managed_by_command(server: Server, tmp_path: Path):
    site = server.create_site(new_site())
    footfall = Footfall(server.lake, server.state)
    file = tmp_path / "dashboard.json"
    file.write_text(json.dumps(documented() | {"tracking_id": site}))
    at = ("--server", server.http)
    made = json.loads(footfall.must("dashboard", "create", "--file", file, "--json", *at))
    assert server.administer("GET", f"/api/v1/dashboards/{made['dashboard_id']}").json() == made
    assert made["dashboard_id"] in footfall.must("dashboard", "list", *at)
    file.write_text(json.dumps({"tracking_id": site, "name": "D", "widgets": [{"title": "T", "type": "number"}]}))
    refused = footfall.run("dashboard", "update", made["dashboard_id"], "--file", file)
    assert refused.code == 1 and "widgets[0].query: widget `T`" in refused.errors
    assert "is deleted" in footfall.must("dashboard", "delete", made["dashboard_id"])
