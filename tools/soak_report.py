"""What `soak.py` found: which of it should be flat or bounded, and whether it is."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from report import table
from running import percentile

MIB = 2**20

# Versions between two checkpoints at most; the clean-up follows each.
CHECKPOINT_EVERY = 500

# A reply may take so many times as long as without the compactor, at the 99th percentile.
SLOWER_AT_MOST = 1.5


@dataclass
class Sample:
    """At one moment, `at` seconds after the start."""

    at: float
    values: dict[str, float]


@dataclass
class Soaked:
    stop: Event = field(default_factory=Event)
    samples: list[Sample] = field(default_factory=list)
    # By query: when it was asked, and how many seconds it took.
    queries: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)
    visitor: str = ""


class Rule(Protocol):
    def allows(self, first: list[float], last: list[float]) -> bool:
        """By the values of the first and the last third of the time."""


def high(values: list[float]) -> float:
    """What one in ten exceeds."""
    return percentile(values, 0.9)


@dataclass
class Flat:
    """The last third's value (its median, unless another is given) is at most `factor` times the first's, and `slack` more."""

    factor: float
    slack: float
    of: Callable[[list[float]], float] = statistics.median

    def allows(self, first: list[float], last: list[float]) -> bool:
        return self.of(last) <= self.factor * self.of(first) + self.slack

    def __str__(self) -> str:
        return f"x{self.factor:g} + {self.slack:g}"


@dataclass
class Bounded:
    """No value is greater."""

    most: float

    def allows(self, first: list[float], last: list[float]) -> bool:
        return max(*first, *last) <= self.most

    def __str__(self) -> str:
        return f"{self.most:,.0f}"


# In the unit of the name. Slack: what comes and goes in a quiet server.
FLAT: dict[str, Rule] = {
    # It rises with each merge and falls again, so that a median is of either.
    "memory, MiB": Flat(1.10, 32, high),
    "file descriptors": Flat(1.0, 16),
    "threads": Flat(1.0, 8),
    # The WAL is trimmed by whole segments.
    "WAL, MiB": Flat(1.25, 64),
    # Versions accumulate between two checkpoints.
    "_delta_log, files": Flat(1.10, CHECKPOINT_EVERY / 2),
    "visible lag, s": Flat(1.50, 1.0),
}
# A merged file waits for 64 small or 128 medium ones, and two days may be open; a minute's flushes are 30.
LIVE_FILES = Bounded(2 * (64 + 128 + 30))
# How long a row may wait for its segments, so many times as many as come in a second.
UNCOVERED_SECONDS = 150
BY_DESIGN = ("_delta_log, MiB", "files on disk", "on disk, MiB")
QUERY = Flat(1.5, 0.1)


def thirds(values: list[tuple[float, float]], seconds: float) -> tuple[list[float], list[float]]:
    """Of (moment, value): the values of the first and the last third after the warm-up, both of the same length."""
    warm = seconds / 10
    third = (seconds - warm) / 3
    first = [value for at, value in values if warm <= at < warm + third]
    last = [value for at, value in values if seconds - third <= at <= seconds]
    return first, last


def show(soaked: Soaked, seconds: float, rate: int) -> list[str]:
    """Prints what should be flat or bounded, and says what is not."""
    rows, failed = [], []

    def line(name: str, values: list[tuple[float, float]], rule: Rule | None, number: Callable[[float], str]) -> None:
        first, last = thirds(values, seconds)
        if not first or not last:
            failed.append(f"{name}: too few samples")
            return
        holds = rule is None or rule.allows(first, last)
        figures = [number(of(third)) for third in (first, last) for of in (statistics.median, max)]
        if not holds:
            failed.append(f"{name}: medians {figures[0]} and then {figures[2]}, at most {figures[1]} and {figures[3]}")
        rows.append((name, *figures, str(rule or "by design"), ("holds" if holds else "GROWS") if rule else ""))

    rules = FLAT | {"live files": LIVE_FILES, "uncovered rows": Bounded(UNCOVERED_SECONDS * rate)}
    for name in (*rules, *BY_DESIGN):
        values = [(sample.at, sample.values[name]) for sample in soaked.samples]
        line(name, values, rules.get(name), lambda value: f"{value:,.1f}")
    for name, values in soaked.queries.items():
        line(f"{name}, s", values, QUERY, lambda value: f"{value:.3f}")
    head = ("first and last third", "median", "most", "median", "most", "at most", "")
    print()
    print(table(rows, head))
    return failed


def show_replies(alone: dict, report: dict, peak: int, rate: int, soaked: Soaked) -> list[str]:
    """`alone`: the load generator's report of the time without the compactor."""
    none = dict.fromkeys(("p50", "p95", "p99", "max"), 0.0)
    before, latency = alone["due_ms"] or none, report["due_ms"] or none
    queries = sum(map(len, soaked.queries.values()))
    slowest = max((percentile([took for _, took in q], 0.95) for q in soaked.queries.values()), default=0.0)
    ratio = latency["p99"] / max(before["p99"], 0.001)
    rows = [
        ("acknowledged events/s, asked for", f"{report['events_per_second']:,.0f}, {rate:,}"),
        ("replies", _replies(report)),
        ("without the compactor", _replies(alone)),
        ("reply, p50 / p95 / p99 / max", " / ".join(f"{latency[at]:,.1f}" for at in latency) + " ms"),
        ("without the compactor", " / ".join(f"{before[at]:,.1f}" for at in before) + " ms"),
        (f"reply's p99, times that without (at most {SLOWER_AT_MOST:g})", f"{ratio:.2f}"),
        ("queries, failures, p95 of the slowest", f"{queries:,}, {len(soaked.failures)}, {slowest:.2f} s"),
        ("memory, peak", f"{peak / MIB:,.0f} MiB"),
    ]
    print()
    print(table(rows))
    failed = [f"queries or samples failed: {soaked.failures[:3]}"] if soaked.failures else []
    for found in (alone, report):
        if found["errors"] or set(found["replies"]) - {"204"}:
            failed.append(f"at this rate every request should be taken: {found['replies']}, {found['errors']}")
    if ratio > SLOWER_AT_MOST:
        failed.append(f"replies: p99 {latency['p99']:,.1f} ms, without the compactor {before['p99']:,.1f} ms")
    if not queries:
        failed.append("no query was answered")
    return failed


def _replies(report: dict) -> str:
    return ", ".join(f"{number:,} x {status}" for status, number in report["replies"].items())


def show_growth(soaked: Soaked, seconds: float, events: int, live: dict[str, tuple[int, int]]) -> None:
    """What is live at the end, and what grows by design until files that are replaced may go."""
    files, size = live["events"]
    segments = sum(bytes for name, (_, bytes) in live.items() if name != "events")
    print()
    print(f"live at the end: {files:,} files of events, {size / events:.1f} bytes an event")
    print(f"  and {segments / events:.1f} bytes an event of segments")
    if not soaked.samples:
        return
    last, first = soaked.samples[-1], soaked.samples[0]
    hours = max(last.at - first.at, 1.0) / 3_600
    files = (last.values["files on disk"] - first.values["files on disk"]) / hours
    print("by design, until files that a merge has replaced are vacuumed (their ids tell repeated events for hours):")
    print(f"  {files:,.0f} files of events an hour on disk, {last.values['on disk, MiB'] * MIB / events:.1f} bytes an event")
    print(f"  with the usual retention of a day _delta_log would level off at about {files * 24:,.0f} versions, and a")
    print(f"  checkpoint for every {CHECKPOINT_EVERY} of them; here it keeps {max(60, int(seconds / 10))} s")
