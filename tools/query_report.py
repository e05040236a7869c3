"""How `bench_query.py` says what it found: times, ratios, and whether the goals are met."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from questions import QUESTIONS, Question
from report import machine, table

if TYPE_CHECKING:
    from bench_query import Measured, Results

VARIANTS = ("footfall", "footfall raw", "clickhouse", "clickhouse view", "duckdb")


def show(results: "Results", rows: int) -> None:
    if results.loaded:
        print(table([_loaded(line, rows) for line in results.loaded], ("loaded", "s", "CPU s", "bytes an event")))
        print()
    print(table(_times(results, "hot"), ("hot, ms", *VARIANTS)))
    print()
    print(table(_times(results, "cpu"), ("hot, ms of the processor", *VARIANTS)))
    print()
    cold = _times(results, "cold")
    if any(cell != "-" for _, *cells in cold for cell in cells):
        print(table(cold, ("cold, ms", *VARIANTS)))
        print()
    head = ("Footfall's server, ms", "routed", "raw", "cached, client's", "answered from")
    print(table(list(_servers(results)), head))
    print()
    head = ("hot, times Footfall's", "ClickHouse / routed", "its view / routed", "ClickHouse / raw", "DuckDB / raw")
    print(table(list(_ratios(results)), head))
    print()
    print(table(list(_goals(results)), ("goal, hot", "found", "met")))
    for (key, variant), why in results.failures.items():
        print(f"\nnot answered: {key}, {variant}: {why}")
    print()
    print(machine())


def _loaded(line: dict, rows: int) -> tuple[str, ...]:
    name = line["name"]
    if "rollup_rows" in line:
        name += f" (its view: {line['rollup_rows']:,} rows, {line['rollup_bytes'] / rows:.1f} bytes an event)"
    return name, f"{line['seconds']:.0f}", f"{line['cpu_seconds']:.0f}", f"{line['bytes'] / rows:.1f}"


def _answered(results: "Results") -> Iterator[tuple[Question, dict[str, "Measured"]]]:
    for question in QUESTIONS:
        if question.key in results.measured:
            yield question, results.measured[question.key]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:,.1f}"


def _times(results: "Results", which: str) -> list[tuple[str, ...]]:
    def cell(by_variant: dict[str, "Measured"], variant: str) -> str:
        return _ms(getattr(by_variant[variant], which)) if variant in by_variant else "-"

    return [
        (question.title, *(cell(by_variant, variant) for variant in VARIANTS))
        for question, by_variant in _answered(results)
    ]


def _servers(results: "Results") -> Iterator[tuple[str, ...]]:
    for question, by_variant in _answered(results):
        routed, raw = by_variant.get("footfall"), by_variant.get("footfall raw")
        if routed:
            source = routed.source.partition(":")[0].partition("\n")[0] or "events"
            yield question.title, _ms(routed.server), _ms(raw and raw.server), _ms(routed.cached), source


def _ratios(results: "Results") -> Iterator[tuple[str, ...]]:
    pairs = (("clickhouse", "footfall"), ("clickhouse view", "footfall"), ("clickhouse", "footfall raw"))
    for question, by_variant in _answered(results):
        ratios = (ratio(by_variant, *pair) for pair in (*pairs, ("duckdb", "footfall raw")))
        yield question.title, *("-" if value is None else f"{value:.2f}" for value in ratios)


def ratio(by_variant: dict[str, "Measured"], slower: str, faster: str) -> float | None:
    if slower not in by_variant or faster not in by_variant:
        return None
    return by_variant[slower].hot / by_variant[faster].hot


def _goals(results: "Results") -> Iterator[tuple[str, str, str]]:
    for question, by_variant in _answered(results):
        for name, found, met in (*_routed_goals(question, by_variant), *_other_goals(question, by_variant)):
            yield f"{question.title}: {name}", found, "yes" if met else "NO"


Goal = tuple[str, str, bool]


def _routed_goals(question: Question, by_variant: dict[str, "Measured"]) -> Iterator[Goal]:
    times = {"rollup": 20, "distinct": 5}.get(question.kind)
    found = ratio(by_variant, "clickhouse", "footfall")
    if times and found is not None and question.key != "small":
        yield f"routed, {times} times as fast as ClickHouse", f"{found:.1f}", found >= times
    found = ratio(by_variant, "clickhouse view", "footfall")
    if found is not None and question.kind == "rollup":
        yield "routed, no slower than ClickHouse's view", f"{found:.2f}", found >= 1


def _other_goals(question: Question, by_variant: dict[str, "Measured"]) -> Iterator[Goal]:
    found = ratio(by_variant, "clickhouse", "footfall raw")
    # A saved funnel whose segments are missing is no plain scan.
    if found is not None and question.key != "saved_funnel":
        yield "raw, no slower than ClickHouse", f"{found:.2f}", found >= 1
    routed = by_variant.get("footfall")
    limit = {"small": 0.015, "saved_funnel": 0.020}.get(question.key)
    if routed and limit:
        yield f"under {limit * 1e3:.0f} ms", f"{routed.hot * 1e3:.1f} ms", routed.hot < limit
    if routed and routed.cached is not None:
        yield "cached, the client sees it under 2 ms", f"{routed.cached * 1e3:.1f} ms", routed.cached < 0.002
