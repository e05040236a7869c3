//! The schema `system`: what the lake holds and what has been done to it. For callers that may read all sites: files are
//! shared between sites, so their names and sizes tell of all of them.

mod compactions;
mod coverage;
mod files;
mod queries;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::datasource::MemTable;

use crate::catalog::NamedTables;
use crate::segments::ScopedLake;
pub use compactions::{CompactionLog, CompactionRecord};
pub(crate) use queries::{QueryLog, QueryRecord};

/// The schema's name.
pub(crate) const SCHEMA: &str = "system";

/// A table of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SystemTable {
    Files,
    Coverage,
    Compactions,
    Queries,
}

impl SystemTable {
    const ALL: [Self; 4] = [Self::Files, Self::Coverage, Self::Compactions, Self::Queries];

    fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Coverage => "coverage",
            Self::Compactions => "compactions",
            Self::Queries => "queries",
        }
    }

    fn schema(self) -> SchemaRef {
        match self {
            Self::Files => files::schema(),
            Self::Coverage => coverage::schema(),
            Self::Compactions => compactions::schema(),
            Self::Queries => queries::schema(),
        }
    }
}

/// Names and columns of the schema's tables.
pub(crate) fn tables() -> impl Iterator<Item = (&'static str, SchemaRef)> {
    SystemTable::ALL.into_iter().map(|table| (table.name(), table.schema()))
}

/// The schema over one version of the lake.
#[derive(Debug)]
pub(crate) struct SystemTables {
    lake: ScopedLake,
    compactions: Arc<CompactionLog>,
    queries: Arc<QueryLog>,
}

impl SystemTables {
    pub(crate) fn new(lake: ScopedLake, compactions: Arc<CompactionLog>, queries: Arc<QueryLog>) -> Self {
        Self {
            lake,
            compactions,
            queries,
        }
    }

    fn rows(&self, table: SystemTable) -> Result<RecordBatch> {
        match table {
            SystemTable::Files => files::rows(&self.lake),
            SystemTable::Coverage => coverage::rows(&self.lake),
            SystemTable::Compactions => self.compactions.rows(),
            SystemTable::Queries => {
                let pinned = &self.lake.pinned;
                self.queries.rows(pinned.configured.rollups(&self.lake.sites))
            }
        }
    }
}

impl NamedTables for SystemTables {
    fn names(&self) -> Vec<String> {
        SystemTable::ALL.map(|table| table.name().to_owned()).to_vec()
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = SystemTable::ALL.into_iter().find(|table| table.name() == name) else {
            return Ok(None);
        };
        self.lake.scans.of_state();
        let rows = MemTable::try_new(table.schema(), vec![vec![self.rows(table)?]])?;
        Ok(Some(Arc::new(rows)))
    }
}
