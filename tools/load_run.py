"""Running the load generator against a server, and what the server spends meanwhile. Linux, for /proc."""

import argparse
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from running import Serving, arguments, run

SITE = "bench"

# The default is meant for one site of many; this one has the server to itself.
SETTINGS = {"FOOTFALL_INGEST__EVENTS_PER_SECOND": "10000000"}

# Until what was acknowledged is visible.
PATIENCE_SECONDS = 300


@dataclass
class Spent:
    """Of a server since it was started."""

    cpu_seconds: float
    # Bytes.
    peak_memory: int
    fsyncs: int
    log_bytes: int


@contextmanager
def fresh_server(binary: Path, folder: Path, **settings: str) -> Iterator[Serving]:
    """A server over an empty lake, with one site."""
    folder.mkdir(parents=True)
    run([binary, "site", "create", SITE], folder)
    with Serving(binary, folder, **SETTINGS, **settings) as server:
        yield server


def load(generator: Path, server: Serving, *flags: str) -> tuple[dict, float]:
    """The generator's report, and the CPU seconds that it took."""
    url = server.flight if "--grpc" in flags else server.http
    command = [generator, "send", "--url", url, "--tracking-id", SITE, *flags]
    finished = run(command, server.folder)
    return json.loads(finished.output), finished.cpu_seconds


def flow(args: argparse.Namespace, server: Serving, rate: int) -> dict:
    """Events flow in, as fast as a busy site's; the generator's report."""
    flags = ("--rate", rate, "--batch", 100, "--connections", 16, "--seconds", args.seconds)
    report, _ = load(args.load, server, *map(str, flags))
    return report


def lake_arguments(description: str, clients: int, seconds: int, rate: int) -> argparse.ArgumentParser:
    """Of clients that ask a large lake while events flow in; the numbers are the defaults."""
    parser = arguments(description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--load", type=Path, required=True, help="the load generator: a release build")
    parser.add_argument("--rows", type=int, default=50_000_000, help="events in the lake (default: 50,000,000)")
    parser.add_argument("--sites", type=int, default=200, help="sites, of very different sizes (default: 200)")
    parser.add_argument("--clients", type=int, default=clients, help=f"that ask all the time (default: {clients})")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"of each part (default: {seconds})")
    parser.add_argument("--rate", type=int, default=rate, help=f"events/s that flow in; 0: none (default: {rate:,})")
    return parser


def spent(server: Serving) -> Spent:
    metrics = urllib3.request("GET", f"{server.http}/metrics").data.decode()
    return Spent(
        cpu_seconds=cpu_seconds(server),
        peak_memory=status_bytes(server, "VmHWM"),
        fsyncs=metric(metrics, "footfall_wal_fsyncs_total"),
        log_bytes=metric(metrics, "footfall_wal_bytes_total"),
    )


def cpu_seconds(server: Serving) -> float:
    """User's and system's together."""
    # Fields 14 and 15 of stat; the second, the name, is in parentheses and may contain spaces.
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_bytes(server: Serving, key: str) -> int:
    """A size of /proc/PID/status, such as VmRSS."""
    text = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def metric(text: str, name: str) -> int:
    """A counter's sum over its labels."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return int(sum(map(float, found)))


def wait_until_visible(server: Serving, acknowledged: int, unanswered: int) -> float:
    """Seconds until every acknowledged event is counted. Raises if one is lost, or doubled."""
    began = time.monotonic()
    while (found := count(server)) < acknowledged:
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise SystemExit(f"error: {found:,} events are visible, but {acknowledged:,} were acknowledged")
        time.sleep(0.1)
    seconds = time.monotonic() - began
    if found > acknowledged + unanswered:
        raise SystemExit(f"error: {found:,} events are visible, but only {acknowledged + unanswered:,} were sent")
    return seconds


def count(server: Serving) -> int:
    # Of all sites, because there is only this one: it comes from the table's log, and reads no file meanwhile.
    (found,) = server.ask("SELECT count(*) FROM events")
    return found


def lake_size(folder: Path) -> tuple[int, int]:
    """Data files of the lake, and their bytes."""
    sizes = [file.stat().st_size for file in (folder / "lake").rglob("*.parquet")]
    return len(sizes), sum(sizes)
