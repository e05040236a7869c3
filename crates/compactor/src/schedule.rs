//! Which of the planned tasks comes next. Pure: plans, outcomes and the time in, a task out.
//!
//! A task that failed is left alone for a while, longer each time, so that a damaged file or a full disk neither keeps
//! the rest of the shard from being merged nor is tried again in a tight loop.

use std::collections::{HashMap, HashSet};

use footfall_model::clock::Micros;
use object_store::path::Path;

use crate::MergeTask;

/// How long a failed task waits at first; doubled with each further failure.
const FIRST_WAIT: Micros = 10_000_000;
const LONGEST_WAIT: Micros = 3_600_000_000;

/// What has failed lately.
#[derive(Debug, Default)]
pub struct Schedule {
    failed: HashMap<Path, Failure>,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    times: u32,
    retry_at: Micros,
}

impl Schedule {
    /// The most urgent of `tasks` that need not wait.
    pub fn next<'a>(&self, tasks: &'a [MergeTask], now: Micros) -> Option<&'a MergeTask> {
        tasks.iter().find(|task| {
            let mut failures = task.inputs.iter().filter_map(|file| self.failed.get(&file.path));
            failures.all(|failure| failure.retry_at <= now)
        })
    }

    /// The task failed: its files wait.
    pub fn failed(&mut self, task: &MergeTask, now: Micros) {
        for file in &task.inputs {
            let failure = self.failed.entry(file.path.clone()).or_insert(Failure {
                times: 0,
                retry_at: now,
            });
            let wait = FIRST_WAIT.saturating_mul(1 << failure.times.min(16)).min(LONGEST_WAIT);
            failure.times += 1;
            failure.retry_at = now.saturating_add(wait);
        }
    }

    /// The task is done: its files are gone.
    pub fn done(&mut self, task: &MergeTask) {
        for file in &task.inputs {
            self.failed.remove(&file.path);
        }
    }

    /// Forgets files that `tasks`, the newest plan, do not name any more.
    pub fn forget_others(&mut self, tasks: &[MergeTask]) {
        if self.failed.is_empty() {
            return;
        }
        let planned: HashSet<&Path> = tasks
            .iter()
            .flat_map(|task| &task.inputs)
            .map(|file| &file.path)
            .collect();
        self.failed.retain(|path, _| planned.contains(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileState, MergeReason, Stage};

    const MINUTE: Micros = 60_000_000;

    fn task(files: &[&str]) -> MergeTask {
        let file = |name: &&str| FileState {
            path: Path::from(*name),
            event_date: 0,
            rows: 1,
            bytes: 1,
            written_at: 0,
            stage: Stage::Fresh,
            imported_at: None,
        };
        MergeTask {
            event_date: 0,
            inputs: files.iter().map(file).collect(),
            reason: MergeReason::Fresh,
            is_final: false,
        }
    }

    #[test]
    fn failed_task_waits_while_others_go_on() {
        let (bad, good) = (task(&["a", "damaged"]), task(&["b", "c"]));
        let tasks = [bad.clone(), good.clone()];
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(&tasks, 0), Some(&bad));
        schedule.failed(&bad, 0);
        assert_eq!(schedule.next(&tasks, 1), Some(&good));
        assert_eq!(schedule.next(&tasks, FIRST_WAIT), Some(&bad));
        schedule.failed(&bad, FIRST_WAIT);
        assert_eq!(
            schedule.next(&tasks, 2 * FIRST_WAIT),
            Some(&good),
            "it waits twice as long"
        );
        assert_eq!(schedule.next(&tasks, 3 * FIRST_WAIT), Some(&bad));
    }

    #[test]
    fn wait_is_an_hour_at_most() {
        let bad = task(&["damaged"]);
        let mut schedule = Schedule::default();
        for _ in 0..100 {
            schedule.failed(&bad, 0);
        }
        let tasks = [bad];
        assert_eq!(schedule.next(&tasks, LONGEST_WAIT - MINUTE), None);
        assert!(schedule.next(&tasks, LONGEST_WAIT).is_some());
    }

    #[test]
    fn success_and_gone_files_are_forgotten() {
        let bad = task(&["a", "b"]);
        let mut schedule = Schedule::default();
        schedule.failed(&bad, 0);
        schedule.forget_others(&[task(&["a"]), task(&["c"])]);
        assert_eq!(schedule.failed.len(), 1);
        schedule.done(&bad);
        assert!(schedule.failed.is_empty());
    }
}
