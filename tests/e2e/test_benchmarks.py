"""Benchmarks on a few events: they end, and what they compare agrees."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from server import binary

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import answers

    return answers


def bench(name: str, *flags: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, TOOLS / name, "--binary", binary(), *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_bench_query_answers_agree_with_duckdb(tmp_path):
    found = tmp_path / "found.json"
    flags = ("--rows", 20_000, "--sites", 3, "--repeats", 1, "--no-cold", "--systems", "duckdb", "--json", found)
    done = bench("bench_query.py", *flags)
    assert done.returncode == 0, done.stderr
    measured = json.loads(found.read_text())
    assert {"visitors", "revenue", "pages", "bounces", "saved_funnel"} <= measured.keys()
    assert measured["revenue"]["footfall"]["source"].startswith("rollup ")
    assert measured["revenue"]["footfall raw"]["source"].startswith("raw events")
    for by_variant in (measured["revenue"], measured["saved_funnel"]):
        assert by_variant["duckdb"]["answer"] == by_variant["footfall"]["answer"]
        assert any(row[-1] is not None for row in by_variant["duckdb"]["answer"])


def test_bench_funnels_agree_with_events():
    done = bench("bench_funnels.py", "--rows", 20_000, "--sites", 3, "--cycles", 1, "--new", 500, "--repeats", 1)
    assert done.returncode == 0, done.stderr
    built, cycles, analyses = (lines.splitlines() for lines in done.stdout.split("\n\n")[:3])
    assert built[1].startswith("10 funnels built over 20,000 events") and len(cycles) == 3, done.stdout
    users = [line.split()[-5].replace(",", "") for line in analyses[1:]]
    assert len(users) == 10 and all(int(count) > 0 for count in users), done.stdout
    assert all(line.endswith(" yes") for line in analyses[1:])


@pytest.fixture
def soak_report(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import soak_report

    return soak_report


def test_soak_tells_what_grows(soak_report):
    def failed(**changed) -> list[str]:
        """Values at second 0 to 99."""
        soaked = soak_report.Soaked()
        for at in range(100):
            values = dict.fromkeys((*soak_report.FLAT, *soak_report.BY_DESIGN, "live files", "uncovered rows"), 10.0)
            values |= {name.replace("_", " "): of(at) for name, of in changed.items()}
            soaked.samples.append(soak_report.Sample(at, values))
        return soak_report.show(soaked, 100, 1_000)

    assert failed() == []
    assert failed(threads=lambda at: 10 + at)[0].startswith("threads: medians")
    # What the warm-up and single moments have does not count where medians do.
    assert failed(threads=lambda at: 1_000 if at < 10 or at % 10 == 0 else 10) == []
    sawtooth = [10, 10, 10, 900, 900]
    assert failed(**{"memory,_MiB": lambda at: sawtooth[at % 5]}) == []
    assert failed(**{"memory,_MiB": lambda at: sawtooth[at % 5] * (1 + at / 100)})[0].startswith("memory, MiB: ")
    assert failed(live_files=lambda at: 445 if at == 95 else 10)[0].startswith("live files: ")
    assert failed(uncovered_rows=lambda at: 150_000 if at == 95 else 0) == []
    assert failed(uncovered_rows=lambda at: 150_001 if at == 95 else 0)[0].startswith("uncovered rows: ")


def test_different_answers_are_found(answers):
    rows = answers.plain([("b", 2, Decimal("1.5000")), ("a", Decimal(10), None)])
    assert rows == [["a", 10, None], ["b", 2, "1.5"]]
    assert answers.difference(rows, rows) is None
    assert answers.difference(rows, rows[:1]) == "1 rows instead of 2"
    assert answers.difference([["a", 100]], [["a", 101]])
    assert answers.difference([["a", 100]], [["a", 101]], estimate=True) is None
    assert answers.difference([["a", 100]], [["a", 106]], estimate=True)
    assert answers.difference([["a", 100]], [["b", 100]], estimate=True)
