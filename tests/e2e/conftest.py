"""Fixtures: lakes on a local folder and on S3, and servers over them.

Every test that asks for `lake` or `server` runs twice. `server` is shared by a whole session, so tests use sites of
their own (`site`); a test that stops its server asks for `make_server`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lakes
import seaweed
from events import new_site
from lakes import Lake
from server import Server

# A short flush interval and no rate limit: tests of these set their own.
SETTINGS = {
    "FOOTFALL_INGEST__FLUSH_INTERVAL": "200ms",
    "FOOTFALL_INGEST__EVENTS_PER_SECOND": "100000",
    "FOOTFALL_LOG__LEVEL": "info",
}

LOG_BYTES = 12_000

_servers = pytest.StashKey[list[Server]]()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.SeaweedFS]:
    server = seaweed.start(tmp_path_factory.mktemp("seaweedfs"))
    yield server
    # Its data is thrown away, and on SIGTERM it lingers for 15 s.
    server.process.end()


def _lake(kind: str, request: pytest.FixtureRequest, folder: Path) -> Lake:
    if kind == "local":
        return lakes.local(folder / "lake")
    return lakes.s3(request.getfixturevalue("s3_server"), prefix=new_site())


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """An empty lake."""
    return _lake(request.param, request, tmp_path)


@pytest.fixture
def make_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`make_server(lake, **settings)` starts a server of this test's own."""
    made: list[Server] = []

    def make(lake: Lake, name: str = "server", **settings: str) -> Server:
        server = Server(lake, tmp_path / name, SETTINGS | settings)
        made.append(server)
        request.node.stash.setdefault(_servers, []).append(server)
        return server.start()

    yield make
    for server in made:
        server.end()


@pytest.fixture(scope="session", params=["local", "s3"])
def shared_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(f"shared-{request.param}")
    server = Server(_lake(request.param, request, folder), folder, SETTINGS)
    try:
        yield server.start()
    finally:
        server.end()


@pytest.fixture
def server(request: pytest.FixtureRequest, shared_server: Server) -> Server:
    request.node.stash.setdefault(_servers, []).append(shared_server)
    assert shared_server.process.running, f"an earlier test has ended the server:\n{_tail(shared_server)}"
    return shared_server


@pytest.fixture
def site(server: Server) -> str:
    """A site of this test's own."""
    return server.create_site(new_site())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Shows the end of the servers' logs with a failed test."""
    report = yield
    if report.failed:
        for server in item.stash.get(_servers, []):
            report.sections.append((f"log of footfall serve in {server.folder}", _tail(server)))
    return report


def _tail(server: Server) -> str:
    return server.log.read_bytes()[-LOG_BYTES:].decode(errors="replace") if server.log.exists() else "(no log)"
