//! Follows the lake's table: what others commit becomes visible, and its log is kept short.

use std::sync::Arc;
use std::time::Duration;

use footfall_lake::{Lake, Table};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often other processes' commits are looked for.
const REFRESH: Duration = Duration::from_secs(1);

/// Delta versions between two checkpoints.
const CHECKPOINT_EVERY: u64 = 100;

/// Refreshes the tables until `stop`. A lake that does not answer is asked again: queries go on over what is known.
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
            tracing::warn!(%error, "the lake can't be followed for now; queries see what is known");
        }
    }
}

/// Writes a checkpoint every so many versions, so that opening the table and the list of its log stay cheap.
pub(super) async fn checkpoint(table: Arc<Table>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut versions = table.subscribe();
    let mut last = versions.borrow().version();
    loop {
        // The next round number: a server that is restarted more often than that gets there too.
        let next = (last / CHECKPOINT_EVERY + 1) * CHECKPOINT_EVERY;
        tokio::select! {
            there = versions.wait_for(|snapshot| snapshot.version() >= next) => there?,
            () = stop.cancelled() => return Ok(()),
        };
        let written = tokio::select! {
            written = table.checkpoint() => written,
            () = stop.cancelled() => return Ok(()),
        };
        match written {
            Ok(()) => tracing::debug!(version = next, "checkpoint written"),
            Err(error) => tracing::warn!(%error, "no checkpoint could be written; tried again later"),
        }
        last = table.snapshot().version();
    }
}
