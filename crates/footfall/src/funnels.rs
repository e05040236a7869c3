//! The catalog's funnels as queries and the compactor use them, kept up to date.

use std::sync::Arc;
use std::time::Duration;

use footfall_catalog::{Catalog, CatalogError};
use footfall_funnels::FunnelDefinitions;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often to look for changes that other processes have made.
const REFRESH: Duration = Duration::from_secs(1);

/// Takes over what has changed in the catalog.
pub(crate) async fn refresh(catalog: &dyn Catalog, funnels: &FunnelDefinitions) -> Result<(), CatalogError> {
    if catalog.funnel_revision().await? != funnels.current().revision {
        funnels.replace(catalog.funnels().await?);
    }
    Ok(())
}

/// Refreshes the funnels until `stop`. While the catalog does not answer, the known ones are used.
pub(crate) async fn follow(
    catalog: Arc<dyn Catalog>,
    funnels: Arc<FunnelDefinitions>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return Ok(()),
        }
        if let Err(error) = refresh(catalog.as_ref(), &funnels).await {
            tracing::warn!(%error, "the funnels can't be read for now; the known ones are used");
        }
    }
}
