//! What must hold after every history, one function per invariant.

mod rows;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use footfall_lake::ColumnStatistics;

use super::events;
use super::model::Expected;
use super::outcome::{Added, Outcome, Row, Seen, Version, VersionKind};
use crate::wal::Recovery;
use rows::{id_of, rows_are_conserved};
use segments::{
    no_segment_is_left_over, segments_are_there_before_their_events, segments_go_after_their_events,
    views_count_every_event_once,
};

/// A violated invariant, and what was observed instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: &'static str,
    pub(super) seen: String,
}

impl Violation {
    pub(super) fn new(invariant: &'static str, seen: String) -> Self {
        Self { invariant, seen }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.seen)
    }
}

type Invariant = fn(&Outcome) -> Result<(), String>;

macro_rules! named {
    ($($invariant:ident,)*) => { &[$((stringify!($invariant), $invariant)),*] };
}

/// Every invariant with its name.
pub(super) const ALL: &[(&str, Invariant)] = named![
    every_version_is_whole,
    rows_are_conserved,
    snapshots_are_their_versions,
    statistics_are_true,
    positions_only_grow,
    fences_are_respected,
    every_acknowledged_event_is_there,
    no_event_is_there_twice,
    nothing_is_there_that_was_not_taken_in,
    the_lake_has_the_whole_log,
    foreign_rows_are_kept,
    segments_are_there_before_their_events,
    segments_go_after_their_events,
    views_count_every_event_once,
    no_segment_is_left_over,
    nobody_saw_what_must_not_happen,
];

pub(super) fn check_all(outcome: &Outcome) -> Result<(), Violation> {
    ALL.iter()
        .try_for_each(|(name, holds)| holds(outcome).map_err(|seen| Violation::new(name, seen)))
}

/// The files that are live at each version.
fn replay<'a>(
    outcome: &'a Outcome,
    mut at: impl FnMut(&'a Version, &Live<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut live = Live::new();
    for version in &outcome.versions {
        apply(version, &mut live);
        at(version, &live)?;
    }
    Ok(())
}

fn apply<'a>(version: &'a Version, live: &mut Live<'a>) {
    live.retain(|path, _| !version.removed.iter().any(|removed| removed == path));
    live.extend(version.added.iter().map(|added| (added.path.as_str(), added)));
}

/// Files by path.
type Live<'a> = BTreeMap<&'a str, &'a Added>;

/// Versions are gapless. The files that a version removes were live. Those that it adds can be read, have as many rows
/// as stated, and are new, unless another program has added a live file again.
pub(super) fn every_version_is_whole(outcome: &Outcome) -> Result<(), String> {
    let mut live = BTreeSet::new();
    let mut ever = BTreeSet::new();
    for (nth, version) in (0..).zip(&outcome.versions) {
        if version.number != nth {
            return Err(format!("version {nth} is missing"));
        }
        for path in &version.removed {
            if !live.remove(path) {
                return Err(format!("version {nth} removes {path}, which is not in the table"));
            }
        }
        for added in &version.added {
            let path = &added.path;
            let contents = added.contents.as_ref();
            let contents = contents.map_err(|reason| format!("version {nth}: {path}: {reason}"))?;
            let rows = contents.rows.len() as u64;
            if rows != added.rows {
                return Err(format!("version {nth}: {path} has {rows} rows, not {}", added.rows));
            }
            let again = outcome.expected.restatements.contains(&version.commit) && live.contains(path);
            if !ever.insert(path) && !again {
                return Err(format!("version {nth} adds {path} a second time"));
            }
            live.insert(path);
        }
    }
    Ok(())
}

/// A reader that opens the table now sees the last version, and one that followed it the version that it reports: with
/// exactly the files that are live there.
pub(super) fn snapshots_are_their_versions(outcome: &Outcome) -> Result<(), String> {
    let last = outcome.versions.last().map_or(0, |version| version.number);
    if outcome.newest.version != last {
        return Err(format!(
            "a fresh reader sees version {}, not {last}",
            outcome.newest.version
        ));
    }
    replay(outcome, |version, live| {
        for snapshot in snapshots(outcome).filter(|snapshot| snapshot.version == version.number) {
            let seen: BTreeSet<_> = snapshot.files.keys().map(String::as_str).collect();
            let there: BTreeSet<_> = live.keys().copied().collect();
            let differing: Vec<_> = seen.symmetric_difference(&there).collect();
            if !differing.is_empty() {
                return Err(format!("version {}: a reader differs in {differing:?}", version.number));
            }
        }
        Ok(())
    })
}

fn snapshots(outcome: &Outcome) -> impl Iterator<Item = &Seen> {
    outcome.followed.iter().chain([&outcome.newest])
}

/// A file's statistics enclose its values, and equal them where they are marked as exact.
pub(super) fn statistics_are_true(outcome: &Outcome) -> Result<(), String> {
    let added = outcome.versions.iter().flat_map(|version| &version.added);
    let contents: BTreeMap<_, _> = added
        .filter_map(|added| Some((&added.path, added.contents.as_ref().ok()?)))
        .collect();
    for (path, file) in snapshots(outcome).flat_map(|snapshot| &snapshot.files) {
        let Some(contents) = contents.get(path) else { continue };
        if file.rows.is_some_and(|rows| rows != contents.rows.len() as u64) {
            return Err(format!("{path} has {:?} rows", file.rows));
        }
        if file.statistics.len() != contents.statistics.len() {
            return Err(format!("{path} has no statistics"));
        }
        for (known, real) in file.statistics.iter().zip(&contents.statistics) {
            if !encloses(known, real) {
                return Err(format!("{path}: {known:?} is known of what is {real:?}"));
            }
        }
    }
    Ok(())
}

fn encloses(known: &ColumnStatistics, real: &ColumnStatistics) -> bool {
    let nulls = known.null_count.is_none() || known.null_count == real.null_count;
    let bounds = if known.is_exact {
        known.min == real.min && known.max == real.max
    } else {
        let low = known.min.is_none() || known.min <= real.min;
        low && (known.max.is_none() || known.max >= real.max)
    };
    nulls && bounds
}

/// Once a later lease epoch was seen, no commit is made under an earlier one.
pub(super) fn fences_are_respected(outcome: &Outcome) -> Result<(), String> {
    let mut last = i64::MIN;
    for version in &outcome.versions {
        let Some(epoch) = version.epoch else { continue };
        if epoch < last {
            return Err(format!("version {}: epoch {epoch} after {last}", version.number));
        }
        last = epoch;
    }
    Ok(())
}

/// For each application that writes with positions, every version has a greater one than those before.
pub(super) fn positions_only_grow(outcome: &Outcome) -> Result<(), String> {
    let mut reached = BTreeMap::new();
    for version in &outcome.versions {
        for (app_id, position) in &version.positions {
            let before = reached.insert(app_id, *position);
            if before.is_some_and(|before| before >= *position) {
                return Err(format!("version {}: {position} after {before:?}", version.number));
            }
        }
    }
    Ok(())
}

/// An event that was acknowledged with a position is in the lake, unless its record was reported as lost, or another
/// program has deleted it.
pub(super) fn every_acknowledged_event_is_there(outcome: &Outcome) -> Result<(), String> {
    let (stored, excused) = (stored(outcome), deleted(outcome));
    let lost = reported_lost(&outcome.expected);
    let acknowledged = outcome.expected.acknowledged.iter();
    let missing = acknowledged.filter(|event| !stored.contains(event) && !excused.contains(event));
    let missing: Vec<_> = missing.filter(|event| !lost.contains(event)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("missing: {missing:?}")),
    }
}

/// Events that another program has deleted, or whose time was over. They may be in the lake again if they were sent again.
fn deleted(outcome: &Outcome) -> BTreeSet<u32> {
    let deletions = outcome
        .versions
        .iter()
        .filter(|version| version.kind == VersionKind::Delete);
    let removed: BTreeSet<_> = deletions.flat_map(|version| &version.removed).collect();
    let added = outcome.versions.iter().flat_map(|version| &version.added);
    added
        .filter(|added| removed.contains(&added.path))
        .flat_map(Added::rows)
        .filter_map(number)
        .collect()
}

fn number(row: &Row) -> Option<u32> {
    events::number(&row.tracking_id, &row.event_id)
}

fn reported_lost(expected: &Expected) -> BTreeSet<u32> {
    let lost = expected.lost.iter();
    let records = lost.flat_map(|(from, to)| expected.positions.range(from..to));
    records.flat_map(|(_, events)| events.iter().copied()).collect()
}

/// Whatever was sent, and however often, is in the lake at most once, at every version.
pub(super) fn no_event_is_there_twice(outcome: &Outcome) -> Result<(), String> {
    replay(outcome, |version, live| {
        let mut seen = BTreeSet::new();
        let mut rows = live.values().flat_map(|added| added.rows());
        match rows.find(|row| !seen.insert(id_of(row))) {
            None => Ok(()),
            Some(row) => Err(format!("version {}: event {:?}", version.number, number(row))),
        }
    })
}

/// Every row is an event that may have been stored in the WAL, not one that was refused, and is as it was sent.
pub(super) fn nothing_is_there_that_was_not_taken_in(outcome: &Outcome) -> Result<(), String> {
    for row in outcome
        .versions
        .iter()
        .flat_map(|version| &version.added)
        .flat_map(Added::rows)
    {
        let number = number(row).ok_or_else(|| format!("{row:?}"))?;
        let expected = &outcome.expected;
        if !expected.possible.contains(&number) && !expected.foreign_possible.contains(&number) {
            return Err(format!("event {number} was never taken in"));
        }
        if events::event(number, 0).event_timestamp != row.event_timestamp {
            return Err(format!("event {number} is not what was sent: {row:?}"));
        }
    }
    Ok(())
}

/// After an orderly shutdown the lake has the whole WAL, and a fresh reader finds the position.
pub(super) fn the_lake_has_the_whole_log(outcome: &Outcome) -> Result<(), String> {
    let committed = outcome.committed.unwrap_or_default().cast_unsigned();
    match committed == outcome.last {
        true => Ok(()),
        false => Err(format!(
            "{} has come to {committed} of {}",
            outcome.app_id, outcome.last
        )),
    }
}

/// Other programs that commit to the table lose nothing through us.
pub(super) fn foreign_rows_are_kept(outcome: &Outcome) -> Result<(), String> {
    let (stored, deleted) = (stored(outcome), deleted(outcome));
    let committed = outcome.expected.foreign_committed.iter();
    let missing: Vec<_> = committed
        .filter(|event| !stored.contains(event) && !deleted.contains(event))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("missing: {missing:?}")),
    }
}

/// No position was assigned twice, no object overwritten, no file listed twice, no foreign writer refused.
pub(super) fn nobody_saw_what_must_not_happen(outcome: &Outcome) -> Result<(), String> {
    let mut violations = outcome.violations.iter().chain(&outcome.expected.violations);
    violations.next().map_or(Ok(()), |first| Err(first.clone()))
}

/// Whenever a WAL is opened: it reaches as far as it was acknowledged, and no crash is taken for damage.
pub(super) fn what_was_acknowledged_is_found_again(
    expected: &Expected,
    recovery: &Recovery,
    tampered: bool,
) -> Result<(), Violation> {
    let failed = |seen| Err(Violation::new("what_was_acknowledged_is_found_again", seen));
    let acknowledged = expected.positions.last_key_value().map_or(0, |(last, _)| *last);
    if recovery.last < acknowledged && !tampered {
        return failed(format!(
            "the WAL ends at {}, {acknowledged} was acknowledged",
            recovery.last
        ));
    }
    match recovery.damaged.first() {
        Some(damage) if !tampered => failed(format!("a crash was taken for damage: {damage}")),
        _ => Ok(()),
    }
}

/// The events of the newest version.
fn stored(outcome: &Outcome) -> BTreeSet<u32> {
    let mut stored = BTreeSet::new();
    let _ = replay(outcome, |version, live| {
        if version.number == outcome.versions.len() as u64 - 1 {
            stored = live
                .values()
                .flat_map(|added| added.rows())
                .filter_map(number)
                .collect();
        }
        Ok(())
    });
    stored
}
