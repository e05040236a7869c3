//! Follows the lake's table: makes other processes' commits visible, and keeps the Delta log short.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use footfall_lake::{Lake, LakeError, Table};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often to poll for other processes' commits.
const REFRESH: Duration = Duration::from_secs(1);

/// Delta versions after which the Delta log's size is checked again.
const LOOK_EVERY: u64 = 25;

/// Refreshes the tables until `stop`. A lake that does not answer is retried; queries continue on the known version.
pub(super) async fn refresh(lake: Lake, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let refreshed = tokio::select! {
            refreshed = lake.refresh() => refreshed,
            // A lake that does not answer must not keep the server from stopping.
            () = stop.cancelled() => return Ok(()),
        };
        if let Err(error) = refreshed {
            tracing::warn!(%error, "the lake can't be refreshed for now; queries use the last known version");
        }
    }
}

/// Writes a checkpoint whenever the Delta log has grown enough, so that opening the table and listing its log stay
/// cheap.
pub(super) async fn checkpoint(table: Arc<Table>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut versions = table.subscribe();
    loop {
        tokio::select! {
            () = checkpoint_if_due(&table) => {}
            () = stop.cancelled() => return Ok(()),
        }
        let next = table.snapshot().version() + LOOK_EVERY;
        tokio::select! {
            there = versions.wait_for(|snapshot| snapshot.version() >= next) => there?,
            () = stop.cancelled() => return Ok(()),
        };
    }
}

/// How often to look at the tables of configured rollups, which come and go.
const ROLLUPS_EVERY: Duration = Duration::from_secs(60);

/// As [`checkpoint`], for the tables of configured rollups.
pub(super) async fn checkpoint_rollups(lake: Lake, stop: CancellationToken) -> anyhow::Result<()> {
    let mut looked: HashMap<u64, u64> = HashMap::new();
    let mut ticks = interval(ROLLUPS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let rollups = lake.rollups();
        looked.retain(|revision, _| rollups.iter().any(|open| open.rollup.revision == *revision));
        for open in rollups.iter() {
            let version = open.table.snapshot().version();
            let next = looked
                .get(&open.rollup.revision)
                .map_or(0, |looked| looked + LOOK_EVERY);
            if version < next {
                continue;
            }
            tokio::select! {
                () = checkpoint_if_due(&open.table) => {}
                () = stop.cancelled() => return Ok(()),
            }
            looked.insert(open.rollup.revision, version);
        }
    }
}

async fn checkpoint_if_due(table: &Table) {
    let written = async {
        let growth = table.log_growth().await?;
        let Some(reason) = growth.decide() else {
            return Ok(());
        };
        table.checkpoint().await?;
        tracing::debug!(
            table = table.spec().name(),
            ?growth,
            reason = reason.as_str(),
            "checkpoint written"
        );
        Ok::<_, LakeError>(())
    };
    if let Err(error) = written.await {
        let table = table.spec().name();
        tracing::warn!(%error, table, "a checkpoint could not be written; retrying later");
    }
}
