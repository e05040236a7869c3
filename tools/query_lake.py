"""A lake of generated events for the benchmarks of queries, and who serves it."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from flight_client import FlightClient
from load_run import SITE as LIVE
from make_events import ROWS_PER_CHUNK, Generator
from questions import DAYS, FUNNEL_DEFINITION
from running import Finished, Serving, run

CHUNKS_PER_FILE = 5
DAY_SECONDS = 86_400

# Queries alone: nothing is collected or merged while it is measured. The time is for debug builds.
QUERY_ROLE = {"FOOTFALL_ROLES": "query", "FOOTFALL_QUERY__TIMEOUT": "10m"}

# However small and new the files are: small lakes are for trying out.
DUE_AT_ONCE = {"FOOTFALL_COMPACT__FRESH_AGE": "0s", "FOOTFALL_COMPACT__FRESH_BYTES": "1B"}

# Neither of these comes from a cache of results.
ROUTED = {"footfall.cache": "off"}
RAW = ROUTED | {"footfall.routing": "off"}


@dataclass(frozen=True)
class Days:
    """The last whole days before now, or before `end`: seconds since 1970."""

    end: int

    @staticmethod
    def until_today() -> "Days":
        return Days(int(time.time()) // DAY_SECONDS * DAY_SECONDS)

    def scope(self) -> dict[str, str]:
        return self.last(DAYS)

    def last(self, number: int) -> dict[str, str]:
        """So many days: the first of them, and the one after the last."""
        return {"first": _date(self.end - number * DAY_SECONDS), "end": _date(self.end)}

    def dates(self) -> list[str]:
        return [_date(self.end - ago * DAY_SECONDS) for ago in range(DAYS, 0, -1)]


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def site_names(number: int, prefix: str = "site") -> list[str]:
    """The largest first."""
    return [f"{prefix}-{n}" for n in range(number)]


def write_files(folder: Path, rows: int, sites: list[str], days: Days, seed: int = 1) -> list[Path]:
    """Events by time, as an export has them. The same arguments give the same files, which are not written anew."""
    done = folder / "complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Of visitors who pause, since a session ends by a pause.
        generator = Generator(rows, sites, DAYS, days.end * 1_000_000, seed, in_order=True, visitor_skew=1.5)
        left = rows
        for number in range(-(-rows // (CHUNKS_PER_FILE * ROWS_PER_CHUNK))):
            left = _write_file(folder / f"events-{number:03}.parquet", generator, left)
        done.touch()
    return sorted(folder.glob("events-*.parquet"))


def _write_file(path: Path, generator: Generator, left: int) -> int:
    """Rows that are left."""
    writer = None
    for _ in range(CHUNKS_PER_FILE):
        if left <= 0:
            break
        chunk = generator.chunk(min(ROWS_PER_CHUNK, left))
        writer = writer or pq.ParquetWriter(path, chunk.schema, compression="zstd")
        writer.write_table(chunk)
        left -= chunk.num_rows
    writer.close()
    return left


@dataclass
class Prepared:
    files: list[Path]
    # What the questions are about: see `questions.py`.
    scope: dict[str, str]
    # Import and compaction; nothing if the lake was there.
    steps: tuple[Finished, ...]


def prepare(binary: Path, folder: Path, rows: int, sites: int) -> Prepared:
    """A lake of so many events, compacted, in the folder. One that is there already is used as it is."""
    days = Days.until_today()
    names = site_names(sites)
    files = write_files(folder / "files", rows, names, days)
    scope_file = folder / "scope.json"
    if scope_file.exists():
        return Prepared(files, json.loads(scope_file.read_text()), ())
    create_sites(binary, folder, [*names, LIVE])
    scope = days.scope() | {"site": names[0], "small": names[-1]}
    scope["funnel"] = create_funnel(binary, folder, names[0])
    steps = load(binary, folder, files)
    with Serving(binary, folder, **QUERY_ROLE) as server:
        scope["visitor"] = typical_visitor(server, names[0], days)
    scope_file.write_text(json.dumps(scope))
    return Prepared(files, scope, steps)


def create_sites(binary: Path, folder: Path, sites: list[str]) -> None:
    for site in sites:
        run([binary, "site", "create", site], folder)


def create_funnel(binary: Path, folder: Path, site: str) -> str:
    """Its id."""
    file = folder / "funnel.json"
    file.write_text(json.dumps(FUNNEL_DEFINITION | {"tracking_id": site}))
    created = run([binary, "funnel", "create", "--file", file, "--json"], folder)
    return json.loads(created.output)["funnel_id"]


def load(binary: Path, folder: Path, files: list[Path]) -> tuple[Finished, Finished]:
    """Import and compaction."""
    return run([binary, "import", *files], folder), run([binary, "compact"], folder, **DUE_AT_ONCE)


def reader_token(binary: Path, folder: Path, site: str) -> str:
    created = run([binary, "token", "create", "--role", "reader", "--site", site, "--json"], folder)
    return json.loads(created.output)["secret"]


def evict(folder: Path) -> None:
    """Files of the folder leave the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fdatasync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def typical_visitor(server: Serving, site: str, days: Days) -> str:
    """One of 60 events or so, the same for the same events."""
    sql = (
        "SELECT client_id FROM events WHERE tracking_id = '{site}' AND event_timestamp < '{end}' "
        "GROUP BY client_id ORDER BY abs(count(*) - 60), client_id LIMIT 1"
    )
    return admin(server).ask(sql.format(site=site, end=days.scope()["end"])).column(0)[0].as_py()


def admin(server: Serving, headers: dict[str, str] = ROUTED) -> FlightClient:
    return FlightClient(server.flight, server.admin_token, **headers)
