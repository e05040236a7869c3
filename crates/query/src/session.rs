//! What all statements share: functions, memory, temporary files, the cache of file footers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider, TableProvider,
};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use crate::QueryError;

pub(crate) const CATALOG: &str = "footfall";
pub(crate) const SCHEMA: &str = "public";
pub(crate) const EVENTS: &str = "events";

/// The limits of all queries together and of each.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Memory of all running queries, in bytes; what does not fit is spilled where it can be.
    pub memory_bytes: usize,
    /// Where it is spilled.
    pub spill_dir: PathBuf,
    /// Bytes that may be spilled.
    pub spill_bytes: u64,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// Statements at the same time.
    pub concurrent_queries: usize,
    /// How long a statement waits for its turn.
    pub queue_timeout: Duration,
    /// Parts of a query that run side by side.
    pub target_partitions: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            memory_bytes: 1_024 * 1_024 * 1_024,
            spill_dir: std::env::temp_dir().join("footfall-spill"),
            spill_bytes: 32 * 1_024 * 1_024 * 1_024,
            statement_timeout: Duration::from_secs(60),
            concurrent_queries: 2 * cores,
            queue_timeout: Duration::from_secs(10),
            target_partitions: cores,
        }
    }
}

pub(crate) fn runtime(options: &EngineOptions) -> Result<Arc<RuntimeEnv>, QueryError> {
    std::fs::create_dir_all(&options.spill_dir).map_err(|e| {
        let folder = options.spill_dir.display();
        QueryError::Internal(format!("the folder for large queries, {folder}, can't be made: {e}"))
    })?;
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]))
        .with_max_temp_directory_size(options.spill_bytes);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(runtime)
}

/// Built once: registering the functions costs more than planning.
pub(crate) fn base(options: &EngineOptions, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.target_partitions.max(1))
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true);
    let settings = config.options_mut();
    settings.execution.parquet.pushdown_filters = true;
    settings.execution.parquet.reorder_filters = true;
    // Many clients know no view types.
    settings.execution.parquet.schema_force_view_types = false;
    settings.sql_parser.map_string_types_to_utf8view = false;
    SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .build()
}

/// A session of one statement: its own tables, everything else shared.
pub(crate) fn of_statement(base: &SessionState, events: Arc<dyn TableProvider>) -> Result<SessionState, QueryError> {
    let schema = MemorySchemaProvider::new();
    schema.register_table(EVENTS.into(), events)?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(schema))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.into(), Arc::new(catalog));
    Ok(SessionStateBuilder::new_from_existing(base.clone())
        .with_catalog_list(Arc::new(catalogs))
        .build())
}
