#!/usr/bin/env python3
"""How many bots of public lists Footfall knows, and how many people it takes for bots.

    git clone --depth 1 https://github.com/monperrus/crawler-user-agents  # crawler-user-agents.json
    git clone --depth 1 https://github.com/matomo-org/device-detector     # Tests/fixtures
    git clone --depth 1 https://github.com/ua-parser/uap-core             # tests/test_device.yaml
    cargo build --profile demo -p footfall-ingest --example classify_user_agents
    measure_bots.py --binary .../demo/examples/classify_user_agents \\
        crawler-user-agents/crawler-user-agents.json device-detector/Tests/fixtures uap-core/tests/test_device.yaml

A path is one of these files, or a folder of device-detector's. The lists have licences of their own: they are read, and
nothing of them is kept here. The results are in docs/user-agents.md.

Left out of device-detector's fixtures: feed readers, podcast clients and what it does not know, which are neither
surely people nor bots.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from report import table

NEITHER = {"feed_reader.yml", "podcasting.yml", "unknown.yml"}


@dataclass
class Sample:
    """User-Agents of one list: bots, or browsers and apps of people."""

    bots: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path, nargs="+", help="files of the lists above, or folders of such files")
    parser.add_argument("--binary", type=Path, required=True, help="the example classify_user_agents, built")
    parser.add_argument("--verbose", action="store_true", help="print the User-Agents that are told wrong")
    args = parser.parse_args()
    rows = [row for path in args.lists for row in measured(path, args.binary, args.verbose)]
    print(table(rows, ("list", "kind", "User-Agents", "called bots", "share")))


def measured(path: Path, binary: Path, verbose: bool) -> Iterator[tuple[str, ...]]:
    sample = read(path)
    for kind, user_agents in (("bots", sample.bots), ("people", sample.people)):
        if not user_agents:
            continue
        called = classify(user_agents, binary)
        found = sum(called)
        yield path.name, kind, f"{len(user_agents):,}", f"{found:,}", f"{100 * found / len(user_agents):.2f} %"
        if verbose:
            for user_agent, is_bot in zip(user_agents, called, strict=True):
                if is_bot != (kind == "bots"):
                    print(f"{path.name}: {kind}: {user_agent}")


def read(path: Path) -> Sample:
    files = sorted(file for file in path.iterdir() if file.suffix == ".yml") if path.is_dir() else [path]
    sample = Sample()
    for file in files:
        if file.name not in NEITHER:
            add(sample, file)
    if not (sample.bots or sample.people):
        raise SystemExit(f"{path}: none of the lists that --help names")
    return sample


def add(sample: Sample, file: Path) -> None:
    """Adds the User-Agents of a file, told apart by its shape."""
    text = file.read_text()
    if file.suffix == ".json":
        for bot in json.loads(text):
            sample.bots.extend(map(one_line, bot["instances"]))
        return
    content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if isinstance(content, dict):  # uap-core
        for case in content["test_cases"]:
            is_bot = case["family"] == "Spider"
            (sample.bots if is_bot else sample.people).append(one_line(case["user_agent_string"]))
        return
    for case in content:  # device-detector
        (sample.bots if "bot" in case else sample.people).append(one_line(case["user_agent"]))


def one_line(user_agent: str) -> str:
    return " ".join(user_agent.split())


def classify(user_agents: list[str], binary: Path) -> list[bool]:
    done = subprocess.run(
        [binary], input="\n".join(user_agents) + "\n", stdout=subprocess.PIPE, check=True, encoding="utf-8"
    )
    return [line.split("\t")[0] == "true" for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
