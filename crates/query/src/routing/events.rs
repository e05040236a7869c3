//! The table `events` as SQL names it: aggregates over it may be routed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::StatementRouting;
use crate::segments::ScopedLake;

/// `events` of one statement.
#[derive(Debug)]
pub(crate) struct RoutableEvents {
    table: Arc<dyn TableProvider>,
    pub(super) lake: ScopedLake,
    pub(super) routing: StatementRouting,
}

impl RoutableEvents {
    pub(crate) fn new(lake: ScopedLake, routing: StatementRouting) -> Self {
        Self {
            table: lake.events(),
            lake,
            routing,
        }
    }
}

#[async_trait]
impl TableProvider for RoutableEvents {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(session, projection, filters, limit).await
    }
}
