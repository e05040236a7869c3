#!/usr/bin/env python3
"""What others' data cost: one site's questions with 1, 10 and 100 times as many events of other sites in the lake.

The site's own events are the same each time, and so are its answers.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import query_lake
from answers import Answer, difference, plain
from query_peers import rows_of
from questions import QUESTIONS
from repeat import repeat
from report import machine, table
from running import Serving, arguments

SITE = "alpha"
TIMES = (1, 10, 100)
GOAL = 1.5

# About one site, and of any system.
OTHERS = ("all_sites", "small", "funnel")


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rows", type=int, default=50_000_000, help="all events in the end (default: 50,000,000)")
    parser.add_argument("--sites", type=int, default=200, help="other sites (default: 200)")
    parser.add_argument("--repeats", type=int, default=15, help="of which the median counts (default: 15)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-scale-") as temporary:
        folder = args.keep or Path(temporary)
        measured, answers = grow(args, folder)
    show(measured)
    print(machine())
    failed = [name for name, _ in answers if not_the_same(answers, name)]
    if failed:
        raise SystemExit("error: answers change with other sites' data: " + ", ".join(sorted(set(failed))))


def grow(
    args: argparse.Namespace, folder: Path
) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], Answer]]:
    """Seconds and answers, by what is asked and how many times as many other events there are."""
    days = query_lake.Days.until_today()
    own = max(args.rows // (TIMES[-1] + 1), 1)
    sites = query_lake.site_names(args.sites, "other")
    folder.mkdir(parents=True, exist_ok=True)
    query_lake.create_sites(args.binary, folder, [SITE, *sites])
    scope = days.scope() | {"site": SITE, "funnel": query_lake.create_funnel(args.binary, folder, SITE)}
    files = query_lake.write_files(folder / "own", own, [SITE], days, seed=0)
    measured, answers, present = {}, {}, 0
    for times in TIMES:
        files += query_lake.write_files(folder / f"others-{times}", own * (times - present), sites, days, seed=times)
        present = times
        note(f"{times} times as many other events: {own * times:,}")
        query_lake.load(args.binary, folder, files)
        files = []
        with Serving(args.binary, folder, **query_lake.QUERY_ROLE) as server:
            scope["visitor"] = query_lake.typical_visitor(server, SITE, days)
            for name, headers, sql in statements(scope):
                with query_lake.admin(server, headers) as client:
                    answers[name, times] = plain(rows_of(client.ask(sql)))
                    found = repeat(lambda: client.ask(sql), args.repeats, 60, time.process_time)
                    measured[name, times] = found.seconds
    return measured, answers


def statements(scope: dict[str, str]) -> list[tuple[str, dict[str, str], str]]:
    found = []
    for question in QUESTIONS:
        if question.key in OTHERS:
            continue
        sql = question.footfall.format(**scope)
        found.append((f"{question.title}, routed", query_lake.ROUTED, sql))
        if not question.footfall_raw:
            found.append((f"{question.title}, raw", query_lake.RAW, sql))
    return found


def note(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def show(measured: dict[tuple[str, int], float]) -> None:
    names = dict.fromkeys(name for name, _ in measured)
    rows = []
    for name in names:
        first, *others = (measured[name, times] for times in TIMES)
        growth = others[-1] / first
        cells = (f"{seconds * 1e3:,.1f}" for seconds in (first, *others))
        rows.append((name, *cells, f"{growth:.2f}", "yes" if growth < GOAL else "NO"))
    head = ("ms, other events", *(f"{times} times" for times in TIMES), "growth", f"under {GOAL:g}")
    print(table(rows, head))
    print()


def not_the_same(answers: dict[tuple[str, int], Answer], name: str) -> bool:
    return any(difference(answers[name, TIMES[0]], answers[name, times]) for times in TIMES[1:])


if __name__ == "__main__":
    main()
