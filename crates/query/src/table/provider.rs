//! The table provider: what DataFusion asks, answered from a pinned snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use footfall_lake::Snapshot;
use footfall_model::access::SiteScope;
use metrics::counter;

use crate::result_cache::fingerprint;
use crate::scan_log::ScanLog;

use super::conditions::{Conditions, days_of, is_of_date, is_plain_of_date};
use super::prune::prune;
use super::scan::{Scan, TableReader};

/// A table for one statement.
#[derive(Debug)]
pub(crate) struct LakeTable {
    snapshot: Snapshot,
    scope: SiteScope,
    reader: Arc<TableReader>,
    scans: ScanLog,
}

impl LakeTable {
    pub(crate) fn new(snapshot: Snapshot, scope: SiteScope, reader: Arc<TableReader>, scans: ScanLog) -> Self {
        Self {
            snapshot,
            scope,
            reader,
            scans,
        }
    }

    /// Whether files alone decide the condition.
    fn is_exact(&self, filter: &Expr) -> bool {
        let spec = self.reader.spec();
        days_of(filter, spec).is_some()
            || match self.scope {
                SiteScope::All => is_of_date(filter, spec),
                SiteScope::Only(_) => is_plain_of_date(filter, spec),
            }
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.reader.spec().table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The conditions that files don't decide are checked again by row.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            if self.is_exact(filter) {
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
        let (spec, props) = (self.reader.spec(), session.execution_props());
        let conditions = Conditions::new(spec, &self.scope, filters, props)?;
        let pruned = prune(&self.snapshot, &self.scope, &conditions)?;
        let files = pruned.whole.iter().chain(&pruned.shared);
        let files: Vec<_> = files.map(|file| (file.path.as_ref(), file.size)).collect();
        self.scans
            .of_files(fingerprint(&(spec.name(), projection, filters, limit, files)));
        let left = pruned.len() as u64;
        counter!("footfall_query_files_scanned_total").increment(left);
        counter!("footfall_query_files_pruned_total").increment(self.snapshot.len() as u64 - left);
        let scan = Scan {
            files: pruned,
            projection: projection.map(Vec::as_slice),
            conditions: conditions.rows,
            limit: limit.filter(|_| filters.iter().all(|filter| self.is_exact(filter))),
        };
        match &self.scope {
            SiteScope::All => self.reader.scan(scan, session),
            SiteScope::Only(sites) => self.reader.scan_of_sites(scan, sites, session),
        }
    }
}
