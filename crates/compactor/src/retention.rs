//! Retention: which events have reached the end of their time. Pure.
//!
//! Events go by whole days. A day that is over for every site is removed in one commit, without reading it. A day that is
//! over for some sites is rewritten file by file without their rows; the tag [`RETENTION`] says for which sites that was
//! done. Every merge drops such rows too, so that a file is read for it once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use footfall_lake::{DataFile, Snapshot, StatValue};
use footfall_model::clock::{DAY, Micros};
use footfall_model::table::SITE_COLUMN;
use xxhash_rust::xxh3::Xxh3;

use crate::{FileState, MergeReason, MergeTask, Stage};

/// The tag of a file with the digest of the sites whose rows were dropped from it.
pub(crate) const RETENTION: &str = "retention";

/// Files that one commit removes.
const BATCH: usize = 1_000;

/// How long events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Of sites without a time of their own.
    pub keep: Micros,
    /// Sites with a time of their own, shorter or longer.
    pub sites: BTreeMap<String, Micros>,
}

impl Default for RetentionPolicy {
    /// Everything is kept.
    fn default() -> Self {
        Self {
            keep: Micros::MAX,
            sites: BTreeMap::new(),
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
pub struct ExpiredSites {
    listed: BTreeSet<String>,
    /// Whether the listed sites are those that have expired, or those that have not.
    listed_expired: bool,
}

impl ExpiredSites {
    pub fn contains(&self, site: &str) -> bool {
        self.listed.contains(site) == self.listed_expired
    }

    /// Whether one of the sites may be between these, both included.
    fn may_be_in(&self, first: &str, last: &str) -> bool {
        if first == last {
            return self.contains(first);
        }
        // Between two sites there may be any other.
        !self.listed_expired
            || self
                .listed
                .iter()
                .any(|site| first <= site.as_str() && site.as_str() <= last)
    }

    /// The value of [`RETENTION`].
    pub(crate) fn digest(&self) -> String {
        let mut hash = Xxh3::new();
        hash.update(&[u8::from(self.listed_expired)]);
        for site in &self.listed {
            hash.update(site.as_bytes());
            hash.update(&[0]);
        }
        format!("{:016x}", hash.digest())
    }
}

impl RetentionPolicy {
    /// Whose events of this day (since 1970) have reached the end of their time: the whole day has.
    pub fn expired(&self, event_date: i32, now: Micros) -> Expired {
        let is_over = |keep: Micros| Micros::from(event_date) < now.saturating_sub(keep).div_euclid(DAY);
        let others = is_over(self.keep);
        let different = self.sites.iter().filter(|(_, keep)| is_over(**keep) != others);
        let listed: BTreeSet<String> = different.map(|(site, _)| site.clone()).collect();
        match (listed.is_empty(), others) {
            (true, false) => Expired::Nobody,
            (true, true) => Expired::Everybody,
            (false, others) => Expired::Sites(ExpiredSites {
                listed,
                listed_expired: !others,
            }),
        }
    }
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetentionTask {
    /// Files of days that are over for everybody are removed.
    RemoveDays(Vec<FileState>),
    /// A file is rewritten without the events of some sites.
    DropSites(MergeTask),
}

/// The tasks for these files; the oldest days first.
pub fn plan(snapshot: &Snapshot, policy: &RetentionPolicy, now: Micros) -> Vec<RetentionTask> {
    let mut days: BTreeMap<i32, Vec<&Arc<DataFile>>> = BTreeMap::new();
    for file in snapshot.files() {
        days.entry(file.partition_date).or_default().push(file);
    }
    let (mut whole, mut tasks) = (Vec::new(), Vec::new());
    for (event_date, files) in days {
        match policy.expired(event_date, now) {
            Expired::Nobody => {}
            Expired::Everybody => whole.extend(files.into_iter().map(|file| FileState::of(file))),
            Expired::Sites(sites) => {
                let digest = sites.digest();
                let due = files.into_iter().filter(|file| is_due(snapshot, file, &sites, &digest));
                tasks.extend(due.map(|file| RetentionTask::DropSites(rewrite(file))));
            }
        }
    }
    let removed = whole
        .chunks(BATCH)
        .map(|files| RetentionTask::RemoveDays(files.to_vec()));
    removed.chain(tasks).collect()
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

fn rewrite(file: &DataFile) -> MergeTask {
    let input = FileState::of(file);
    MergeTask {
        event_date: input.event_date,
        is_final: input.stage == Stage::Final,
        inputs: vec![input],
        reason: MergeReason::Retention,
    }
}

#[cfg(test)]
mod tests;
