#!/usr/bin/env python3
"""Breaks the write path, compaction, pruning and isolation by one mistake at a time: the tests that prove them must notice each.

A passing test proves little unless it is seen to fail. Each mutant is one small mistake of the
kind that its authors could make, in a copy of the sources, and names the test that must notice it.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from report import table

LOG = "crates/ingest/src/wal"
WRITER = "crates/ingest/src/writer/mod.rs"
RECALL = "crates/ingest/src/writer/recall.rs"
TABLE = "crates/lake/src/table.rs"
COMMIT = "crates/lake/src/commit/actions.rs"
DECIDE = "crates/lake/src/commit/decide.rs"
FOLLOW = "crates/lake/src/table/follow.rs"
FILES = "crates/lake/src/snapshot/files.rs"
STATISTICS = "crates/lake/src/statistics"
QUERY = "crates/query/src/table"
COMPACTOR = "crates/compactor/src/execute"
# The last look at a plan would refuse these before they could do harm: without it the test must see the harm.
UNCHECKED = (f"{QUERY}/check.rs", "        check(&plan)?;\n", "        let _ = check;\n")


@dataclass(frozen=True)
class Test:
    """A test, and the pattern of what its failure reports."""

    packages: tuple[str, ...]
    filter: str
    found: str = r"test (\S+) \.\.\. FAILED"

    def command(self, *flags: str) -> list[str]:
        packages = [argument for package in self.packages for argument in ("-p", package)]
        return ["cargo", "test", "--locked", "--profile", "demo", *packages, "--lib", *flags, "--", self.filter]


# With the binary, so that each builds with the same features of its dependencies.
SIMULATION = Test(("footfall-ingest", "footfall"), "simulation::tests::random_histories", r"seed \d+ breaks \w+")
ISOLATION = Test(("footfall-query", "footfall"), "tests::isolation::", r"seed \d+, (?:racing )?case \d+")
PRUNING = Test(("footfall-query", "footfall"), "pruning::")
DERIVED = Test(("footfall-query", "footfall"), "derived_filters::")
LEASES = Test(("footfall-lake", "footfall"), "older_lease_epoch_is_refused")
RECALLED = Test(("footfall-ingest", "footfall"), "recall")
BATCHES = Test(("footfall-query", "footfall"), "regroup::")


@dataclass(frozen=True)
class Mutant:
    mistake: str
    file: str
    old: str
    new: str
    test: Test = SIMULATION
    # What else the mistake changes: file, old, new.
    also: tuple[tuple[str, str, str], ...] = ()

    def edits(self) -> tuple[tuple[str, str, str], ...]:
        return ((self.file, self.old, self.new), *self.also)


MUTANTS = (
    Mutant(
        "a group is answered without a sync",
        f"{LOG}/store.rs",
        "let synced = file.sync_data();",
        "let synced: io::Result<()> = Ok(());",
    ),
    Mutant(
        "a new segment's name is not synced",
        f"{LOG}/store.rs",
        "self.disk.rename(temporary, name)?;\n        self.disk.sync_dir()?;",
        "self.disk.rename(temporary, name)?;",
    ),
    Mutant(
        "after a failed sync the group is left there and the next one is written behind it",
        f"{LOG}/store.rs",
        "let _ = file.truncate(at);\n            self.active = None;",
        "segment.bytes = at + self.buffer.len() as u64;",
    ),
    Mutant(
        "a failed write is answered as if it were stored",
        f"{LOG}/store.rs",
        "self.write_group()?;",
        "let _ = self.write_group();",
    ),
    Mutant(
        "the WAL is trimmed one record too far",
        WRITER,
        "self.parts.log.trim(upto)",
        "self.parts.log.trim(upto + 1)",
    ),
    Mutant(
        "a commit says one record too much",
        WRITER,
        "upto: upto.cast_signed(),",
        "upto: upto.cast_signed() + 1,",
    ),
    Mutant(
        "the next start begins one record early",
        WRITER,
        "next: committed + 1,",
        "next: committed.max(1),",
    ),
    Mutant(
        "the window of ids is not filled at the start",
        WRITER,
        "if !self.recall(&stop).await? {",
        "if false && !self.recall(&stop).await? {",
    ),
    Mutant(
        "every event is taken for new",
        WRITER,
        "|key| self.window.insert(key, now))",
        "|key| self.window.insert(key, now) || true)",
    ),
    Mutant(
        "a commit forgets the position",
        COMMIT,
        "if let Some(ours) = &commit.txn {",
        "if let Some(ours) = commit.txn.as_ref().filter(|ours| ours.upto % 7 != 0) {",
    ),
    Mutant(
        "a commit whose reply was lost is not recognized",
        COMMIT,
        "info.info.get(COMMIT_ID)",
        'info.info.get("")',
    ),
    Mutant(
        "a rival on the same WAL is not fenced",
        DECIDE,
        "if reached.upto > txn.after {",
        "if reached.upto > txn.after.saturating_add(1_000_000) {",
    ),
    Mutant(
        "a version may be overwritten",
        TABLE,
        "PutOptions::from(PutMode::Create)",
        "PutOptions::from(PutMode::Overwrite)",
    ),
    Mutant(
        "a removed file may have been removed before",
        DECIDE,
        "return CommitDecision::Refused(LakeError::Conflict { path, version });",
        "let _ = LakeError::Conflict { path, version };",
    ),
    Mutant(
        "a stale lease still commits",
        DECIDE,
        "&& reached.upto > fence.epoch",
        "&& reached.upto > fence.epoch + 1_000_000",
    ),
    Mutant(
        "a commit forgets the epoch of its lease",
        COMMIT,
        "if let Some(fence) = &commit.fence {",
        "if let Some(fence) = commit.fence.as_ref().filter(|_| commit.remove.is_empty()) {",
        LEASES,
    ),
    Mutant(
        "a file that is added again is there twice",
        FILES,
        "for path in removed.iter().chain(added.iter().map(|file| &file.path)) {",
        "for path in removed {",
    ),
    Mutant(
        "a follower keeps the files that others remove",
        FOLLOW,
        "snapshot.next(version, &changes.remove, added)",
        "snapshot.next(version, &[], added)",
    ),
    Mutant(
        "a file's statistics are those of its last rows",
        f"{STATISTICS}/collect.rs",
        "(if low < min { low } else { min }, if high > max { high } else { max })",
        "{\n                let _ = (min, max);\n                (low, high)\n            }",
    ),
    Mutant(
        "a maximum that another program cut to milliseconds is taken as it is",
        f"{STATISTICS}/json.rs",
        "at.saturating_add(lost)",
        "at",
    ),
    Mutant(
        "recall leaves out rows that were merged away",
        RECALL,
        "|file| file.origin != Origin::Import)",
        "|file| file.origin != Origin::Import && file.origin != Origin::Compaction)",
    ),
    Mutant(
        "recall takes imported rows too",
        RECALL,
        "|file| file.origin != Origin::Import)",
        "|file| file.origin != Origin::Import || file.rows > Some(0))",
        RECALLED,
    ),
    Mutant(
        "recall goes by the file's time",
        RECALL,
        "newest.push(received, EventKey::new(site, id));",
        "newest.push(received.max(file.written_at), EventKey::new(site, id));",
        RECALLED,
    ),
    Mutant(
        "recall keeps the oldest ids",
        RECALL,
        "self.keys.drain(..excess);",
        "self.keys.truncate(self.capacity);",
        RECALLED,
    ),
    Mutant(
        "recalled ids are forgotten newest first",
        RECALL,
        "self.keys.sort_unstable();",
        "self.keys.sort_unstable_by(|a, b| b.cmp(a));",
        RECALLED,
    ),
    Mutant(
        "a merge leaves its inputs in the table",
        f"{COMPACTOR}/mod.rs",
        "remove: inputs.iter().map(|file| file.path.clone()).collect(),",
        "remove: inputs.iter().skip(1).map(|file| file.path.clone()).collect(),",
    ),
    Mutant(
        "a merge does not wait for the commits of its segments",
        f"{COMPACTOR}/mod.rs",
        "while commits.try_next().await?.is_some() {}",
        "let _ = commits.try_next().await?;",
    ),
    Mutant(
        "the segments of merged files go before the files",
        f"{COMPACTOR}/mod.rs",
        "if let Err(error) = self.events.commit(&commit).await {",
        "self.remove_segments(inputs, |_| true).await?;\n        if let Err(error) = self.events.commit(&commit).await {",
    ),
    Mutant(
        "a commit that was not answered is taken for refused",
        f"{COMPACTOR}/mod.rs",
        "if is_final(&error) {",
        "if is_final(&error) || error.is_transient() {",
    ),
    Mutant(
        "a merge does not say how long its files have waited",
        f"{COMPACTOR}/mod.rs",
        "            staged_at,\n            ..Commit::append(self.ids.next_id(), written.events.clone())",
        "            ..Commit::append(self.ids.next_id(), written.events.clone())",
    ),
    Mutant(
        "segments whose events are still to come are taken for left over",
        f"{COMPACTOR}/remove.rs",
        "let latest = self.clock.now() - MAX_STAGED - HOUR;",
        "let latest = self.clock.now() - (MAX_STAGED - MAX_STAGED) - (HOUR - HOUR);",
    ),
    Mutant(
        "a reader's own conditions go into the scan, in the order of their columns' sizes",
        f"{QUERY}/conditions.rs",
        "is_plain(&condition, schema.as_arrow()).then_some(condition)",
        "Some(condition).filter(|condition| is_plain(condition, schema.as_arrow()) || schema.fields().len() > 1)",
        ISOLATION,
        (UNCHECKED, (f"{QUERY}/scan.rs", "self.source(conditions.collect(), false)", "self.source(conditions.collect(), true)")),
    ),
    Mutant(
        "a condition that can fail goes into the scan",
        f"{QUERY}/conditions.rs",
        "is_plain(&condition, schema.as_arrow()).then_some(condition)",
        "Some(condition).filter(|condition| is_plain(condition, schema.as_arrow()) || schema.fields().len() > 1)",
        ISOLATION,
    ),
    Mutant(
        "the optimizer sees what is below a site filter",
        f"{QUERY}/site_filter.rs",
        "        Vec::new()\n",
        "        self.scan.iter().collect()\n",
        ISOLATION,
        (UNCHECKED, (f"{QUERY}/site_filter.rs", "if !children.is_empty() {", "if children.len() > 1 {")),
    ),
    Mutant(
        "a reader's condition on dates may fail on a day of others",
        f"{QUERY}/prune.rs",
        "SiteScope::Only(_) => on_days_or_failing(&dates, &statistics.dates, condition),",
        "SiteScope::Only(_) => {\n                    let _ = on_days_or_failing;\n"
        "                    on_days(&dates, &statistics.dates, condition)?\n                }",
        ISOLATION,
    ),
    Mutant(
        "files are read in the order of their sizes",
        f"{QUERY}/scan.rs",
        "(file.partition_date, file.written_at)",
        "file.size",
        ISOLATION,
    ),
    Mutant(
        "a file that begins and ends with known sites is one site's",
        f"{QUERY}/prune.rs",
        "} else if min == max && column.exact.is_valid(file) && column.exact.value(file) {",
        "} else if column.exact.is_valid(file) && column.exact.value(file) {",
        ISOLATION,
    ),
    Mutant(
        "the last site of a file is not in it",
        f"{QUERY}/prune.rs",
        "Bound::Included(max)",
        "Bound::Excluded(max)",
        ISOLATION,
    ),
    Mutant(
        "batches show where others' rows were",
        f"{QUERY}/regroup.rs",
        "BatchCoalescer::new(SchemaRef::clone(&schema), batch_size)",
        "BatchCoalescer::new(SchemaRef::clone(&schema), batch_size).with_biggest_coalesce_batch_size(Some(1))",
        BATCHES,
    ),
    Mutant(
        "times before a moment are of days before it",
        f"{QUERY}/derived_filters.rs",
        'col("event_date").lt_eq(date(last.div_euclid(DAY)))',
        'col("event_date").lt(date(last.div_euclid(DAY)))',
        DERIVED,
    ),
    Mutant(
        "a rounded maximum is taken for a value of the file",
        f"{QUERY}/statistics.rs",
        "Some(value) if known.is_exact => Precision::Exact(value),",
        "Some(value) if known.is_exact || known.null_count.is_some() => Precision::Exact(value),",
        PRUNING,
    ),
    Mutant(
        "files without a value are taken to have none of it",
        f"{QUERY}/prune.rs",
        "Some(Arc::clone(&column(self.spec, self.statistics, name.name())?.max))",
        "Some(Arc::clone(&column(self.spec, self.statistics, name.name())?.min))",
        PRUNING,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--target",
        type=Path,
        help="build folder that nothing else uses, since what is built there is broken (default: a temporary one)",
    )
    parser.add_argument("--seeds", type=int, default=400, help="histories for each mutant (default: 400)")
    parser.add_argument("--only", default="", help="only mistakes that match this pattern")
    parser.add_argument("--check", action="store_true", help="only check that each mistake fits the sources")
    args = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    for mutant in MUTANTS:
        mutated(mutant, root)
    if args.check:
        return
    with tempfile.TemporaryDirectory(prefix="footfall-mutants-") as temporary:
        sources = Path(temporary) / "sources"
        run(["git", "clone", "--quiet", "--no-hardlinks", str(root), str(sources)])
        target = args.target or Path(temporary) / "target"
        rows = []
        for mutant in [mutant for mutant in MUTANTS if re.search(args.only, mutant.mistake)]:
            began = time.monotonic()
            verdict = judge(mutant, sources, target, args.seeds)
            rows.append((mutant.mistake, verdict, f"{time.monotonic() - began:.0f} s"))
            print(f"{mutant.mistake}: {verdict}", file=sys.stderr)
    print(table(rows, ("mistake", "noticed by", "after")))
    if missed := [mistake for mistake, verdict, _ in rows if verdict == "nothing"]:
        raise SystemExit(f"error: nothing notices: {'; '.join(missed)}")


def judge(mutant: Mutant, sources: Path, target: Path, seeds: int) -> str:
    """What the mutant's test reports, or "nothing"."""
    sound = {path: path.read_text() for path in mutated(mutant, sources)}
    for path, text in mutated(mutant, sources).items():
        path.write_text(text)
    try:
        built = run_test(mutant.test, sources, target, seeds, "--no-run")
        if built.returncode != 0:
            raise SystemExit(f"error: with the mistake {mutant.mistake!r} it does not build:\n{built.stderr[-3000:]}")
        ran = run_test(mutant.test, sources, target, seeds)
    finally:
        for path, text in sound.items():
            path.write_text(text)
    if ran.returncode == 0:
        return "nothing"
    found = re.search(mutant.test.found, ran.stdout + ran.stderr)
    if not found:
        raise SystemExit(f"error: the test itself failed:\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}")
    return found[1] if found.groups() else found[0]


def mutated(mutant: Mutant, root: Path) -> dict[Path, str]:
    """The files with the mistake in them."""
    texts: dict[Path, str] = {}
    for file, old, new in mutant.edits():
        path = root / file
        text = texts.get(path) or path.read_text()
        if (times := text.count(old)) != 1:
            raise SystemExit(f"error: the code of the mistake {mutant.mistake!r} occurs {times} times in {file}")
        texts[path] = text.replace(old, new)
    return texts


def run_test(test: Test, sources: Path, target: Path, seeds: int, *flags: str) -> subprocess.CompletedProcess:
    env = os.environ | {"CARGO_TARGET_DIR": str(target), "SEEDS": str(seeds)}
    return subprocess.run(test.command(*flags), cwd=sources, env=env, capture_output=True, text=True)


def run(command: list[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
