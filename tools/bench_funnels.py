#!/usr/bin/env python3
"""Ten funnels over imported and compacted events: what it takes to build them over history, to keep them up to date as new
events come, and to analyse one of them.

New events go into two lakes, of which one has no funnels: what a cycle takes more with them is due to them. At the end the
numbers of each funnel are compared with those of `funnel_of`, which reads events and no segment.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import make_events
from answers import difference, plain
from bench_compact import copy, fill, sizes
from deltalake import DeltaTable
from funnel_questions import FUNNELS, Asked
from load_run import cpu_seconds
from query_lake import DUE_AT_ONCE, QUERY_ROLE, RAW, ROUTED, admin, site_names
from query_peers import rows_of
from repeat import Repeated, repeat
from report import machine, table
from running import Finished, Serving, arguments, run

# Which days the new events are of.
NEW_DAYS = 2
LAKES = ("with", "without")


@dataclass
class Cycle:
    """What compaction took after new events, by lake."""

    took: dict[str, Finished]

    def more(self, of: str) -> float:
        return getattr(self.took["with"], of) - getattr(self.took["without"], of)


@dataclass
class Analysis:
    asked: Asked
    funnel_id: str
    step_rows: int
    entries: int
    # First and last step's, of all values of the breakdown together.
    users: int
    converted: int
    saved: Repeated
    # `funnel_of`, routing off.
    raw: Repeated
    difference: str | None


def main() -> None:
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rows", type=int, default=50_000_000, help="events (default: 50,000,000)")
    parser.add_argument("--sites", type=int, default=200, help="sites, of very different sizes (default: 200)")
    parser.add_argument("--file", type=Path, help="use this file of `make_events.py --sites site-0,site-1,...`")
    parser.add_argument("--cycles", type=int, default=7, help="how often new events come (default: 7)")
    parser.add_argument("--new", type=int, default=100_000, help="new events of a cycle (default: 100,000)")
    parser.add_argument("--repeats", type=int, default=5, help="of each analysis (default: 5)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="footfall-funnels-") as temporary:
        folder = args.keep or Path(temporary)
        lakes = {name: folder / name for name in LAKES}
        prepare(args, lakes)
        funnels, built = build(args, lakes["with"])
        show_built(args.rows, built, sizes(lakes["with"] / "lake"), step_rows(lakes["with"]))
        cycles = [cycle(args, lakes, number) for number in range(args.cycles)]
        show_cycles(args.new, cycles)
        analyses = analyse(args, lakes["with"], funnels)
        show_analyses(analyses)
        print(machine())
    different = [f"{found.asked.definition['name']}: {found.difference}" for found in analyses if found.difference]
    if different:
        raise SystemExit("error: funnels differ from those computed from events:\n  " + "\n  ".join(different))


def prepare(args: argparse.Namespace, lakes: dict[str, Path]) -> None:
    """Two compacted lakes with the same events, and no funnel yet."""
    for folder in lakes.values():
        folder.mkdir(parents=True, exist_ok=True)
    fill(args, lakes["with"])
    run([args.binary, "compact"], lakes["with"], **DUE_AT_ONCE)
    run([args.binary, "vacuum"], lakes["with"])
    copy(lakes["with"] / "lake", lakes["without"] / "lake")
    shutil.copytree(lakes["with"] / "state", lakes["without"] / "state", dirs_exist_ok=True)


def build(args: argparse.Namespace, folder: Path) -> tuple[list[tuple[Asked, str]], Finished]:
    """Creates the funnels; returns their ids, and what it took to build them."""
    file = folder / "funnel.json"
    funnels = []
    for asked in FUNNELS:
        file.write_text(json.dumps(asked.of(site_names(args.sites))))
        created = run([args.binary, "funnel", "create", "--file", file, "--json"], folder)
        funnels.append((asked, json.loads(created.output)["funnel_id"]))
    return funnels, run([args.binary, "compact"], folder, **DUE_AT_ONCE)


def cycle(args: argparse.Namespace, lakes: dict[str, Path], number: int) -> Cycle:
    """The same new events go into both lakes, and each is compacted."""
    file = lakes["with"].parent / "new.parquet"
    make_events.write(
        file,
        args.new,
        site_names(args.sites),
        days=NEW_DAYS,
        seed=1_000 + number,
        visitors=make_events.visitors_of(args.rows),
    )
    # Each goes first as often as the other.
    names = LAKES if number % 2 else LAKES[::-1]
    for name in names:
        run([args.binary, "import", file], lakes[name])
    return Cycle({name: run([args.binary, "compact"], lakes[name], **DUE_AT_ONCE) for name in names})


def step_rows(folder: Path) -> dict[str, int]:
    """Rows of `funnel_steps` by funnel."""
    rows = DeltaTable(str(folder / "lake" / "shard=00" / "funnel_steps")).to_pyarrow_dataset()
    counts: dict[str, int] = {}
    for batch in rows.to_batches(columns=["funnel_id"]):
        for found in batch.column(0).value_counts().to_pylist():
            counts[found["values"]] = counts.get(found["values"], 0) + found["counts"]
    return counts


def analyse(args: argparse.Namespace, folder: Path, funnels: list[tuple[Asked, str]]) -> list[Analysis]:
    rows = step_rows(folder)
    with Serving(args.binary, folder, **QUERY_ROLE) as server:
        first, last = server.ask("SELECT min(event_timestamp), max(event_timestamp) FROM events")
        days = f"'{day(first)}', '{day(last + timedelta(days=1))}'"
        return [analyse_one(args, server, asked, funnel_id, days, rows.get(funnel_id, 0)) for asked, funnel_id in funnels]


def day(at: datetime) -> str:
    return at.date().isoformat()


def analyse_one(
    args: argparse.Namespace, server: Serving, asked: Asked, funnel_id: str, days: str, rows: int
) -> Analysis:
    by = f", '{asked.breakdown}'" if asked.breakdown else ""
    definition = json.dumps(asked.of(site_names(args.sites))).replace("'", "''")
    answers, took = [], []
    for sql, headers in (
        (f"SELECT * FROM funnel('{funnel_id}', {days}{by})", ROUTED),
        (f"SELECT * FROM funnel_of('{definition}', {days}{by})", RAW),
    ):
        with admin(server, headers) as client:
            answers.append(client.ask(sql))
            took.append(repeat(lambda: client.ask(sql), args.repeats, 60, lambda: cpu_seconds(server)))
    saved = answers[0].to_pydict()
    steps = saved["step_index"]
    users = {at: sum(users for step, users in zip(steps, saved["users"], strict=True) if step == at) for at in set(steps)}
    (entries,) = server.ask(f"SELECT count(*) FROM funnel_progress WHERE funnel_id = '{funnel_id}'")
    return Analysis(
        asked,
        funnel_id,
        rows,
        entries,
        users=users.get(0, 0),
        converted=users.get(len(asked.definition["steps"]) - 1, 0),
        saved=took[0],
        raw=took[1],
        difference=difference(*(plain(rows_of(answer)) for answer in reversed(answers))),
    )


def show_built(rows: int, built: Finished, live: dict[str, tuple[int, int]], steps: dict[str, int]) -> None:
    files, size = live["funnel_steps"]
    lines = [
        ("seconds", f"{built.seconds:.1f}"),
        ("CPU seconds", f"{built.cpu_seconds:.1f}"),
        ("CPU seconds, a million events", f"{built.cpu_seconds / (rows / 1e6):.2f}"),
        ("memory, peak", f"{built.peak_memory / 1e6:,.0f} MB"),
        ("files", f"{files:,}"),
        ("rows", f"{sum(steps.values()):,}"),
        ("size", f"{size / 1e6:,.1f} MB"),
        ("bytes a row", f"{size / max(sum(steps.values()), 1):.1f}"),
        ("bytes an event, of all sites", f"{size / rows:.2f}"),
    ]
    print(table(lines, (f"{len(FUNNELS)} funnels built over {rows:,} events", "")))
    print()


def show_cycles(new: int, cycles: list[Cycle]) -> None:
    lines = []
    for number, found in enumerate(cycles, 1):
        took = [f"{getattr(found.took[name], of):.2f}" for name in LAKES for of in ("seconds", "cpu_seconds")]
        lines.append((str(number), *took, f"{found.more('seconds'):.2f}", f"{found.more('cpu_seconds'):.2f}"))
    if cycles:
        of_lakes = [
            statistics.median(getattr(found.took[name], of) for found in cycles)
            for name in LAKES
            for of in ("seconds", "cpu_seconds")
        ]
        more = [statistics.median(found.more(of) for found in cycles) for of in ("seconds", "cpu_seconds")]
        lines.append(("median", *(f"{value:.2f}" for value in (*of_lakes, *more))))
    head = (f"{new:,} new events", "with funnels, s", "CPU s", "without, s", "CPU s", "due to funnels, s", "CPU s")
    print(table(lines, head))
    print()


def show_analyses(analyses: list[Analysis]) -> None:
    head = (
        "funnel", "site", "steps", "window", "options", "by", "step rows", "entries", "visitors", "converted",
        "analysis, ms", "from events, ms", "same numbers",
    )  # fmt: skip
    lines = [
        (
            found.asked.definition["name"],
            str(found.asked.site),
            str(len(found.asked.definition["steps"])),
            found.asked.definition["window"],
            found.asked.options(),
            found.asked.breakdown or "",
            f"{found.step_rows:,}",
            f"{found.entries:,}",
            f"{found.users:,}",
            f"{found.converted:,}",
            f"{found.saved.seconds * 1_000:,.1f}",
            f"{found.raw.seconds * 1_000:,.1f}",
            "NO" if found.difference else "yes",
        )
        for found in analyses
    ]
    print(table(lines, head))
    print()


if __name__ == "__main__":
    main()
