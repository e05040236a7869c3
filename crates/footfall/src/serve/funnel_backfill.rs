//! Gives merged files the steps of funnels that are newer, one file at a time.

use std::collections::HashMap;

use footfall_compactor::FunnelBackfill;
use footfall_model::clock::Micros;
use metrics::counter;

/// How long a file is left alone after a failure: a damaged one must not keep the others waiting.
const WAIT: Micros = 600_000_000;

#[derive(Debug)]
pub(super) struct Backfill {
    funnels: FunnelBackfill,
    /// Until when files that failed are left alone.
    waiting: HashMap<String, Micros>,
}

impl Backfill {
    pub(super) fn new(funnels: FunnelBackfill) -> Self {
        Self {
            funnels,
            waiting: HashMap::new(),
        }
    }

    /// Does the most urgent task, if there is one. Returns whether there may be more to do at once.
    pub(super) async fn do_one(&mut self, now: Micros) -> bool {
        self.waiting.retain(|_, until| *until > now);
        let tasks = self.funnels.plan();
        let Some(task) = tasks
            .iter()
            .find(|task| !self.waiting.contains_key(task.file.path.as_ref()))
        else {
            return false;
        };
        let (path, day) = (&task.file.path, task.file.event_date);
        match self.funnels.execute(task).await {
            Ok(steps) => {
                counter!("footfall_funnel_backfills_total").increment(1);
                tracing::debug!(%path, day, steps, "added the steps of new funnels");
            }
            Err(error) if error.is_conflict() => {
                tracing::debug!(%path, %error, "the file changed while steps of funnels were added; planning again");
                return false;
            }
            Err(error) => {
                tracing::warn!(%path, day, %error, "steps of funnels can't be added for now; trying again later");
                self.waiting.insert(path.to_string(), now.saturating_add(WAIT));
            }
        }
        true
    }
}
