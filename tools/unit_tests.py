#!/usr/bin/env python3
"""`cargo test` with how long each test took, written to a file for `slowest_tests.py`.

What cargo prints is passed on as it comes, and its exit code is this program's.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

RUNNER = Path(__file__).with_name("timed_test.sh").resolve()
# Running unittests src/lib.rs (/somewhere/deps/footfall_ingest-0123456789abcdef)
BINARY = re.compile(r"^\s*Running .*\((?:.*[/\\])?(?P<crate>\w+)-[0-9a-f]+(?:\.exe)?\)")
TEST = re.compile(r"^test (?P<name>\S+)(?: - should panic)? \.\.\. ok <(?P<seconds>[0-9.]+)s>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=Path, required=True, help="the file for the times, as JSON")
    parser.add_argument("cargo", nargs="+", help="the command, after --")
    args = parser.parse_args()
    cargo, *rest = args.cargo
    command = [cargo, "--config", f'target."cfg(all())".runner = "{RUNNER}"', *rest]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    times, crate = [], "?"
    for line in child.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if found := BINARY.match(line):
            crate = found["crate"]
        elif found := TEST.match(line):
            times.append((f"{crate}::{found['name']}", float(found["seconds"])))
    args.times.parent.mkdir(parents=True, exist_ok=True)
    args.times.write_text(json.dumps(times))
    sys.exit(child.wait())


if __name__ == "__main__":
    main()
