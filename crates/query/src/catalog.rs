//! The tables that SQL can name: `footfall.public.events`. Nothing can be registered.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;

/// The only catalog.
pub const CATALOG: &str = "footfall";
/// Its only schema, beside `information_schema`.
pub const SCHEMA: &str = "public";
pub(crate) const EVENTS: &str = "events";

/// One statement's view of the lake.
#[derive(Debug, Clone)]
pub(crate) struct LakeView {
    pub(crate) events: Arc<dyn TableProvider>,
}

impl CatalogProviderList for LakeView {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as _)
    }
}

impl CatalogProvider for LakeView {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::new(self.clone()) as _)
    }
}

#[async_trait]
impl SchemaProvider for LakeView {
    fn table_names(&self) -> Vec<String> {
        vec![EVENTS.to_owned()]
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok((name == EVENTS).then(|| Arc::clone(&self.events)))
    }

    fn table_exist(&self, name: &str) -> bool {
        name == EVENTS
    }
}
