//! Which files lack the step rows of funnels that were made after them. Pure.
//!
//! Until a file has them, queries over such a funnel read it raw.

use footfall_funnels::FunnelSet;
use footfall_funnels::coverage::{Coverage, chain};
use footfall_model::clock::Micros;
use object_store::path::Path;

use crate::{FileState, Stage};

/// With more segments than this for one file, they are made anew as one.
const MAX_SEGMENTS: usize = 4;

/// A fresh file that has not been merged for so long will not be soon.
const SETTLED: Micros = 3_600_000_000;

/// A live file of events and its segments of step rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunnelFile {
    pub(crate) file: FileState,
    pub(crate) segments: Vec<(Coverage, Path)>,
}

/// Step rows that a file of events lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillTask {
    pub file: FileState,
    /// Of the funnels of these revisions.
    pub coverage: Coverage,
    /// The segments that the new one replaces.
    pub replaces: Vec<Path>,
}

/// Whether a file of events gets segments without being merged: it has events, and is not merged soon.
pub(crate) fn may_get_segments(file: &FileState, now: Micros) -> bool {
    let is_merged_soon = file.stage == Stage::Fresh && now.saturating_sub(file.written_at) < SETTLED;
    !is_merged_soon && file.stage != Stage::Retired
}

/// The tasks for `files`, the newest day first.
pub(crate) fn plan_backfill(files: &[FunnelFile], funnels: &FunnelSet, now: Micros) -> Vec<BackfillTask> {
    let task = |FunnelFile { file, segments }: &FunnelFile| {
        let (reached, used) = chain(&funnels.catalog, segments);
        if !may_get_segments(file, now) || funnels.needed() <= reached {
            return None;
        }
        let anew = used.len() >= MAX_SEGMENTS;
        let replaced = segments.iter().filter(|_| anew).map(|(_, path)| path.clone());
        Some(BackfillTask {
            file: file.clone(),
            coverage: Coverage {
                catalog: funnels.catalog.clone(),
                after: if anew { 0 } else { reached },
                up_to: funnels.revision,
            },
            replaces: replaced.collect(),
        })
    };
    let mut tasks: Vec<_> = files.iter().filter_map(task).collect();
    tasks.sort_by(|a, b| (b.file.event_date, &b.file.path).cmp(&(a.file.event_date, &a.file.path)));
    tasks
}

#[cfg(test)]
mod tests {
    use footfall_funnels::{Definition, Funnel, Window};

    use super::*;

    fn funnels(revisions: &[u64], revision: u64) -> FunnelSet {
        let funnel = |revision: &u64| Funnel {
            id: format!("funnel-{revision}"),
            tracking_id: "a".into(),
            revision: *revision,
            definition: Definition {
                name: "x".into(),
                steps: Vec::new(),
                window: Window::default(),
                ..Definition::default()
            },
            created_at: 0,
        };
        FunnelSet {
            catalog: "c".into(),
            revision,
            funnels: revisions.iter().map(funnel).collect(),
        }
    }

    fn file(event_date: i32, stage: Stage, segments: &[(u64, u64)]) -> FunnelFile {
        let segment = |(after, up_to): &(u64, u64)| {
            let coverage = Coverage {
                catalog: "c".into(),
                after: *after,
                up_to: *up_to,
            };
            (coverage, Path::from(format!("{after}-{up_to}")))
        };
        FunnelFile {
            file: FileState {
                path: Path::from("x"),
                event_date,
                rows: 1,
                bytes: 1,
                written_at: 0,
                stage,
                imported_at: None,
            },
            segments: segments.iter().map(segment).collect(),
        }
    }

    /// Day, range and number of replaced segments of each task.
    fn planned(files: &[FunnelFile], funnels: &FunnelSet, now: Micros) -> Vec<(i32, u64, u64, usize)> {
        let tasks = plan_backfill(files, funnels, now).into_iter();
        tasks
            .map(|task| {
                (
                    task.file.event_date,
                    task.coverage.after,
                    task.coverage.up_to,
                    task.replaces.len(),
                )
            })
            .collect()
    }

    #[test]
    fn files_get_what_they_lack_newest_first() {
        let files = [
            file(1, Stage::Merged, &[(0, 5)]),
            file(2, Stage::Final, &[]),
            file(3, Stage::Merged, &[(0, 5), (5, 9)]),
            file(4, Stage::Merged, &[(0, 8)]),
        ];
        assert_eq!(planned(&files, &funnels(&[3, 8], 9), 0), [(2, 0, 9, 0), (1, 5, 9, 0)]);
        // A deletion is a change, and no file lacks anything by it.
        assert_eq!(planned(&files[..1], &funnels(&[3], 12), 0), []);
        assert_eq!(planned(&files, &funnels(&[], 12), 0), []);
    }

    #[test]
    fn many_segments_are_made_anew_as_one() {
        let segments = [(0, 1), (1, 2), (2, 3), (3, 4)];
        assert_eq!(
            planned(&[file(1, Stage::Final, &segments)], &funnels(&[5], 5), 0),
            [(1, 0, 5, 4)]
        );
        assert_eq!(
            planned(&[file(1, Stage::Final, &segments[..3])], &funnels(&[5], 5), 0),
            [(1, 3, 5, 0)]
        );
    }

    #[test]
    fn fresh_files_wait_for_their_merge() {
        let fresh = [file(1, Stage::Fresh, &[])];
        assert_eq!(planned(&fresh, &funnels(&[5], 5), SETTLED - 1), []);
        assert_eq!(planned(&fresh, &funnels(&[5], 5), SETTLED), [(1, 0, 5, 0)]);
    }
}
