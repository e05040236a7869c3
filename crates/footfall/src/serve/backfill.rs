//! Gives merged files what was made after them, one file at a time: the steps of funnels and the segments of rollups.

use std::collections::HashMap;

use footfall_compactor::{CompactError, FunnelBackfill, RollupBackfill};
use footfall_model::clock::Micros;
use metrics::counter;

/// How long a file is left alone after a failure: a damaged one must not keep the others waiting.
const WAIT: Micros = 600_000_000;

#[derive(Debug)]
pub(super) struct Backfill {
    funnels: FunnelBackfill,
    rollups: RollupBackfill,
    /// Until when files that failed are left alone.
    waiting: HashMap<String, Micros>,
}

impl Backfill {
    pub(super) fn new(funnels: FunnelBackfill, rollups: RollupBackfill) -> Self {
        Self {
            funnels,
            rollups,
            waiting: HashMap::new(),
        }
    }

    /// Does the most urgent task, if there is one. Returns whether there may be more to do at once.
    pub(super) async fn do_one(&mut self, now: Micros) -> bool {
        self.waiting.retain(|_, until| *until > now);
        let is_free = |path: &str| !self.waiting.contains_key(path);
        let tasks = self.funnels.plan();
        if let Some(task) = tasks.iter().find(|task| is_free(task.file.path.as_ref())) {
            let outcome = self.funnels.execute(task).await;
            if outcome.is_ok() {
                counter!("footfall_funnel_backfills_total").increment(1);
            }
            return self.ended("steps of funnels", task.file.path.as_ref(), outcome, now);
        }
        let tasks = self.rollups.plan();
        if let Some(task) = tasks.iter().find(|task| is_free(task.file.path.as_ref())) {
            let outcome = self.rollups.execute(task).await;
            if outcome.is_ok() {
                counter!("footfall_rollup_backfills_total").increment(1);
            }
            return self.ended("segments of rollups", task.file.path.as_ref(), outcome, now);
        }
        false
    }

    fn ended(&mut self, what: &str, path: &str, outcome: Result<u64, CompactError>, now: Micros) -> bool {
        match outcome {
            Ok(rows) => tracing::debug!(path, rows, what, "added what was made after a file"),
            Err(error) if error.is_conflict() => {
                tracing::debug!(path, %error, what, "the file changed meanwhile; planning again");
                return false;
            }
            Err(error) => {
                tracing::warn!(path, %error, what, "can't be added to a file for now; trying again later");
                self.waiting.insert(path.to_owned(), now.saturating_add(WAIT));
            }
        }
        true
    }
}
