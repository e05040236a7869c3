//! What must be true after every history, one function each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::events;
use super::evidence::Evidence;
use super::model::Known;
use crate::wal::Recovery;

/// An invariant that does not hold, and what was seen instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) invariant: &'static str,
    pub(super) seen: String,
}

impl Failure {
    pub(super) fn new(invariant: &'static str, seen: String) -> Self {
        Self { invariant, seen }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.seen)
    }
}

type Invariant = fn(&Evidence) -> Result<(), String>;

/// Every invariant by its name.
pub(super) const ALL: [(&str, Invariant); 9] = [
    ("every_version_is_whole", every_version_is_whole),
    (
        "the_newest_snapshot_is_all_versions",
        the_newest_snapshot_is_all_versions,
    ),
    ("positions_only_grow", positions_only_grow),
    ("every_acknowledged_event_is_there", every_acknowledged_event_is_there),
    ("no_event_is_there_twice", no_event_is_there_twice),
    (
        "nothing_is_there_that_was_not_taken_in",
        nothing_is_there_that_was_not_taken_in,
    ),
    ("the_lake_has_the_whole_log", the_lake_has_the_whole_log),
    ("strangers_keep_what_they_committed", strangers_keep_what_they_committed),
    ("nobody_saw_what_must_not_happen", nobody_saw_what_must_not_happen),
];

pub(super) fn check_all(evidence: &Evidence) -> Result<(), Failure> {
    ALL.iter()
        .try_for_each(|(name, holds)| holds(evidence).map_err(|seen| Failure::new(name, seen)))
}

/// Versions are gapless; the files that one adds are there, each once, with as many rows as it says.
pub(super) fn every_version_is_whole(evidence: &Evidence) -> Result<(), String> {
    let mut paths = BTreeSet::new();
    for (nth, version) in (0..).zip(&evidence.versions) {
        if version.number != nth {
            return Err(format!("version {nth} is missing"));
        }
        for added in &version.added {
            let found = added
                .found
                .as_ref()
                .map_err(|reason| format!("version {nth}: {}: {reason}", added.path))?;
            if found.len() as u64 != added.rows {
                return Err(format!(
                    "version {nth}: {} has {} rows, not {}",
                    added.path,
                    found.len(),
                    added.rows
                ));
            }
            if !paths.insert(&added.path) {
                return Err(format!("version {nth} adds {} a second time", added.path));
            }
        }
    }
    Ok(())
}

/// A reader that opens the table now sees the last version, with the files of all of them.
pub(super) fn the_newest_snapshot_is_all_versions(evidence: &Evidence) -> Result<(), String> {
    let added = evidence.versions.iter().flat_map(|version| &version.added);
    let all: BTreeMap<String, u64> = added.map(|added| (added.path.clone(), added.rows)).collect();
    let last = evidence.versions.last().map_or(0, |version| version.number);
    match evidence.snapshot == (last, all.clone()) {
        true => Ok(()),
        false => Err(format!("{:?} instead of {:?}", evidence.snapshot, (last, all))),
    }
}

/// Of each who writes with positions, every version has a greater one than those before.
pub(super) fn positions_only_grow(evidence: &Evidence) -> Result<(), String> {
    let mut reached = BTreeMap::new();
    for version in &evidence.versions {
        for (app_id, position) in &version.positions {
            let before = reached.insert(app_id, *position);
            if before.is_some_and(|before| before >= *position) {
                return Err(format!("version {}: {position} after {before:?}", version.number));
            }
        }
    }
    Ok(())
}

/// An event that was answered with a position is in the lake, unless a reader was told that its record is lost.
pub(super) fn every_acknowledged_event_is_there(evidence: &Evidence) -> Result<(), String> {
    let stored = stored(evidence);
    let missing = evidence
        .known
        .acknowledged
        .iter()
        .filter(|event| !stored.contains_key(event));
    let told = told_as_lost(&evidence.known);
    let missing: Vec<_> = missing.filter(|event| !told.contains(event)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("missing: {missing:?}")),
    }
}

fn told_as_lost(known: &Known) -> BTreeSet<u32> {
    let lost = known.lost.iter();
    let records = lost.flat_map(|(from, to)| known.positions.range(from..to));
    records.flat_map(|(_, events)| events.iter().copied()).collect()
}

/// Whatever was sent, and however often, is in the lake once at most.
pub(super) fn no_event_is_there_twice(evidence: &Evidence) -> Result<(), String> {
    let twice: Vec<_> = stored(evidence).into_iter().filter(|(_, count)| *count > 1).collect();
    match twice.is_empty() {
        true => Ok(()),
        false => Err(format!("(event, times): {twice:?}")),
    }
}

/// Every row is an event that may have come into the log, not one that was refused at the door, and is as it was sent.
pub(super) fn nothing_is_there_that_was_not_taken_in(evidence: &Evidence) -> Result<(), String> {
    for row in evidence.rows() {
        let number = events::number(&row.tracking_id, &row.event_id).ok_or_else(|| format!("{row:?}"))?;
        let known = &evidence.known;
        if !known.possible.contains(&number) && !known.strangers_possible.contains(&number) {
            return Err(format!("event {number} was never taken in"));
        }
        if events::event(number, 0).event_timestamp != row.event_timestamp {
            return Err(format!("event {number} is not what was sent: {row:?}"));
        }
    }
    Ok(())
}

/// After an orderly stop nothing of the log waits, and a fresh reader finds the position.
pub(super) fn the_lake_has_the_whole_log(evidence: &Evidence) -> Result<(), String> {
    let committed = evidence.committed.unwrap_or_default().cast_unsigned();
    match committed == evidence.last {
        true => Ok(()),
        false => Err(format!(
            "{} has come to {committed} of {}",
            evidence.app_id, evidence.last
        )),
    }
}

/// Who else commits to the table loses nothing by us.
pub(super) fn strangers_keep_what_they_committed(evidence: &Evidence) -> Result<(), String> {
    let stored = stored(evidence);
    let missing: Vec<_> = evidence
        .known
        .foreign_writers
        .iter()
        .filter(|event| !stored.contains_key(event))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("missing: {missing:?}")),
    }
}

/// No position was given twice, no object overwritten, no file listed twice, no foreign writer refused.
pub(super) fn nobody_saw_what_must_not_happen(evidence: &Evidence) -> Result<(), String> {
    let mut wrong = evidence.wrong.iter().chain(&evidence.known.wrong);
    wrong.next().map_or(Ok(()), |first| Err(first.clone()))
}

/// Whenever a log is opened: it reaches as far as it was acknowledged, and no crash is taken for damage.
pub(super) fn what_was_acknowledged_is_found_again(
    known: &Known,
    recovery: &Recovery,
    tampered: bool,
) -> Result<(), Failure> {
    let failed = |seen| Err(Failure::new("what_was_acknowledged_is_found_again", seen));
    let acknowledged = known.positions.last_key_value().map_or(0, |(last, _)| *last);
    if recovery.last < acknowledged && !tampered {
        return failed(format!(
            "the log ends at {}, {acknowledged} was acknowledged",
            recovery.last
        ));
    }
    match recovery.damaged.first() {
        Some(damage) if !tampered => failed(format!("a crash was taken for damage: {damage}")),
        _ => Ok(()),
    }
}

/// How often each event is in the lake.
fn stored(evidence: &Evidence) -> BTreeMap<u32, usize> {
    let mut stored = BTreeMap::new();
    let numbers = evidence
        .rows()
        .filter_map(|row| events::number(&row.tracking_id, &row.event_id));
    numbers.for_each(|number| *stored.entry(number).or_default() += 1);
    stored
}
