//! The state folder: catalog, log, first token.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use footfall_catalog::{Catalog, SqliteCatalog};
use footfall_model::clock::{RandomIds, SystemClock};

/// Opens the catalog of a state folder, and makes both if they are not there.
pub(crate) async fn open_catalog(state: &Path) -> anyhow::Result<Arc<dyn Catalog>> {
    footfall_lake::create_durably(state)
        .with_context(|| format!("the state folder {} can't be made", state.display()))?;
    let path = state.join("catalog.sqlite");
    let catalog = SqliteCatalog::open(&path, Arc::new(SystemClock), Arc::new(RandomIds))
        .await
        .with_context(|| format!("the catalog {} can't be opened", path.display()))?;
    Ok(Arc::new(catalog))
}
