//! The tables that SQL can name: `footfall.public.events` and the views, and for some callers the schema `system`. Nothing
//! can be registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;

/// The only catalog.
pub const CATALOG: &str = "footfall";
/// Its schema, beside `information_schema` and [`crate::system`].
pub const SCHEMA: &str = "public";
pub(crate) const EVENTS: &str = "events";

/// The tables of one statement by name.
pub(crate) trait NamedTables: std::fmt::Debug + Send + Sync {
    fn names(&self) -> Vec<String>;

    /// The table, made when a statement first names it.
    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>>;
}

/// Tables that are made already.
pub(crate) type Tables = BTreeMap<String, Arc<dyn TableProvider>>;

impl NamedTables for Tables {
    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.get(name).cloned())
    }
}

/// One statement's view of the lake: tables by schema.
#[derive(Debug, Clone)]
pub(crate) struct LakeView {
    schemas: BTreeMap<&'static str, Arc<dyn NamedTables>>,
}

impl LakeView {
    /// With the tables of [`SCHEMA`].
    pub(crate) fn new(tables: Arc<dyn NamedTables>) -> Self {
        Self {
            schemas: BTreeMap::from([(SCHEMA, tables)]),
        }
    }

    /// With another schema.
    pub(crate) fn with_schema(mut self, name: &'static str, tables: Arc<dyn NamedTables>) -> Self {
        self.schemas.insert(name, tables);
        self
    }
}

/// The tables of one schema.
#[derive(Debug)]
struct LakeSchema(Arc<dyn NamedTables>);

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
        self.schemas.keys().map(|name| (*name).to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let tables = self.schemas.get(name)?;
        Some(Arc::new(LakeSchema(Arc::clone(tables))))
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.0.names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.0.table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.names().iter().any(|known| known == name)
    }
}
