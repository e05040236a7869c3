#!/usr/bin/env python3
"""The same questions to Footfall, ClickHouse and DuckDB, over the same events: seconds, and whether answers agree.

Footfall answers from rollups where it can ("routed"), and from events alone ("raw"). ClickHouse has a table ordered by
site and time, and an hourly rollup with `uniq` states. One system at a time has the machine; ClickHouse and DuckDB run
in the process that asks, Footfall is asked over Flight SQL. Cold: a fresh process, and none of its files in the page
cache. Hot: the median of several, none from a cache of results. A number that differs between systems is an error,
unless it is declared an estimate.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import query_lake
from answers import Answer, difference, plain
from bench_compact import sizes
from load_run import cpu_seconds
from query_peers import rows_of
from query_report import show
from questions import QUESTIONS, Question
from repeat import repeat
from running import Serving, arguments


@dataclass
class Measured:
    """Seconds: that the client saw, of the processor, and by the server's own clock."""

    hot: float
    cpu: float
    server: float | None
    answer: Answer
    cold: float | None = None
    # The same again, from the cache of results.
    cached: float | None = None
    source: str = ""


@dataclass
class Results:
    # By question's key and variant.
    measured: dict[str, dict[str, Measured]] = field(default_factory=dict)
    # By question's key and variant: why it was not answered.
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    # What loading took, by system.
    loaded: list[dict] = field(default_factory=list)

    def add(self, question: Question, variant: str, measured: Measured) -> None:
        self.measured.setdefault(question.key, {})[variant] = measured


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory(prefix="footfall-query-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = Results()
        note(f"Footfall loads {args.rows:,} events")
        prepared = query_lake.prepare(args.binary, folder, args.rows, args.sites)
        footfall(args, folder, prepared, results)
        if not args.keep:
            shutil.rmtree(folder / "lake")
        for system in ("clickhouse", "duckdb"):
            if system in args.systems:
                peer(system, args, folder, prepared, results)
        different = compare(results)
        if args.json:
            args.json.write_text(json.dumps(asdict(results)["measured"]))
    show(results, args.rows)
    if different:
        raise SystemExit("error: answers differ:\n  " + "\n  ".join(different))


def parse() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rows", type=int, default=50_000_000, help="events (default: 50,000,000)")
    parser.add_argument("--sites", type=int, default=200, help="sites, of very different sizes (default: 200)")
    parser.add_argument("--repeats", type=int, default=5, help="hot repetitions (default: 5)")
    parser.add_argument("--seconds", type=float, default=30, help="of one question's repetitions, at most (default: 30)")
    parser.add_argument("--systems", default="clickhouse,duckdb", help="beside Footfall (default: clickhouse,duckdb)")
    parser.add_argument("--only", default="", help="only questions whose key contains this")
    parser.add_argument("--no-cold", dest="cold", action="store_false", help="leave out the fresh processes")
    parser.add_argument("--json", type=Path, help="write all times and answers to this file")
    return parser.parse_args()


def note(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def asked(only: str) -> list[Question]:
    return [question for question in QUESTIONS if only in question.key]


def footfall(args: argparse.Namespace, folder: Path, prepared: query_lake.Prepared, results: Results) -> None:
    # Created now: a server that merges, as in the benchmarks under load, would give it segments.
    scope = prepared.scope
    scope["new_funnel"] = query_lake.create_funnel(args.binary, folder, scope["site"])
    if prepared.steps:
        results.loaded.append(
            {
                "name": "Footfall",
                "seconds": sum(step.seconds for step in prepared.steps),
                "cpu_seconds": sum(step.cpu_seconds for step in prepared.steps),
                "bytes": sum(size for _, size in sizes(folder / "lake").values()),
            }
        )
    with Serving(args.binary, folder, **query_lake.QUERY_ROLE) as server:
        for question, variant, headers, sql in statements(args.only, scope):
            ask(args, server, question, variant, headers, sql, results)
    if args.cold:
        for question, variant, headers, sql in statements(args.only, scope):
            if measured := results.measured.get(question.key, {}).get(variant):
                query_lake.evict(folder / "lake")
                with Serving(args.binary, folder, **query_lake.QUERY_ROLE) as server:
                    measured.cold = took(server, headers, sql)


def statements(only: str, scope: dict[str, str]) -> Iterator[tuple[Question, str, dict[str, str], str]]:
    for question in asked(only):
        yield question, "footfall", query_lake.ROUTED, question.footfall.format(**scope)
        raw = question.footfall_raw or question.footfall
        yield question, "footfall raw", query_lake.RAW, raw.format(**scope)


def ask(
    args: argparse.Namespace,
    server: Serving,
    question: Question,
    variant: str,
    headers: dict[str, str],
    sql: str,
    results: Results,
) -> None:
    note(f"{variant}: {question.title}")
    with query_lake.admin(server, headers) as client:
        try:
            answer = plain(rows_of(client.ask(sql)))
        except Exception as error:  # whichever of Arrow's exceptions it is: the line says what went wrong
            results.failures[question.key, variant] = str(error).partition(". Detail")[0].partition(". gRPC")[0][:300]
            return
        hot = repeat(lambda: client.ask(sql), args.repeats, args.seconds, lambda: cpu_seconds(server))
    server_seconds, source = server_side(server, sql, hot.times)
    measured = Measured(hot.seconds, hot.cpu_seconds, server_seconds, answer, source=source)
    results.add(question, variant, measured)
    if variant == "footfall":
        with query_lake.admin(server, {}) as client:
            client.ask(sql)
            again = repeat(lambda: client.ask(sql), args.repeats, args.seconds, lambda: cpu_seconds(server))
        measured.cached = again.seconds


def server_side(server: Serving, sql: str, repeats: int) -> tuple[float, str]:
    """The server's seconds for the last of these statements, the median; and where the numbers came from."""
    text = sql.replace("'", "''")
    last = f"SELECT seconds, source FROM system.queries WHERE sql = '{text}' ORDER BY started_at DESC LIMIT {repeats}"
    with query_lake.admin(server) as client:
        found = rows_of(client.ask(last))
    return statistics.median(seconds for seconds, _ in found), found[0][1] or ""


def took(server: Serving, headers: dict[str, str], sql: str) -> float:
    with query_lake.admin(server, headers) as client:
        client.ask("SELECT 1")
        began = time.perf_counter()
        client.ask(sql)
        return time.perf_counter() - began


def peer(
    system: str, args: argparse.Namespace, folder: Path, prepared: query_lake.Prepared, results: Results
) -> None:
    database = folder / system
    if not database.exists():
        note(f"{system} loads")
        loaded = peer_process(system, database, None, "--load", *prepared.files)
        note(f"{system}: loaded in {loaded['seconds']:.0f} s")
        results.loaded.append(loaded)
    statements = [
        (question, variant, sql.format(**prepared.scope))
        for question in asked(args.only)
        for variant, sql in peer_statements(system, question)
    ]
    note(f"{system} is asked")
    flags = ("--repeats", str(args.repeats), "--seconds", str(args.seconds))
    found = peer_process(system, database, [sql for _, _, sql in statements], *flags)
    for (question, variant, sql), line in zip(statements, found, strict=True):
        measured = Measured(line["hot"], line["cpu"], line["server"], line["answer"])
        if args.cold:
            query_lake.evict(database)
            (first,) = peer_process(system, database, [sql])
            measured.cold = first["first"]
        results.add(question, variant, measured)
    if not args.keep:
        shutil.rmtree(database)


def peer_statements(system: str, question: Question) -> Iterator[tuple[str, str]]:
    yield system, getattr(question, system)
    if system == "clickhouse" and question.view:
        yield "clickhouse view", question.view


def peer_process(system: str, database: Path, statements: list[str] | None, *flags: str | Path) -> object:
    """A process of its own, which gives its memory back."""
    command = [sys.executable, Path(__file__).with_name("query_peers.py"), system, database, *flags]
    done = subprocess.run(command, input=json.dumps(statements), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"error: {system} ended with {done.returncode}")
    return json.loads(done.stdout)


def compare(results: Results) -> list[str]:
    """Where systems disagree. What Footfall reads from events is what the others are compared with."""
    different = []
    for question in QUESTIONS:
        if not (by_variant := results.measured.get(question.key)):
            continue
        reference = next(variant for variant in ("footfall raw", *by_variant) if variant in by_variant)
        for variant, measured in by_variant.items():
            estimate = variant == "clickhouse view" and question.view_is_estimate
            found = difference(by_variant[reference].answer, measured.answer, estimate)
            if found:
                different.append(f"{question.title}, {variant} against {reference}: {found}")
    return different


if __name__ == "__main__":
    main()
