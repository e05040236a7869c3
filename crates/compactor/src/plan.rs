//! What to merge next, and why. Pure: files and the time in, tasks out.
//!
//! Files of about the same size are merged once there are enough of them, so that each row is written again only as
//! often as its file grows to the next tier. A day that is over ends as files of the target size that do not overlap.

use std::collections::BTreeMap;
use std::fmt;

use footfall_model::clock::Micros;
use object_store::path::Path;

const MIB: u64 = 1_024 * 1_024;
const DAY: Micros = 86_400_000_000;

/// What the planner knows of a live file of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    pub path: Path,
    pub event_date: i32,
    pub rows: u64,
    pub bytes: u64,
    pub written_at: Micros,
    /// A merge of its whole day has written it: it overlaps no other file of that merge.
    pub is_final: bool,
}

/// How eagerly files are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What a file grows to.
    pub target_bytes: u64,
    /// Up to this a file is fresh.
    pub fresh_bytes: u64,
    /// Fresh files are merged when the oldest of them has this age…
    pub fresh_age: Micros,
    /// …or when there are so many.
    pub fresh_files: usize,
    /// So many files of one tier are merged; a file of the next tier is about so many times as large.
    pub fan_in: usize,
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
            fresh_bytes: 8 * MIB,
            fresh_age: 60_000_000,
            fresh_files: 64,
            fan_in: 8,
            max_inputs: 128,
            closed_after: 2 * 3_600_000_000,
            late_age: 6 * 3_600_000_000,
        }
    }
}

/// Why files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Small files of the last minute, or a backlog of them.
    Fresh,
    /// Enough files of about the same size.
    Tier,
    /// The day is over: from now on its files shall not overlap.
    ClosedDay,
    /// Late events of a day that was closed before.
    Late,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh files",
            Self::Tier => "enough files of one size",
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
    let mut tiers: BTreeMap<u32, Vec<&FileState>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.bytes < policy.target_bytes / 2) {
        tiers.entry(policy.tier(file.bytes)).or_default().push(file);
    }
    let mut tasks = Vec::new();
    for (tier, files) in tiers {
        for chunk in files.chunks(policy.max_inputs) {
            let enough = if tier == 0 {
                let age = chunk.first().map_or(0, |file| now.saturating_sub(file.written_at));
                chunk.len() >= policy.fresh_files || (chunk.len() >= policy.fan_in && age >= policy.fresh_age)
            } else {
                chunk.len() >= policy.fan_in
            };
            // A closed day with more files than one task may read is first made fewer.
            if enough || (closed && chunk.len() > 1) {
                let reason = if tier == 0 { Reason::Fresh } else { Reason::Tier };
                tasks.push(task(chunk, reason, false));
            }
        }
    }
    tasks
}

/// Why a day that is over must be written as a whole, if it must.
fn close(files: &[&FileState], policy: &Policy, now: Micros) -> Option<Reason> {
    let late: Vec<_> = files.iter().filter(|file| !file.is_final).collect();
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
    /// 0: fresh. Each further tier begins at `fan_in` times the size of the one before.
    fn tier(&self, bytes: u64) -> u32 {
        let fan_in = u64::try_from(self.fan_in.max(2)).unwrap_or(u64::MAX);
        match bytes / self.fresh_bytes.max(1) {
            0 => 0,
            times => times.ilog(fan_in) + 1,
        }
    }
}

#[cfg(test)]
mod tests;
