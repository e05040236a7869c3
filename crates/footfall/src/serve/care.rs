//! What the lake needs now and then: events whose time is over are removed, and files that nobody needs are deleted.

use std::sync::Arc;

use footfall_catalog::Catalog;
use footfall_compactor::vacuum::{Sweep, Vacuum};
use footfall_compactor::{CompactError, Compactor, RetentionTask};
use footfall_lake::{Fence, Lake};
use footfall_model::clock::{Clock, DAY, HOUR, Micros};
use metrics::counter;

use crate::config::Config;

/// How long after the start of a process folders are listed first: a process that is restarted again and again must not
/// list them each time.
const FIRST_LISTING: Micros = HOUR;

/// When what is due next.
#[derive(Debug)]
pub(super) struct Care {
    lake: Lake,
    vacuum: Vacuum,
    catalog: Arc<dyn Catalog>,
    config: Config,
    hourly: Micros,
    daily: Micros,
}

impl Care {
    pub(super) fn new(lake: &Lake, catalog: &Arc<dyn Catalog>, config: &Config, clock: &Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self {
            vacuum: Vacuum::new(lake, crate::vacuum::policy(config), Arc::clone(clock)),
            lake: lake.clone(),
            catalog: Arc::clone(catalog),
            config: config.clone(),
            hourly: now,
            daily: now + FIRST_LISTING,
        }
    }

    /// Does what is due. What fails is logged, and done the next time. Returns the epoch of another process's lease, if
    /// a commit met it.
    pub(super) async fn take(&mut self, compactor: &mut Compactor, fence: &Fence, now: Micros) -> Option<i64> {
        if now < self.hourly {
            return None;
        }
        self.hourly = now + HOUR;
        if let Err(error) = self.retain(compactor, fence).await {
            let epoch = error.downcast_ref().and_then(CompactError::later_epoch);
            if epoch.is_some() {
                tracing::warn!("another compactor works on this lake; this one waits for its turn");
                return epoch;
            }
            tracing::warn!(
                error = format!("{error:#}"),
                "retention stopped; trying again in an hour"
            );
        }
        let sweep = if now < self.daily { Sweep::Log } else { Sweep::Folders };
        if sweep == Sweep::Folders {
            self.daily = now + DAY;
            if let Err(error) = compactor.remove_orphan_segments().await {
                tracing::warn!(%error, "orphans of interrupted merges stay for another day");
            }
        }
        self.delete_unused(sweep).await;
        self.delete_dropped(now).await;
        None
    }

    /// The folders of rollups that no query reads any more.
    async fn delete_dropped(&self, now: Micros) {
        let keep = crate::vacuum::policy(&self.config).keep_removed;
        let deleted = crate::rollups::delete_dropped(&self.config, self.catalog.as_ref(), &self.lake, keep, now).await;
        match deleted {
            Ok(files) => counter!("footfall_vacuum_files_total").increment(files),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "a dropped rollup can't be deleted; trying again in an hour");
            }
        }
    }

    async fn retain(&self, compactor: &mut Compactor, fence: &Fence) -> anyhow::Result<()> {
        compactor.set_retention(crate::retention::policy(&self.config, self.catalog.as_ref()).await?);
        for task in compactor.plan_retention() {
            let rows = match compactor.retain(&task, Some(fence)).await {
                Err(error) if error.is_conflict() => continue,
                // It must not keep the others.
                Err(error) if error.damaged().is_some() => {
                    tracing::warn!(%error, "events whose time is over stay in a file that can't be read");
                    continue;
                }
                outcome => outcome?,
            };
            counter!("footfall_retention_rows_total").increment(rows);
            if !matches!(task, RetentionTask::Rewrite(_)) || rows > 0 {
                tracing::info!(rows, "removed events whose time is over");
            }
        }
        Ok(())
    }

    async fn delete_unused(&self, sweep: Sweep) {
        let deleted = async {
            for sweep in self.vacuum.plan(sweep).await? {
                let deleted = self.vacuum.execute(&sweep).await?;
                counter!("footfall_vacuum_files_total").increment(deleted.files);
                if let Some(error) = deleted.error {
                    let (table, failed) = (sweep.table(), deleted.failed);
                    tracing::warn!(%error, table, failed, "files could not be deleted; trying again later");
                }
            }
            Ok::<_, footfall_lake::LakeError>(())
        };
        if let Err(error) = deleted.await {
            tracing::warn!(%error, "vacuum stopped; trying again in an hour");
        }
    }
}

#[cfg(test)]
mod tests;
