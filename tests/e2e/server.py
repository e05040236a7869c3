"""A real `footfall serve`: started, queried, stopped and killed."""

import gzip
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import urllib3
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_flightsql import dbapi as flightsql

from events import CHROME
from lakes import Lake
from processes import Process

READY = re.compile(r"^ready\b.*\bhttp=(?P<http>\S+).*\bflight=(?P<flight>\S+)", re.MULTILINE)

# An unoptimized build on a busy machine.
START_SECONDS = 60

# From the reply to an event until queries see it. The goal is 3 s on an idle machine and an optimized build; this only
# tells "late" from "never".
VISIBLE_SECONDS = 30

# Longer than the server's own limit of a minute, which must come first.
ANSWER_SECONDS = 90.0


def binary() -> Path:
    """`FOOTFALL_BIN`, else what `make build` leaves in the build folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    target = os.environ.get("CARGO_TARGET_DIR") or Path(cache) / "footfall" / "target"
    path = Path(os.environ.get("FOOTFALL_BIN") or Path(target) / "demo" / "footfall")
    assert path.is_file(), f"there is no {path}: run `make build`, or name the binary in FOOTFALL_BIN"
    return path


def environment(extra: dict[str, str]) -> dict[str, str]:
    """This process's environment without settings of Footfall or S3 that a developer may have."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("FOOTFALL_", "AWS_"))}
    return mine | extra


@dataclass
class Reply:
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """One instance over one lake and one state folder. Restarting keeps both; the ports change."""

    def __init__(self, lake: Lake, folder: Path, settings: dict[str, str] | None = None):
        self.lake, self.folder = lake, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.log = folder / "server.log"
        self.env = environment(lake.env | (settings or {}))
        self.process: Process | None = None
        self._logged_before = 0
        self.http = self.flight = ""
        self._pool = urllib3.PoolManager(retries=False, timeout=60, maxsize=16)

    def command(self) -> list[str]:
        return [
            str(binary()), "serve", "--data", self.lake.data, "--state", str(self.state),
            "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0",
        ]  # fmt: skip

    def start(self) -> "Server":
        self.launch()
        return self.wait_until_ready()

    def launch(self) -> None:
        """Starts the process and doesn't wait for it."""
        self._logged_before = self.log.stat().st_size if self.log.exists() else 0
        self.process = Process(self.command(), self.log, env=self.env, cwd=self.folder)

    def output(self) -> str:
        """The process's output since it was launched."""
        return self.log.read_bytes()[self._logged_before :].decode(errors="replace")

    def wait_until_ready(self) -> "Server":
        deadline = time.monotonic() + START_SECONDS
        while True:
            output = self.output()
            if ready := READY.search(output):
                self.http, self.flight = ready["http"], ready["flight"]
                return self
            assert self.process.running, f"footfall serve ended at once:\n{output}"
            assert time.monotonic() < deadline, f"footfall serve isn't ready after {START_SECONDS} s:\n{output}"
            time.sleep(0.02)

    def wait_for_end(self, seconds: float = START_SECONDS) -> int:
        """Waits until the process ends by itself; returns its exit code."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self.process.stop(seconds=60)

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> None:
        if self.process:
            self.process.end()

    @property
    def admin_token(self) -> str:
        return (self.state / "admin.token").read_text().strip()

    # --- HTTP

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self._pool.request(method, self.http + path, body=body, headers=named)
        return Reply(reply.status, reply.headers, reply.data)

    def post(self, events: dict | list[dict], path: str = "/api/v1/events", compress: bool = False) -> Reply:
        body, headers = json.dumps(events).encode(), {"content_type": "application/json", "user_agent": CHROME}
        if compress:
            body, headers["content_encoding"] = gzip.compress(body), "gzip"
        return self.request("POST", path, body, **headers)

    def accept(self, events: dict | list[dict], **options: Any) -> None:
        """Sends events, all of which must be accepted."""
        reply = self.post(events, **options)
        assert reply.status == 204, f"{reply.status}: {reply.body[:2000]!r}"

    def administer(self, method: str, path: str, body: Any = None, token: str | None = None) -> Reply:
        encoded = None if body is None else json.dumps(body).encode()
        authorization = f"Bearer {token or self.admin_token}"
        return self.request(method, path, encoded, authorization=authorization, content_type="application/json")

    def create_site(self, tracking_id: str, **fields: Any) -> str:
        reply = self.administer("POST", "/api/v1/sites", {"tracking_id": tracking_id} | fields)
        assert reply.status in (200, 201), f"{reply.status}: {reply.body!r}"
        return tracking_id

    def create_token(self, role: str, sites: list[str]) -> str:
        """The secret of a new token."""
        reply = self.administer("POST", "/api/v1/tokens", {"role": role, "sites": sites})
        assert reply.status in (200, 201), f"{reply.status}: {reply.body!r}"
        return reply.json()["secret"]

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 if it was never touched."""
        text = self.request("GET", "/metrics").body.decode()
        values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))

    # --- Flight SQL

    def connect(self, token: str | None = None, routing: bool = True, cache: bool = True) -> flightsql.Connection:
        """ADBC with a bearer token; the admin's if none is given. Without `routing`, events alone are read; without `cache`,
        results are computed anew."""
        authorization = f"Bearer {token or self.admin_token}"
        options = {
            DatabaseOptions.AUTHORIZATION_HEADER.value: authorization,
            # A query that hangs is a failure with the server's log beside it.
            DatabaseOptions.TIMEOUT_QUERY.value: str(ANSWER_SECONDS),
            DatabaseOptions.TIMEOUT_FETCH.value: str(ANSWER_SECONDS),
            DatabaseOptions.TIMEOUT_UPDATE.value: str(ANSWER_SECONDS),
        }
        for option, is_on in ("footfall.routing", routing), ("footfall.cache", cache):
            if not is_on:
                options[DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + option] = "off"
        return flightsql.connect(self.flight, db_kwargs=options, autocommit=True)

    @contextmanager
    def cursor(self, token: str | None = None, routing: bool = True, cache: bool = True):
        with self.connect(token, routing, cache) as connection, connection.cursor() as cursor:
            yield cursor

    def query(
        self,
        sql: str,
        parameters: list | None = None,
        token: str | None = None,
        routing: bool = True,
        cache: bool = True,
    ) -> pa.Table:
        with self.cursor(token, routing, cache) as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetch_arrow_table()

    def wait_for_events(self, site: str, count: int, where: str = "true") -> None:
        """Waits until the site has `count` events, and fails at once if it ever has more."""
        sql = f"SELECT count(*) FROM events WHERE tracking_id = '{site}' AND {where}"
        with self.cursor() as cursor:

            def found() -> bool:
                cursor.execute(sql)
                (found,) = cursor.fetchone()
                assert found <= count, f"site {site} has {found} events, {count} were sent"
                return found == count

            wait_until(found, f"{count} events of site {site} are visible")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = VISIBLE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(0.05)
