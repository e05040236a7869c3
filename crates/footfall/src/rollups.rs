//! The catalog's rollups as queries and the compactor use them, kept up to date; and the folders of dropped ones.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use footfall_catalog::Catalog;
use footfall_lake::{Lake, Location};
use footfall_model::clock::{Clock, Micros};
use footfall_model::rollup::{ConfiguredRollups, Rollup, folder};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// How often to look for changes that other processes have made.
const REFRESH: Duration = Duration::from_secs(1);

/// The lake with the rollups of the state folder's catalog; without one, with the built-in ones.
pub(crate) async fn open_lake(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Lake> {
    let lake = crate::serve::open_lake(config, clock).await?;
    if let Some(catalog) = crate::state::open_catalog_if_there(&config.state_dir()).await? {
        refresh(catalog.as_ref(), &lake).await?;
    }
    Ok(lake)
}

/// Takes over what has changed in the catalog: opens the tables of new rollups.
pub(crate) async fn refresh(catalog: &dyn Catalog, lake: &Lake) -> anyhow::Result<()> {
    if catalog.rollup_revision().await? != lake.rollup_revision() {
        let configured = catalog.rollups().await?;
        lake.set_rollups(configured.revision, declared(configured)).await?;
    }
    Ok(())
}

fn declared(configured: ConfiguredRollups) -> Vec<Rollup> {
    let rollups = configured.rollups.into_iter().filter_map(|configured| {
        let name = &configured.definition.name;
        let declared = configured.rollup();
        declared
            .inspect_err(
                |error| tracing::error!(%error, rollup = name, "this version can't have a rollup; it is left out"),
            )
            .ok()
    });
    rollups.collect()
}

/// Refreshes the rollups until `stop`. While the catalog or the lake do not answer, the known ones are used.
pub(crate) async fn follow(catalog: Arc<dyn Catalog>, lake: Lake, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        let refreshed = tokio::select! {
            refreshed = refresh(catalog.as_ref(), &lake) => refreshed,
            () = stop.cancelled() => return Ok(()),
        };
        if let Err(error) = refreshed {
            let error = format!("{error:#}");
            tracing::warn!(error, "the rollups can't be read for now; the known ones are used");
        }
    }
}

/// Deletes the folders of rollups that were dropped longer than `keep` ago, when no query reads them any more. Returns
/// how many files. What is interrupted is done the next time: the catalog forgets a rollup last.
pub(crate) async fn delete_dropped(
    config: &Config,
    catalog: &dyn Catalog,
    lake: &Lake,
    keep: Micros,
    now: Micros,
) -> anyhow::Result<u64> {
    let location: Location = config.data.parse()?;
    let mut files = 0;
    for dropped in catalog.dropped_rollups().await? {
        if now.saturating_sub(dropped.dropped_at) <= keep {
            continue;
        }
        let folder = folder(&dropped.name, dropped.revision);
        let deleted = location.delete_folder(crate::serve::SHARD, lake.store(), &folder).await;
        files += deleted.with_context(|| format!("the folder {folder} of a dropped rollup can't be deleted"))?;
        catalog.forget_rollup(dropped.revision).await?;
        tracing::info!(folder, "deleted the folder of a dropped rollup");
    }
    Ok(files)
}
