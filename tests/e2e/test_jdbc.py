"""Flight SQL through the JDBC driver: see `jdbc/JdbcCheck.java`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import jdbc_driver
import lakes
from conftest import SETTINGS
from events import ago, pageview, rfc3339
from server import Server, wait_until

TYPES = ("pageview", "click", "purchase")


@dataclass
class Events:
    """A site with 60 events, one a minute."""

    server: Server
    site: str
    first: datetime


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    folder = tmp_path_factory.mktemp("jdbc")
    server = Server(lakes.local(folder / "lake"), folder, SETTINGS)
    try:
        server.start()
        site, first = server.create_site("jdbc-site"), ago(days=3)
        server.accept([_event(site, first, n) for n in range(60)])
        server.wait_for_events(site, 60)
        yield Events(server, site, first)
    finally:
        server.end()


def _event(site: str, first: datetime, number: int) -> dict:
    event = pageview(site, timestamp=rfc3339(first + timedelta(minutes=number)), event_type=TYPES[number % 3])
    return event | ({"revenue": "1.5"} if number % 3 == 2 else {})


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jdbc_driver.compiled(tmp_path_factory.mktemp("classes"))


@pytest.mark.parametrize(
    ("version", "zone"),
    [
        ("18.1.0", "UTC"),
        ("18.1.0", "Asia/Kathmandu"),
        ("18.3.0", "America/New_York"),
        ("18.3.0", "Asia/Kathmandu"),
    ],
)
def test_jdbc(filled: Events, classes: Path, version: str, zone: str):
    url = filled.server.flight.replace("grpc://", "jdbc:arrow-flight-sql://") + "/"
    first = str(round(filled.first.timestamp() * 1000))
    done = jdbc_driver.check(
        jdbc_driver.jar(version), classes, zone, url, filled.server.admin_token, filled.site, first
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.returncode} checks failed:\n{done.stdout}\n{done.stderr[-4000:]}"
    assert done.stdout.count("passed: ") == 15
    wait_until(lambda: filled.server.metric("footfall_queries_running") == 0, "cancelled queries have ended")
