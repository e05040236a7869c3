//! What to merge next, and why. Pure: files and the time in, tasks out.
//!
//! ```text
//! flushed (fresh) --a minute's--> small --64 of them--> medium --128 of them--> target --the day is over--> final
//! ```
//!
//! Fresh files have no segments, so queries read them raw: they are merged soon. The others are merged once there are
//! enough of about the same size, so that a row is written at most four times. A day that is over ends as files of the
//! target size that do not overlap.

mod runs;

use std::collections::BTreeMap;
use std::fmt;

use footfall_lake::{DataFile, Origin, StatValue};
use footfall_model::clock::{DAY, Micros};
use footfall_model::table::events;
use object_store::path::Path;

use crate::{STAGE, STAGE_FINAL, STAGE_MERGED, STAGE_RETIRED};
pub(crate) use runs::runs;
use runs::{Batch, batches};

const MIB: u64 = 1_024 * 1_024;

/// What the planner knows of a live file of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    pub path: Path,
    pub event_date: i32,
    pub rows: u64,
    pub bytes: u64,
    pub written_at: Micros,
    /// What wrote it.
    pub stage: Stage,
    /// When its rows were imported; `None` if not all of them were.
    pub imported_at: Option<Micros>,
}

/// How far a file has been compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Flushed or imported: it has no segments.
    Fresh,
    /// Written by a merge.
    Merged,
    /// Written by a merge of its whole day: it does not overlap the other files of that merge.
    Final,
    /// Empty: the events are gone, and the segments of the same name stand alone.
    Retired,
}

impl FileState {
    /// Its name without the extension.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.filename().unwrap_or_default();
        name.strip_suffix(".parquet").unwrap_or(name)
    }

    /// A live file. Foreign ones count as fresh: what is in them is not known to be covered.
    pub fn of(file: &DataFile) -> Self {
        let tag = file.tags.iter().find(|(name, _)| name == STAGE);
        let stage = match (file.origin, tag.map(|(_, value)| value.as_str())) {
            (Origin::Compaction, Some(STAGE_RETIRED)) => Stage::Retired,
            (Origin::Compaction | Origin::Import, Some(STAGE_FINAL)) => Stage::Final,
            (Origin::Compaction, _) | (Origin::Import, Some(STAGE_MERGED)) => Stage::Merged,
            (Origin::Wal | Origin::Import | Origin::Foreign, _) => Stage::Fresh,
        };
        let received = file
            .column(events(), "created_at")
            .and_then(|received| received.max.as_ref());
        let newest = match received {
            Some(StatValue::Timestamp(newest)) => *newest,
            _ => file.written_at,
        };
        Self {
            path: file.path.clone(),
            event_date: file.partition_date,
            rows: file.rows.unwrap_or_default(),
            bytes: file.size,
            written_at: file.written_at,
            stage,
            imported_at: (file.origin == Origin::Import).then_some(newest),
        }
    }

    /// Whether the writer would take its rows for recently received ones, were they merged with others. It remembers a
    /// limited number of ids, and at its start it reads them from the files that are not imports.
    fn is_recent_import(&self, policy: &Policy, now: Micros) -> bool {
        self.imported_at
            .is_some_and(|at| now.saturating_sub(at) <= policy.dedupe_window)
    }
}

/// When files are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The size up to which files are merged.
    pub target_bytes: u64,
    /// Fresh files are merged when the oldest has this age and they have [`Policy::fresh_bytes`]…
    pub fresh_age: Micros,
    pub fresh_bytes: u64,
    /// …or when there are this many.
    pub fresh_files: usize,
    /// Number of small files that are merged at once: those below [`Policy::small_bytes`].
    pub small_files: usize,
    pub small_bytes: u64,
    /// Number of medium files that are merged at once: those between small and a quarter of the target.
    pub medium_files: usize,
    /// Maximum number of runs of files that a task reads at once (see [`runs`]).
    pub max_inputs: usize,
    /// Maximum of the row groups that it holds for this, as they are stored.
    pub input_bytes: u64,
    /// How long after its end a day counts as over: most late events have arrived by then.
    pub closed_after: Micros,
    /// How long late events wait for others before a closed day is rewritten.
    pub late_age: Micros,
    /// How long the writer remembers ids: until then, imported files are merged only with one another.
    pub dedupe_window: Micros,
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
            input_bytes: 512 * MIB,
            closed_after: 2 * 3_600_000_000,
            late_age: 6 * 3_600_000_000,
            dedupe_window: 6 * 3_600_000_000,
        }
    }
}

/// Why files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MergeReason {
    /// Files without segments: of the last minute, or a backlog.
    Fresh,
    /// Enough small files.
    Small,
    /// Enough medium files.
    Medium,
    /// The day is over: from now on its files must not overlap.
    ClosedDay,
    /// Late events of a day that was closed before.
    Late,
    /// A user asked for it.
    Requested,
    /// Rows of sites whose retention is over are dropped.
    Retention,
}

impl MergeReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh files",
            Self::Small => "enough small files",
            Self::Medium => "enough medium files",
            Self::ClosedDay => "the day is over",
            Self::Late => "late events of a closed day",
            Self::Requested => "requested",
            Self::Retention => "retention of some sites",
        }
    }
}

impl fmt::Display for MergeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Files of one day to be merged into fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeTask {
    pub event_date: i32,
    /// Oldest first: of two events with one id, the first one stays.
    pub inputs: Vec<FileState>,
    pub reason: MergeReason,
    /// Whether the outputs are the whole day.
    pub is_final: bool,
}

impl MergeTask {
    fn new(event_date: i32, inputs: &[&FileState], reason: MergeReason, is_final: bool) -> Self {
        Self {
            event_date,
            inputs: inputs.iter().map(|file| (*file).clone()).collect(),
            reason,
            is_final,
        }
    }

    pub fn rows(&self) -> u64 {
        self.inputs.iter().map(|file| file.rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|file| file.bytes).sum()
    }
}

/// The tasks for `files`, none of which is being merged already; the most urgent first. No file is in two tasks.
pub(crate) fn plan(files: &[FileState], policy: &Policy, now: Micros) -> Vec<MergeTask> {
    let mut days: BTreeMap<i32, Vec<&FileState>> = BTreeMap::new();
    for file in files {
        days.entry(file.event_date).or_default().push(file);
    }
    let mut tasks: Vec<_> = days
        .into_iter()
        .flat_map(|(date, files)| plan_day(date, files, policy, now))
        .collect();
    // Fresh files first, since queries read them raw; among those, the oldest backlog first.
    tasks.sort_by_key(|task| (task.reason, task.inputs.first().map(|file| file.written_at)));
    tasks
}

/// The tasks for one day whose merge a user asks for, due or not. Files of the target size stay as they are.
pub(crate) fn plan_requested(files: &[FileState], event_date: i32, policy: &Policy, now: Micros) -> Vec<MergeTask> {
    let of_day = |file: &&FileState| file.event_date == event_date;
    let files: Vec<&FileState> = files.iter().filter(of_day).collect();
    let groups = mergeable(files, policy, now);
    let tasks = groups.into_iter().flat_map(|files| request(files, event_date, policy));
    tasks.collect()
}

fn request(mut files: Vec<&FileState>, event_date: i32, policy: &Policy) -> Vec<MergeTask> {
    if files.iter().all(|file| file.stage == Stage::Final) || matches!(files[..], [file] if file.stage == Stage::Merged)
    {
        return Vec::new();
    }
    files.sort_by(|a, b| (a.written_at, &a.path).cmp(&(b.written_at, &b.path)));
    if batches(&files, policy).len() > 1 {
        files.retain(|file| file.stage == Stage::Fresh || file.bytes < policy.target_bytes);
    }
    batches(&files, policy)
        .into_iter()
        .filter(|batch| batch.files.len() > 1 || batch.files.iter().any(|file| file.stage == Stage::Fresh))
        .map(|batch| MergeTask::new(event_date, &batch.files, MergeReason::Requested, false))
        .collect()
}

/// The files of a day in groups that may be merged: all, or recent imports and the others.
fn mergeable<'a>(files: Vec<&'a FileState>, policy: &Policy, now: Micros) -> Vec<Vec<&'a FileState>> {
    let is_recent = |file: &&FileState| file.is_recent_import(policy, now);
    let (imports, others): (Vec<_>, Vec<_>) = files.into_iter().partition(is_recent);
    [imports, others]
        .into_iter()
        .filter(|group| !group.is_empty())
        .collect()
}

fn plan_day(event_date: i32, files: Vec<&FileState>, policy: &Policy, now: Micros) -> Vec<MergeTask> {
    let groups = mergeable(files, policy, now);
    // A day ends as one group.
    let closed = groups.len() == 1 && now >= (Micros::from(event_date) + 1) * DAY + policy.closed_after;
    let tasks = groups
        .into_iter()
        .flat_map(|files| plan_group(event_date, files, policy, closed, now));
    tasks.collect()
}

fn plan_group(
    event_date: i32,
    mut files: Vec<&FileState>,
    policy: &Policy,
    closed: bool,
    now: Micros,
) -> Vec<MergeTask> {
    files.sort_by(|a, b| (a.written_at, &a.path).cmp(&(b.written_at, &b.path)));
    let reason = closed.then(|| close(&files, policy, now)).flatten();
    let all = batches(&files, policy);
    // A closed day with more files than one task may read is first reduced to fewer runs.
    let too_many = closed && all.len() > 1;
    if let Some(reason) = reason.filter(|_| !too_many) {
        return vec![MergeTask::new(event_date, &files, reason, true)];
    }
    let mut tasks = Vec::new();
    for (reason, files) in policy.tiers(&files) {
        for batch in batches(&files, policy) {
            if (too_many && batch.runs > 1) || policy.is_due(reason, &batch, closed, now) {
                tasks.push(MergeTask::new(event_date, &batch.files, reason, false));
            }
        }
    }
    if let Some(reason) = reason.filter(|_| tasks.is_empty()) {
        let several = all.iter().filter(|batch| batch.runs > 1);
        tasks.extend(several.map(|batch| MergeTask::new(event_date, &batch.files, reason, false)));
    }
    tasks
}

/// Why a day that is over must be rewritten as a whole; `None` if it need not be.
fn close(files: &[&FileState], policy: &Policy, now: Micros) -> Option<MergeReason> {
    let late: Vec<_> = files.iter().filter(|file| file.stage != Stage::Final).collect();
    let oldest = late.iter().map(|file| file.written_at).min()?;
    if late.len() == files.len() {
        // A single file overlaps nothing, but a fresh one has no segments; a tiny one is cheaper to read raw.
        let lacks_segments = |file: &&FileState| file.stage == Stage::Fresh && file.bytes >= policy.fresh_bytes;
        let merge = files.len() > 1 || files.iter().any(lacks_segments);
        return merge.then_some(MergeReason::ClosedDay);
    }
    let bytes = |files: &mut dyn Iterator<Item = &&FileState>| files.map(|file| file.bytes).sum::<u64>();
    let many = bytes(&mut late.iter().copied()) * 10 >= bytes(&mut files.iter());
    (many || now.saturating_sub(oldest) >= policy.late_age).then_some(MergeReason::Late)
}

impl Policy {
    /// The files that may be merged, by reason.
    fn tiers<'a>(&self, files: &[&'a FileState]) -> BTreeMap<MergeReason, Vec<&'a FileState>> {
        let mut tiers: BTreeMap<MergeReason, Vec<&FileState>> = BTreeMap::new();
        for file in files.iter().copied() {
            let reason = match file.stage {
                Stage::Final | Stage::Retired => continue,
                Stage::Fresh => MergeReason::Fresh,
                Stage::Merged if file.bytes < self.small_bytes => MergeReason::Small,
                Stage::Merged if file.bytes < self.target_bytes / 4 => MergeReason::Medium,
                Stage::Merged => continue,
            };
            tiers.entry(reason).or_default().push(file);
        }
        tiers
    }

    /// Whether the files of one tier, oldest first, are enough or old enough. Those of a closed day wait for others.
    fn is_due(&self, reason: MergeReason, batch: &Batch<'_>, closed: bool, now: Micros) -> bool {
        let files = &batch.files;
        match reason {
            MergeReason::Small => files.len() >= self.small_files || batch.is_full,
            MergeReason::Medium => files.len() >= self.medium_files || batch.is_full,
            _ => {
                let age = files.first().map_or(0, |file| now.saturating_sub(file.written_at));
                let bytes: u64 = files.iter().map(|file| file.bytes).sum();
                files.len() >= self.fresh_files
                    || batch.is_full
                    || (!closed && age >= self.fresh_age && bytes >= self.fresh_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests;
