//! The table `events` over one pinned snapshot.

mod implied;
mod prune;
mod scan;
mod statistics;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use footfall_lake::Snapshot;
use footfall_model::access::SiteScope;
use footfall_model::schema;

/// Where the files are read from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) url: ObjectStoreUrl,
    /// Keeps footers: files never change.
    pub(crate) reader: Arc<dyn ParquetFileReaderFactory>,
}

/// `events` as one caller sees it: the sites of `scope` and no others.
#[derive(Debug)]
pub(crate) struct Events {
    snapshot: Snapshot,
    scope: SiteScope,
    source: Source,
}

impl Events {
    pub(crate) fn new(snapshot: Snapshot, scope: SiteScope, source: Source) -> Self {
        Self {
            snapshot,
            scope,
            source,
        }
    }
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        schema::events()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Inexact: the planner keeps its filter and then moves it into the Parquet scan, where it is exact.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let all: Vec<usize>;
        let columns = match projection {
            Some(columns) => columns,
            None => {
                all = (0..self.schema().fields().len()).collect();
                &all
            }
        };
        let request = scan::Request {
            columns,
            filters,
            limit,
        };
        scan::plan(state, &self.snapshot, &self.scope, &self.source, &request)
    }
}
