//! The table provider: what DataFusion asks, answered from a pinned snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use footfall_lake::Snapshot;
use footfall_model::access::SiteScope;
use footfall_model::schema;
use metrics::counter;

use super::derived_filters;
use super::prune::{PrunedFiles, partition_schema, prune_files};
use super::scan::{EventsReader, Scan, enough};

/// `events` for one statement.
#[derive(Debug)]
pub(crate) struct EventsTable {
    snapshot: Snapshot,
    scope: SiteScope,
    reader: Arc<EventsReader>,
}

impl EventsTable {
    pub(crate) fn new(snapshot: Snapshot, scope: SiteScope, reader: Arc<EventsReader>) -> Self {
        Self {
            snapshot,
            scope,
            reader,
        }
    }

    fn left(
        &self,
        session: &dyn Session,
        filters: &[Expr],
        conditions: &[Arc<dyn PhysicalExpr>],
    ) -> Result<PrunedFiles> {
        let dates = DFSchema::try_from(partition_schema())?;
        let dates = filters
            .iter()
            .filter(|filter| is_of_date(filter))
            .map(|filter| session.create_physical_expr(filter.clone(), &dates))
            .collect::<Result<Vec<_>>>()?;
        let files: Vec<_> = self.snapshot.files().cloned().collect();
        prune_files(&files, &self.scope, &dates, conditions)
    }
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        schema::events()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A condition on `event_date` alone is decided for whole files. The others are checked again by row, mostly
    /// inside the Parquet reader.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            if is_of_date(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = DFSchema::try_from(schema::events())?;
        let physical = |expr: Expr| session.create_physical_expr(expr, &schema);
        let sites = match &self.scope {
            SiteScope::All => None,
            SiteScope::Only(sites) => Some(sites),
        };
        let visitors = derived_filters::visitors(filters, sites.map(Arc::as_ref))
            .map(physical)
            .transpose()?;
        let known = filters.iter().cloned().chain(derived_filters::dates_and_times(filters));
        let conditions = known.map(physical).collect::<Result<Vec<_>>>()?;
        let conditions: Vec<_> = conditions.into_iter().chain(visitors.clone()).collect();
        let PrunedFiles { mut files, mixed } = self.left(session, filters, &conditions)?;
        counter!("footfall_query_files_scanned_total").increment(files.len() as u64);
        counter!("footfall_query_files_pruned_total").increment((self.snapshot.len() - files.len()) as u64);

        let whole = !mixed && filters.iter().all(is_of_date);
        if let Some(limit) = limit
            && whole
        {
            files = enough(files, limit);
        }
        let scan = Scan {
            files,
            projection: projection.map(Vec::as_slice),
            conditions: visitors.into_iter().collect(),
            limit: limit.filter(|_| whole),
            only: sites.filter(|_| mixed).cloned(),
        };
        self.reader.plan(scan, session)
    }
}

/// Whether a condition is about `event_date` and nothing else, so that a file's date decides it.
fn is_of_date(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| column.name() == schema::PARTITION_COLUMN)
        && !filter.is_volatile()
        && !has_subquery(filter)
}

fn has_subquery(filter: &Expr) -> bool {
    filter
        .exists(|part| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Placeholder(_)
            ))
        })
        .unwrap_or(true)
}
