"""Starting, watching and stopping the program that is measured."""

import argparse
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_flightsql import dbapi as flightsql

READY = re.compile(r"^ready\b.*\bhttp=(?P<http>\S+).*\bflight=(?P<flight>\S+)", re.MULTILINE)


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binary", type=Path, required=True, help="the footfall to measure: a release build")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it (default: a temporary one)")
    return parser


def environment(folder: Path) -> dict[str, str]:
    """The lake and the state of one measurement lie in one folder, and no setting of the user's is in the way."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("FOOTFALL_")}
    return mine | {"FOOTFALL_DATA": str(folder / "lake"), "FOOTFALL_STATE": str(folder / "state")}


@dataclass
class Finished:
    seconds: float
    # User's and system's together.
    cpu_seconds: float
    # Bytes.
    peak_memory: int
    output: str


def run(command: list[str | Path], folder: Path, **settings: str) -> Finished:
    """Runs to the end; raises if it fails. Settings: FOOTFALL_* variables."""
    started = time.monotonic()
    child = subprocess.Popen(command, env=environment(folder) | settings, stdout=subprocess.PIPE, text=True)
    peak = Peak(child.pid)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))} ended with {child.returncode}:\n{output}")
    return Finished(seconds, usage.ru_utime + usage.ru_stime, peak.stop() or usage.ru_maxrss, output)


class Peak(threading.Thread):
    """The most memory that a process has had.

    `wait4` can't tell it on Linux: there the memory of this program counts, from before the other replaced its copy.
    """

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self._status, self._bytes, self._over = Path(f"/proc/{pid}/status"), 0, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.01):
            try:
                found = re.search(r"^VmHWM:\s*(\d+) kB", self._status.read_text(), re.MULTILINE)
            except OSError:
                return
            self._bytes = int(found[1]) * 1024 if found else self._bytes

    def stop(self) -> int:
        """Bytes; 0 where there is no /proc."""
        self._over.set()
        self.join()
        return self._bytes


class Serving:
    """`footfall serve`, from exec to SIGTERM; output goes to `folder/server.log`. Settings: FOOTFALL_* variables."""

    def __init__(self, binary: Path, folder: Path, **settings: str):
        self.folder = folder
        log = folder / "server.log"
        self._output = log.open("wb")
        command = [binary, "serve", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]
        started = time.monotonic()
        settings = environment(folder) | settings
        self._child = subprocess.Popen(command, env=settings, stdout=self._output, stderr=subprocess.STDOUT)
        while not (ready := READY.search(log.read_text(errors="replace"))):
            if self._child.poll() is not None or time.monotonic() - started > 120:
                self._child.kill()
                raise SystemExit(f"error: footfall serve isn't ready:\n{log.read_text(errors='replace')}")
            time.sleep(0.002)
        self.seconds_to_ready = time.monotonic() - started
        self.http, self.flight = ready["http"], ready["flight"]

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_) -> None:
        self._child.send_signal(signal.SIGTERM)
        try:
            code = self._child.wait(120)
        except subprocess.TimeoutExpired:
            self._child.kill()
            raise
        finally:
            self._output.close()
        if code != 0:
            raise SystemExit(f"error: footfall serve ended with {code}; see {self._output.name}")

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def admin_token(self) -> str:
        return (self.folder / "state" / "admin.token").read_text().strip()

    @property
    def resident_memory(self) -> int:
        """Bytes."""
        text = subprocess.check_output(["ps", "-o", "rss=", "-p", str(self._child.pid)], text=True)
        return int(text) * 1024

    def connect(self) -> flightsql.Connection:
        options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {self.admin_token}"}
        return flightsql.connect(self.flight, db_kwargs=options, autocommit=True)

    def ask(self, sql: str) -> tuple:
        """The first row."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
