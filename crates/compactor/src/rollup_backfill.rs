//! Which files of events lack segments of configured rollups, since these were made after them. Pure.
//!
//! Until a file has its segment, the rollup's view reads it raw.

use std::collections::HashSet;

use footfall_lake::{RollupTable, Snapshot, covered_name};
use footfall_model::clock::Micros;

use crate::FileState;
use crate::backfill::may_get_segments;

/// Segments of rollups that a file of events lacks: it is read once for all of them.
#[derive(Debug, Clone)]
pub struct RollupTask {
    pub file: FileState,
    pub rollups: Vec<RollupTable>,
}

/// The tasks for `files`, the newest day first. `segments` are those of each rollup.
pub(crate) fn plan_rollups(
    files: Vec<FileState>,
    rollups: &[RollupTable],
    segments: &[Snapshot],
    now: Micros,
) -> Vec<RollupTask> {
    let covered = segments.iter().map(|segments| {
        let names = segments.files().map(|file| covered_name(file.stem()));
        names.collect::<HashSet<&str>>()
    });
    let covered: Vec<_> = covered.collect();
    let files = files.into_iter().filter(|file| may_get_segments(file, now));
    let tasks = files.map(|file| {
        let lacking = rollups.iter().zip(&covered);
        let lacking = lacking.filter(|(_, covered)| !covered.contains(file.stem()));
        let rollups = lacking.map(|(rollup, _)| rollup.clone()).collect();
        RollupTask { file, rollups }
    });
    let mut tasks: Vec<_> = tasks.filter(|task| !task.rollups.is_empty()).collect();
    tasks.sort_by(|a, b| (b.file.event_date, &b.file.path).cmp(&(a.file.event_date, &a.file.path)));
    tasks
}
