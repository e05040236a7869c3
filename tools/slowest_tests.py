#!/usr/bin/env python3
"""The slowest of all tests: Rust's from `unit_tests.py`, the end-to-end ones from pytest's report."""

import argparse
import json
from pathlib import Path
from xml.etree import ElementTree

from report import table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unit", type=Path, required=True, help="what unit_tests.py has written")
    parser.add_argument("--e2e", type=Path, required=True, help="pytest's --junit-xml")
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    times = [(name, seconds) for name, seconds in json.loads(args.unit.read_text())]
    for case in ElementTree.parse(args.e2e).iter("testcase"):
        times.append((f"{case.get('classname')}::{case.get('name')}", float(case.get("time"))))
    times.sort(key=lambda time: -time[1])
    rows = [(name, f"{seconds:.1f}") for name, seconds in times[: args.count]]
    print(table(rows, (f"the slowest of {len(times):,} tests", "seconds")))


if __name__ == "__main__":
    main()
