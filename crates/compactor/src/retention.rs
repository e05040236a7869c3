//! Retention: which events have reached the end of their time. Pure.
//!
//! Events go by whole days, and their rollups may stay:
//!
//! ```text
//! raw --over for some sites--> rewritten without their rows, segments too
//!     --over for all---------> retired: an empty file of the same name, for which the segments of rollups stand
//!                                 --rollups are over too--> removed, with the segments
//! ```
//!
//! One commit replaces a file of events by the empty one of the same name. So the rule of every view holds before and
//! after, for whatever versions are pinned: a segment is read if a file of events bears its name. Nothing is
//! counted twice or missing in between, and there is no order of crashes to think of.
//!
//! The tag [`RETENTION`] says for which sites a file was rewritten; every merge drops such rows too, so that a file is
//! read for it once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use footfall_lake::{DataFile, Snapshot, StatValue};
use footfall_model::clock::{DAY, Micros};
use footfall_model::table::SITE_COLUMN;
use object_store::path::Path;
use xxhash_rust::xxh3::Xxh3;

use crate::{FileState, MergeReason, MergeTask, Stage};

/// The tag of a file with the digest of the sites whose rows were dropped from it.
pub(crate) const RETENTION: &str = "retention";

/// Files that one commit removes.
const BATCH: usize = 1_000;

/// Fresh files that are merged at once before they are retired.
const MERGED: usize = 256;

/// How long events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Of sites without a time of their own.
    pub keep: Micros,
    /// Sites with a shorter time of their own, which holds for their rollups too. A longer one has no effect.
    pub sites: BTreeMap<String, Micros>,
    /// How long rollups are kept, if that is longer.
    pub rollups: Micros,
}

impl Default for RetentionPolicy {
    /// Everything is kept.
    fn default() -> Self {
        Self {
            keep: Micros::MAX,
            sites: BTreeMap::new(),
            rollups: Micros::MAX,
        }
    }
}

/// Sites whose own time is over for a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredSites(BTreeSet<String>);

impl ExpiredSites {
    pub fn contains(&self, site: &str) -> bool {
        self.0.contains(site)
    }

    /// Whether one of the sites may be between these, both included.
    fn may_be_in(&self, first: &str, last: &str) -> bool {
        self.0
            .iter()
            .any(|site| first <= site.as_str() && site.as_str() <= last)
    }

    /// The value of [`RETENTION`].
    pub(crate) fn digest(&self) -> String {
        let mut hash = Xxh3::new();
        for site in &self.0 {
            hash.update(site.as_bytes());
            hash.update(&[0]);
        }
        format!("{:016x}", hash.digest())
    }
}

impl RetentionPolicy {
    /// The sites whose own time is over for this day (since 1970): the whole day is older.
    pub fn expired_sites(&self, event_date: i32, now: Micros) -> Option<ExpiredSites> {
        let over = self.sites.iter().filter(|(_, keep)| is_over(event_date, **keep, now));
        let sites: BTreeSet<String> = over.map(|(site, _)| site.clone()).collect();
        (!sites.is_empty()).then_some(ExpiredSites(sites))
    }
}

fn is_over(event_date: i32, keep: Micros, now: Micros) -> bool {
    Micros::from(event_date) < now.saturating_sub(keep).div_euclid(DAY)
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetentionTask {
    /// Events of days that are over for everybody go, their rollups stay.
    Retire(Vec<FileState>),
    /// Files go, with their rollups.
    Remove(Vec<FileState>),
    /// Files are rewritten: without the events of some sites, or to have segments before they are retired.
    Rewrite(MergeTask),
}

/// The tasks for these files; `damaged` can't be read. The oldest days first.
pub fn plan(snapshot: &Snapshot, damaged: &[Path], policy: &RetentionPolicy, now: Micros) -> Vec<RetentionTask> {
    let mut days: BTreeMap<i32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in snapshot.files() {
        days.entry(file.partition_date).or_default().push(file);
    }
    let mut planned = Planned::default();
    for (event_date, files) in days {
        let is_over = |keep| is_over(event_date, keep, now);
        if is_over(policy.keep) && is_over(policy.rollups) {
            planned.remove.extend(files.iter().map(|file| FileState::of(file)));
            continue;
        }
        let sites = policy.expired_sites(event_date, now);
        let (due, others): (Vec<_>, Vec<_>) = files
            .into_iter()
            .filter(|file| FileState::of(file).stage != Stage::Retired)
            .partition(|file| sites.as_ref().is_some_and(|sites| is_due(snapshot, file, sites)));
        let others = others.into_iter().map(|file| FileState::of(file));
        let readable = due.into_iter().filter(|file| !damaged.contains(&file.path));
        let rewrites = readable.map(|file| merge(vec![FileState::of(file)]));
        planned.rewrite.extend(rewrites);
        if is_over(policy.keep) {
            planned.retire(others, damaged);
        }
    }
    planned.into_tasks()
}

#[derive(Default)]
struct Planned {
    remove: Vec<FileState>,
    retire: Vec<FileState>,
    rewrite: Vec<MergeTask>,
}

impl Planned {
    /// Files of a day that is over for everybody.
    fn retire(&mut self, files: impl Iterator<Item = FileState>, damaged: &[Path]) {
        let (fresh, merged): (Vec<_>, Vec<_>) = files.partition(|file| file.stage == Stage::Fresh);
        // Nothing can be built from a damaged file.
        let (lost, fresh): (Vec<_>, Vec<_>) = fresh.into_iter().partition(|file| damaged.contains(&file.path));
        self.remove.extend(lost);
        self.retire.extend(merged);
        self.rewrite
            .extend(fresh.chunks(MERGED).map(|files| merge(files.to_vec())));
    }

    fn into_tasks(self) -> Vec<RetentionTask> {
        let batches = |files: Vec<FileState>| files.chunks(BATCH).map(<[_]>::to_vec).collect::<Vec<_>>();
        let remove = batches(self.remove).into_iter().map(RetentionTask::Remove);
        let retire = batches(self.retire).into_iter().map(RetentionTask::Retire);
        let rewrite = self.rewrite.into_iter().map(RetentionTask::Rewrite);
        remove.chain(retire).chain(rewrite).collect()
    }
}

/// Whether the file may have rows of these sites.
fn is_due(snapshot: &Snapshot, file: &DataFile, sites: &ExpiredSites) -> bool {
    let digest = sites.digest();
    if file
        .tags
        .iter()
        .any(|(name, value)| name == RETENTION && *value == digest)
    {
        return false;
    }
    let bounds = file.column(snapshot.spec(), SITE_COLUMN);
    match bounds.map(|bounds| (&bounds.min, &bounds.max)) {
        Some((Some(StatValue::Utf8(first)), Some(StatValue::Utf8(last)))) => sites.may_be_in(first, last),
        _ => true,
    }
}

fn merge(inputs: Vec<FileState>) -> MergeTask {
    MergeTask {
        event_date: inputs.first().map_or(0, |file| file.event_date),
        is_final: inputs.iter().all(|file| file.stage == Stage::Final),
        inputs,
        reason: MergeReason::Retention,
    }
}

#[cfg(test)]
mod tests;
