"""The `footfall` command line as a person uses it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from lakes import Lake
from server import binary, environment


@dataclass
class Outcome:
    code: int
    output: str
    errors: str


class Footfall:
    """The command line over one lake and one state folder, named by the environment."""

    def __init__(self, lake: Lake, state: Path, **settings: str):
        self.cwd = state.parent
        self.cwd.mkdir(parents=True, exist_ok=True)
        self.env = environment(lake.env | {"FOOTFALL_DATA": lake.data, "FOOTFALL_STATE": str(state)} | settings)

    def run(self, *arguments: str | Path, text: str | None = None, seconds: float = 120, **settings: str) -> Outcome:
        """`text`: its standard input."""
        done = subprocess.run(
            [binary(), *arguments],
            input=text or "",
            capture_output=True,
            text=True,
            env=self.env | settings,
            cwd=self.cwd,
            timeout=seconds,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str | Path, **options) -> str:
        """The standard output of a command that must succeed."""
        outcome = self.run(*arguments, **options)
        assert outcome.code == 0, f"{arguments} ended with {outcome.code}: {outcome.errors}\n{outcome.output}"
        return outcome.output
