"""Requests to the gateway, and servers with a site for tests that share them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import lakes
from server import Reply, Server

SETTINGS = {
    "FOOTFALL_INGEST__EVENTS_PER_SECOND": "100000",
    "FOOTFALL_INGEST__FLUSH_INTERVAL": "200ms",
    # Tests ask faster than people do.
    "FOOTFALL_GATEWAY__REQUESTS_PER_SECOND": "0",
}


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    server = Server(lakes.local(folder / "lake"), folder / "server", SETTINGS | settings)
    try:
        yield server.start()
    finally:
        server.end()


def fill(server: Server, site: str, events: list[dict]) -> None:
    for begin in range(0, len(events), 500):
        server.accept(events[begin : begin + 500])
    server.wait_for_events(site, len(events))


def post(server: Server, path: str, body: dict, token: str | None = None, **headers: str) -> Reply:
    authorization = f"Bearer {token or server.admin_token}"
    return server.request("POST", path, json.dumps(body).encode(), authorization=authorization, **headers)


def get(server: Server, path: str, query: dict | None = None, token: str | None = None, **headers: str) -> Reply:
    authorization = f"Bearer {token or server.admin_token}"
    return server.request("GET", f"{path}?{urlencode(query or {})}", authorization=authorization, **headers)


def report(server: Server, token: str | None = None, **request) -> dict:
    reply = post(server, "/api/v1/query", request, token)
    assert reply.status == 200, reply.body
    return reply.json()
