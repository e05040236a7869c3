"""`footfall demo`: what a newcomer sees first."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

import lakes
from commands import Footfall
from lakes import Lake
from processes import Process
from server import binary, wait_until

EVENTS = 2_000

PORTS = ["--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]


def test_demo_finds_every_event_sent(lake: Lake, tmp_path: Path):
    footfall = Footfall(lake, tmp_path / "demo" / "state")
    printed = footfall.must("demo", "--once", "--events", str(EVENTS), "--data", lake.data, *PORTS, seconds=240)
    summary = json.loads(printed.strip().splitlines()[-1])
    assert set(summary) == {"events_sent", "duplicates_sent", "events_found", "seconds"}
    assert summary["events_found"] == EVENTS == lake.delta_events(["event_id"]).num_rows
    assert summary["duplicates_sent"] > 0
    assert summary["events_sent"] == EVENTS + summary["duplicates_sent"]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Process]:
    """A demo that has shown its tables and goes on serving."""
    lake = lakes.local(tmp_path / "lake")
    footfall = Footfall(lake, tmp_path / "lake" / "state")
    command = [str(binary()), "demo", "--events", "300", "--data", lake.data, *PORTS]
    process = Process(command, tmp_path / "demo.log", env=footfall.env, cwd=tmp_path)
    try:
        wait_until(lambda: "Ctrl-C" in process.output() or not process.running, "the demo serves", seconds=120)
        assert process.running, process.output()
        yield process
    finally:
        process.end()


def test_demo_snippets_work(demo: Process):
    text = demo.output()
    python = _between(text, "from Python", "from the shell")
    shell = _between(text, "from the shell", "and send it an event")
    curl = _between(text, "and send it an event", "A few visitors")

    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "pageview" in done.stdout

    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "visitors" in done.stdout

    # As the shell takes it apart; curl itself need not be on the machine.
    name, *words = shlex.split(curl)
    assert (name, words[0], words[2], words[4]) == ("curl", "-i", "-H", "-d")
    url, header, body = words[1], words[3], words[5]
    sent = urllib3.request("POST", url, body=body.encode(), headers=dict([header.split(": ")]))
    assert sent.status == 204, sent.data

    assert demo.stop() == 0, demo.output()


def _between(text: str, start: str, end: str) -> str:
    """The text between the line with `start` and the one with `end`."""
    found = re.search(rf"^[^\n]*{start}[^\n]*\n(.*?)^[^\n]*{end}", text, re.DOTALL | re.MULTILINE)
    assert found, text
    return found[1]
