"""The benchmark of queries, on a few events: it ends, and what it compares agrees."""

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


def test_different_answers_are_found(answers):
    rows = answers.plain([("b", 2, Decimal("1.5000")), ("a", Decimal(10), None)])
    assert rows == [["a", 10, None], ["b", 2, "1.5"]]
    assert answers.difference(rows, rows) is None
    assert answers.difference(rows, rows[:1]) == "1 rows instead of 2"
    assert answers.difference([["a", 100]], [["a", 101]])
    assert answers.difference([["a", 100]], [["a", 101]], estimate=True) is None
    assert answers.difference([["a", 100]], [["a", 106]], estimate=True)
    assert answers.difference([["a", 100]], [["b", 100]], estimate=True)
