//! What to merge next, and why. Pure: files and the time in, tasks out.
//!
//! ```text
//! flushed (fresh) --a minute's--> small --64 of them--> medium --128 of them--> target --the day is over--> final
//! ```
//!
//! Fresh files have no segments, so queries read them raw: they are merged soon. The others are merged once there are
//! enough of about the same size, so that a row is written at most four times. A day that is over ends as files of the
//! target size that do not overlap.

use std::collections::BTreeMap;
use std::fmt;

use footfall_model::clock::{DAY, Micros};
use object_store::path::Path;

const MIB: u64 = 1_024 * 1_024;

/// What the planner knows of a live file of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    pub path: Path,
    pub event_date: i32,
    pub rows: u64,
    pub bytes: u64,
    pub written_at: Micros,
    /// What has written it.
    pub stage: Stage,
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Flushed or imported: no segments.
    Fresh,
    /// Written by a merge.
    Merged,
    /// Written by a merge of its whole day: it overlaps no other file of that merge.
    Final,
}

/// How eagerly files are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What a file grows to.
    pub target_bytes: u64,
    /// Fresh files are merged when the oldest of them has this age and they have [`Policy::fresh_bytes`]…
    pub fresh_age: Micros,
    pub fresh_bytes: u64,
    /// …or when there are so many.
    pub fresh_files: usize,
    /// So many small files are merged: those below [`Policy::small_bytes`].
    pub small_files: usize,
    pub small_bytes: u64,
    /// So many medium files are merged: those between small ones and a quarter of the target.
    pub medium_files: usize,
    /// A task reads at most so many files.
    pub max_inputs: usize,
    /// A day counts as over so long after its end: most late events are there by then.
    pub closed_after: Micros,
    /// Late events wait so long for others before a closed day is written again.
    pub late_age: Micros,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            target_bytes: 384 * MIB,
            fresh_age: 60_000_000,
            fresh_bytes: MIB,
            fresh_files: 128,
            small_files: 64,
            small_bytes: 8 * MIB,
            medium_files: 128,
            max_inputs: 256,
            closed_after: 2 * 3_600_000_000,
            late_age: 6 * 3_600_000_000,
        }
    }
}

/// Why files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Files without segments, of the last minute or a backlog.
    Fresh,
    /// Enough small files.
    Small,
    /// Enough medium files.
    Medium,
    /// The day is over: from now on its files shall not overlap.
    ClosedDay,
    /// Late events of a day that was closed before.
    Late,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh files",
            Self::Small => "enough small files",
            Self::Medium => "enough medium files",
            Self::ClosedDay => "the day is over",
            Self::Late => "late events of a closed day",
        })
    }
}

/// Files of one day to be merged into fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub event_date: i32,
    /// The oldest first: of two events with one id the first stays.
    pub inputs: Vec<FileState>,
    pub reason: Reason,
    /// The outputs are the whole day.
    pub is_final: bool,
}

impl Task {
    pub fn rows(&self) -> u64 {
        self.inputs.iter().map(|file| file.rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|file| file.bytes).sum()
    }
}

/// The tasks that `files`, none of which is being merged already, call for; the most urgent first. No file is in two of
/// them.
pub fn plan(files: &[FileState], policy: &Policy, now: Micros) -> Vec<Task> {
    let mut days: BTreeMap<i32, Vec<&FileState>> = BTreeMap::new();
    for file in files {
        days.entry(file.event_date).or_default().push(file);
    }
    let mut tasks: Vec<_> = days
        .into_iter()
        .flat_map(|(date, files)| plan_day(date, files, policy, now))
        .collect();
    // Fresh files first, since queries read them raw; of those the oldest backlog.
    tasks.sort_by_key(|task| (task.reason, task.inputs.first().map(|file| file.written_at)));
    tasks
}

fn plan_day(event_date: i32, mut files: Vec<&FileState>, policy: &Policy, now: Micros) -> Vec<Task> {
    files.sort_by(|a, b| (a.written_at, &a.path).cmp(&(b.written_at, &b.path)));
    let task = |inputs: &[&FileState], reason, is_final| Task {
        event_date,
        inputs: inputs.iter().map(|file| (*file).clone()).collect(),
        reason,
        is_final,
    };
    let closed = now >= (Micros::from(event_date) + 1) * DAY + policy.closed_after;
    if let Some(reason) = closed.then(|| close(&files, policy, now)).flatten()
        && files.len() <= policy.max_inputs
    {
        return vec![task(&files, reason, true)];
    }
    let (count, mut tasks) = (files.len(), Vec::new());
    for (reason, files) in policy.tiers(files) {
        for chunk in files.chunks(policy.max_inputs) {
            // A closed day with more files than one task may read is first made fewer.
            let too_many = closed && count > policy.max_inputs && chunk.len() > 1;
            if too_many || policy.is_due(reason, chunk, closed, now) {
                tasks.push(task(chunk, reason, false));
            }
        }
    }
    tasks
}

/// Why a day that is over must be written as a whole, if it must.
fn close(files: &[&FileState], policy: &Policy, now: Micros) -> Option<Reason> {
    let late: Vec<_> = files.iter().filter(|file| file.stage != Stage::Final).collect();
    let oldest = late.iter().map(|file| file.written_at).min()?;
    if late.len() == files.len() {
        // One file overlaps nothing.
        return (files.len() > 1).then_some(Reason::ClosedDay);
    }
    let bytes = |files: &mut dyn Iterator<Item = &&FileState>| files.map(|file| file.bytes).sum::<u64>();
    let many = bytes(&mut late.iter().copied()) * 10 >= bytes(&mut files.iter());
    (many || now.saturating_sub(oldest) >= policy.late_age).then_some(Reason::Late)
}

impl Policy {
    /// The files that may be merged, by what for.
    fn tiers<'a>(&self, files: Vec<&'a FileState>) -> BTreeMap<Reason, Vec<&'a FileState>> {
        let mut tiers: BTreeMap<Reason, Vec<&FileState>> = BTreeMap::new();
        for file in files {
            let reason = match file.stage {
                Stage::Final => continue,
                Stage::Fresh => Reason::Fresh,
                Stage::Merged if file.bytes < self.small_bytes => Reason::Small,
                Stage::Merged if file.bytes < self.target_bytes / 4 => Reason::Medium,
                Stage::Merged => continue,
            };
            tiers.entry(reason).or_default().push(file);
        }
        tiers
    }

    /// Whether files of one tier, the oldest first, are enough or old enough. Those of a closed day wait for others.
    fn is_due(&self, reason: Reason, files: &[&FileState], closed: bool, now: Micros) -> bool {
        match reason {
            Reason::Small => files.len() >= self.small_files,
            Reason::Medium => files.len() >= self.medium_files,
            _ => {
                let age = files.first().map_or(0, |file| now.saturating_sub(file.written_at));
                let bytes: u64 = files.iter().map(|file| file.bytes).sum();
                files.len() >= self.fresh_files || (!closed && age >= self.fresh_age && bytes >= self.fresh_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests;
