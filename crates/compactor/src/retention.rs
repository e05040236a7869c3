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

/// Whose events of a day have reached the end of their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expired {
    Nobody,
    Everybody,
    Sites(ExpiredSites),
}

/// Some of the sites.
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
    /// Whose events of this day (since 1970) have reached the end of their time: the whole day has.
    pub fn expired(&self, event_date: i32, now: Micros) -> Expired {
        if is_over(event_date, self.keep, now) {
            return Expired::Everybody;
        }
        let over = self.sites.iter().filter(|(_, keep)| is_over(event_date, **keep, now));
        let sites: BTreeSet<String> = over.map(|(site, _)| site.clone()).collect();
        if sites.is_empty() {
            return Expired::Nobody;
        }
        Expired::Sites(ExpiredSites(sites))
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
    let (mut remove, mut retire, mut rewrite) = (Vec::new(), Vec::new(), Vec::new());
    for (event_date, files) in days {
        let states = files.iter().map(|file| FileState::of(file));
        match policy.expired(event_date, now) {
            Expired::Nobody => {}
            Expired::Everybody if is_over(event_date, policy.rollups, now) => remove.extend(states),
            Expired::Everybody => {
                let raw = states.filter(|file| file.stage != Stage::Retired);
                let (fresh, merged): (Vec<_>, Vec<_>) = raw.partition(|file| file.stage == Stage::Fresh);
                // Nothing can be built from a damaged file.
                let (lost, fresh): (Vec<_>, Vec<_>) = fresh.into_iter().partition(|file| damaged.contains(&file.path));
                remove.extend(lost);
                retire.extend(merged);
                rewrite.extend(fresh.chunks(MERGED).map(|files| merge(files.to_vec())));
            }
            Expired::Sites(sites) => {
                let digest = sites.digest();
                let due = files.iter().filter(|file| is_due(snapshot, file, &sites, &digest));
                let due = due.filter(|file| !damaged.contains(&file.path));
                rewrite.extend(due.map(|file| merge(vec![FileState::of(file)])));
            }
        }
    }
    let batches = |files: Vec<FileState>| files.chunks(BATCH).map(<[_]>::to_vec).collect::<Vec<_>>();
    let tasks = batches(remove).into_iter().map(RetentionTask::Remove);
    let tasks = tasks.chain(batches(retire).into_iter().map(RetentionTask::Retire));
    tasks.chain(rewrite.into_iter().map(RetentionTask::Rewrite)).collect()
}

/// Whether the file may have rows of these sites.
fn is_due(snapshot: &Snapshot, file: &DataFile, sites: &ExpiredSites, digest: &str) -> bool {
    if file
        .tags
        .iter()
        .any(|(name, value)| name == RETENTION && value == digest)
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
