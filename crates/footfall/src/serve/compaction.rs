//! Compacts in the background: one merge after the other, while this process holds the shard's lease. When none is due,
//! merged files get the steps of new funnels and the segments of new rollups, and the lake is cared for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_compactor::{CompactError, Compactor, MergeTask, Merged, Schedule};
use footfall_lake::Fence;
use footfall_model::clock::{Clock, Micros};
use footfall_query::{CompactionLog, CompactionRecord};
use metrics::{counter, gauge, histogram};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::backfill::Backfill;
use super::care::Care;
use super::lease::LeaseKeeper;

/// How often to look for something to merge.
const INTERVAL: Duration = Duration::from_secs(2);

/// The lease's name in the lake.
fn lease_name(shard: u8) -> String {
    format!("footfall-compactor-{shard:02}")
}

/// The background compaction of one shard.
pub(super) struct Compaction {
    pub(super) compactor: Compactor,
    pub(super) backfill: Backfill,
    pub(super) care: Care,
    pub(super) lease: Arc<LeaseKeeper>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Arc<CompactionLog>,
    pub(super) shard: u8,
}

impl Compaction {
    /// Merges what is due until `stop`. What is interrupted leaves the table as it was.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut schedule = Schedule::default();
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
            tokio::select! {
                () = self.work(&mut schedule) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn work(&mut self, schedule: &mut Schedule) {
        self.merge_all_due(schedule).await;
        if let Some(fence) = self.fence() {
            let taken = self.care.take(&mut self.compactor, &fence, self.clock.now()).await;
            if let Some(epoch) = taken {
                self.lease.saw(epoch);
            }
        }
    }

    /// The lease, while it is held.
    fn fence(&self) -> Option<Fence> {
        self.lease.epoch().map(|epoch| Fence {
            app_id: lease_name(self.shard),
            epoch,
        })
    }

    async fn merge_all_due(&mut self, schedule: &mut Schedule) {
        loop {
            let tasks = self.compactor.plan();
            gauge!("footfall_compaction_tasks").set(tasks.len() as f64);
            schedule.forget_others(&tasks);
            let Some(fence) = self.fence() else { return };
            let Some(task) = schedule.next(&tasks, self.clock.now()) else {
                if self.backfill.do_one(self.clock.now()).await {
                    continue;
                }
                return;
            };
            let (started_at, started) = (self.clock.now(), Instant::now());
            let outcome = self.compactor.execute(task, Some(&fence)).await;
            let seconds = started.elapsed().as_secs_f64();
            self.log.push(record(task, &outcome, started_at, seconds));
            match outcome {
                Ok(merged) => {
                    schedule.done(task);
                    count(task, &merged, seconds);
                }
                Err(error) => {
                    schedule.failed(task, self.clock.now());
                    self.report(task, &error);
                }
            }
        }
    }

    fn report(&self, task: &MergeTask, error: &CompactError) {
        counter!("footfall_compaction_failures_total").increment(1);
        if let Some(epoch) = error.later_epoch() {
            self.lease.saw(epoch);
            tracing::warn!("another compactor works on this lake; this one waits for its turn");
        } else if error.is_conflict() {
            tracing::debug!(%error, "files changed while they were merged; planning again");
        } else {
            let (day, files) = (task.event_date, task.inputs.len());
            tracing::warn!(%error, day, files, "files can't be merged for now; trying again later");
        }
    }
}

fn count(task: &MergeTask, merged: &Merged, seconds: f64) {
    let reason = task.reason.as_str();
    counter!("footfall_compactions_total", "reason" => reason).increment(1);
    counter!("footfall_compaction_rows_total").increment(merged.rows_written);
    counter!("footfall_compaction_duplicates_total").increment(merged.duplicates);
    counter!("footfall_compaction_read_bytes_total").increment(merged.bytes_read);
    counter!("footfall_compaction_written_bytes_total").increment(merged.bytes_written);
    counter!("footfall_compaction_segment_bytes_total").increment(merged.segment_bytes);
    histogram!("footfall_compaction_seconds").record(seconds);
    tracing::debug!(?merged, reason, day = task.event_date, seconds, "files merged");
}

/// What `system.compactions` shows of it.
fn record(
    task: &MergeTask,
    outcome: &Result<Merged, CompactError>,
    started_at: Micros,
    seconds: f64,
) -> CompactionRecord {
    let merged = outcome.as_ref().copied().unwrap_or_default();
    CompactionRecord {
        started_at,
        seconds,
        event_date: task.event_date,
        reason: task.reason.as_str(),
        files_read: merged.files_read as u64,
        files_written: merged.files_written as u64,
        rows_read: merged.rows_read,
        rows_written: merged.rows_written,
        duplicates: merged.duplicates,
        bytes_read: merged.bytes_read,
        bytes_written: merged.bytes_written,
        segment_bytes: merged.segment_bytes,
        error: outcome.as_ref().err().map(ToString::to_string),
    }
}
