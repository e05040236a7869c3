"""`kill -9` at random moments under load: what was acknowledged is there, exactly once, in whole Delta versions.

FOOTFALL_CRASH_ROUNDS makes the campaign longer (`make crashes`): so many rounds on a local lake, half as many on S3.
FOOTFALL_CRASH_SEED repeats the choices of a run; the moments themselves also depend on the machine.
"""

import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import delta_log
from events import new_site
from lakes import Lake
from load import BATCH, SENDERS, Load, check_exactly_once, event_ids, settle
from server import Server

ROUNDS = 5

# So small and so frequent that a kill always interrupts something: a flush, a commit, a new segment.
SETTINGS = {
    "FOOTFALL_INGEST__FLUSH_INTERVAL": "50ms",
    "FOOTFALL_WAL__SEGMENT_BYTES": "64KiB",
    # Merges that are always due, so that kills interrupt them too.
    "FOOTFALL_COMPACT__FRESH_AGE": "100ms",
    "FOOTFALL_COMPACT__FRESH_BYTES": "1KiB",
    "FOOTFALL_COMPACT__LEASE": "300ms",
}

VIEWS = ("events_totals", "events_hourly", "events_daily", "sessions")

# The share of rounds in which the server is killed again before it is ready.
KILLED_WHILE_STARTING = 0.3


@dataclass
class Campaign:
    """What happened, to show what the kills interrupted."""

    lake: str
    rounds: int = 0
    kills_while_starting: int = 0
    longest_start: float = 0.0
    # Restarts that had records to replay that were only in the WAL.
    replays: int = 0
    replayed_records: int = 0
    torn_tails: int = 0
    # As counted up to shortly before each kill.
    duplicates: int = 0

    def count_duplicates(self, server: Server) -> None:
        self.duplicates += int(server.metric("footfall_writer_duplicates_total"))

    def restart(self, server: Server, chance: random.Random) -> None:
        """Starts it again; in some rounds kills it again during the start."""
        while chance.random() < KILLED_WHILE_STARTING:
            server.launch()
            # Most often within the usual start, sometimes right after "ready".
            time.sleep(chance.uniform(0.0, 1.2 * self.longest_start))
            server.kill()
            self.kills_while_starting += 1
            self._note(server.output())
        began = time.monotonic()
        server.start()
        self.longest_start = max(self.longest_start, time.monotonic() - began)
        self.rounds += 1
        self._note(server.output())

    def _note(self, output: str) -> None:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
        if went_on := re.search(r"continues from its last commit.*\bcommitted=(\d+).*\blast=(\d+)", plain):
            behind = int(went_on[2]) - int(went_on[1])
            self.replays += behind > 0
            self.replayed_records += behind
        self.torn_tails += "torn tail was cut off" in plain

    def summary(self, load: Load, stored: int, history: delta_log.History) -> str:
        figures = {
            "kill -9 under load": self.rounds,
            "kill -9 while starting": self.kills_while_starting,
            "events acknowledged (each of them is there once)": len(set(load.acknowledged)),
            "events sent once more": load.resent,
            "of them acknowledged twice or oftener": len(load.acknowledged) - len(set(load.acknowledged)),
            "duplicates dropped, as far as counted before a kill": self.duplicates,
            "events refused (none of them is there)": len(load.refused),
            "events stored, with those whose answer got lost": stored,
            "Delta versions, all of them whole": len(history.versions),
            "merges": history.merges(),
            "checkpoints": history.checkpoints(),
            "files of a flush or merge without its commit (not in the table)": len(history.orphans()),
            "starts that replayed the WAL": f"{self.replays} ({self.replayed_records} records)",
            "torn tails cut off": self.torn_tails,
            "longest restart": f"{self.longest_start:.2f} s",
        }
        lines = [f"  {name:<64} {value:>12}" for name, value in figures.items()]
        return "\n".join([f"\ncrashes over {self.lake}", *lines])


def rounds_over(lake: Lake) -> int:
    asked = int(os.environ.get("FOOTFALL_CRASH_ROUNDS", ROUNDS))
    return max(min(asked, ROUNDS), asked // 2) if lake.data.startswith("s3://") else asked


def test_kill_9_under_load_is_exactly_once(lake: Lake, make_server: Callable[..., Server]):
    seed = int(os.environ.get("FOOTFALL_CRASH_SEED") or time.time_ns() % 1_000_000)
    print(f"FOOTFALL_CRASH_SEED={seed}")
    chance, campaign = random.Random(seed), Campaign(lake.data.split("://")[0] if "://" in lake.data else "a folder")
    began = time.monotonic()
    server = make_server(lake, **SETTINGS)
    campaign.longest_start = time.monotonic() - began
    site = server.create_site(new_site())
    with Load(server, site, seed=seed) as load:
        for _ in range(rounds_over(lake)):
            load.wait_for(more=BATCH)
            time.sleep(chance.uniform(0.0, 1.0))
            campaign.count_duplicates(server)
            time.sleep(chance.uniform(0.0, 0.1))
            server.kill()
            campaign.restart(server, chance)
        load.wait_for(more=SENDERS * BATCH)
    assert not load.problems, load.problems
    settle(server, site)

    found = event_ids(server, site)
    check_exactly_once(found, load.acknowledged, load.refused)
    assert sorted(lake.delta_events(["event_id"])["event_id"].to_pylist()) == sorted(found)
    history = delta_log.read(lake)
    history.check()
    assert sum(history.versions[-1].files.values()) == len(found)
    for view in VIEWS:
        (row,) = server.query(f"SELECT sum(event_count) AS events FROM {view} WHERE tracking_id = '{site}'").to_pylist()
        assert row["events"] == len(found), view
    campaign.count_duplicates(server)
    print(campaign.summary(load, len(found), history))
