"""`footfall demo`: what a newcomer sees first."""

import json

from commands import Footfall
from lakes import Lake

EVENTS = 2_000


def test_the_demo_finds_every_event_that_it_sent(lake: Lake, tmp_path):
    footfall = Footfall(lake, tmp_path / "demo" / "state")
    ports = ["--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]
    printed = footfall.must("demo", "--once", "--events", str(EVENTS), "--data", lake.data, *ports, seconds=240)
    summary = json.loads(printed.strip().splitlines()[-1])
    assert set(summary) == {"events_sent", "duplicates_sent", "events_found", "seconds"}
    assert summary["events_sent"] >= EVENTS
    assert summary["duplicates_sent"] > 0
    assert summary["events_found"] == lake.delta_events(["event_id"]).num_rows
    assert summary["events_found"] == summary["events_sent"] - summary["duplicates_sent"]
