//! The barrier between sites: rows of other sites do not pass it, and no expression of a reader is evaluated below it.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, InListExpr, Literal};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use footfall_model::table::SITE_COLUMN;
use futures::{Stream, StreamExt};

use super::conditions::is_plain;
use super::regroup::Regroup;

/// Reads a table's files and keeps the rows of a reader's sites.
///
/// To the optimizer it is a leaf: it has no children, no statistics, no order and always the same number of
/// partitions. So nothing can be pushed below it, and a reader's plan is the same whatever the files hold of other
/// sites. The rows leave in batches that are cut by their number alone: what runs above sees exactly what it would see
/// if the lake held these sites only, down to which rows share a batch.
#[derive(Debug, Clone)]
pub(crate) struct SiteFilterExec {
    pub(super) table: Arc<str>,
    pub(super) sites: Arc<BTreeSet<String>>,
    /// Reads the projected columns, then the site. `None`: there is nothing to read.
    pub(super) scan: Option<Arc<dyn ExecutionPlan>>,
    /// The reader's conditions that the scan checks, for EXPLAIN.
    pub(super) conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// Number of rows without columns that need not be read, because files of only these sites state their number.
    pub(super) counted: u64,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

/// The parameters of a [`SiteFilterExec`].
pub(super) struct SiteScan {
    pub(super) table: Arc<str>,
    pub(super) sites: Arc<BTreeSet<String>>,
    pub(super) scan: Option<Arc<dyn ExecutionPlan>>,
    pub(super) conditions: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) counted: u64,
    pub(super) fetch: Option<usize>,
    pub(super) schema: SchemaRef,
    pub(super) partitions: usize,
}

impl SiteFilterExec {
    pub(super) fn new(of: SiteScan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(of.schema),
            Partitioning::UnknownPartitioning(of.partitions.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            table: of.table,
            sites: of.sites,
            scan: of.scan,
            conditions: of.conditions,
            counted: of.counted,
            fetch: of.fetch,
            properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)),
        }
    }

    /// Fails if the scan below could evaluate what can fail, or anything before the site's condition.
    pub(super) fn check(&self) -> Result<()> {
        let Some(scan) = &self.scan else {
            return Ok(());
        };
        let files = scan
            .downcast_ref::<DataSourceExec>()
            .and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
        let Some(files) = files else {
            return internal_err!("the input of a site filter is not a scan of files");
        };
        let Some(parquet) = files.file_source().downcast_ref::<ParquetSource>() else {
            return internal_err!("the input of a site filter is a scan of files that are not Parquet");
        };
        let schema = files.file_source().table_schema().table_schema();
        let predicate = parquet.filter();
        let conditions = predicate.as_ref().map(split_conjunction).unwrap_or_default();
        if !conditions.first().is_some_and(|first| names_sites(first, &self.sites)) {
            return internal_err!("the scan below a site filter does not check the site first");
        }
        if parquet.table_parquet_options().global.reorder_filters {
            return internal_err!("the scan below a site filter reorders its conditions");
        }
        if let Some(unsafe_one) = conditions.iter().find(|condition| !is_plain(condition, schema)) {
            return internal_err!("the scan below a site filter evaluates {unsafe_one}");
        }
        if files.limit.is_some() {
            return internal_err!("the scan below a site filter stops at a number of rows");
        }
        Ok(())
    }
}

/// Whether the condition is `tracking_id IN (sites)`.
fn names_sites(condition: &Arc<dyn PhysicalExpr>, sites: &BTreeSet<String>) -> bool {
    let Some(list) = condition.downcast_ref::<InListExpr>() else {
        return false;
    };
    let column = list.expr().downcast_ref::<Column>();
    let named = list
        .list()
        .iter()
        .map(|value| value.downcast_ref::<Literal>()?.value().try_as_str()?);
    let named: Option<BTreeSet<&str>> = named.collect();
    column.is_some_and(|column| column.name() == SITE_COLUMN)
        && !list.negated()
        && named.is_some_and(|named| named.iter().all(|site| sites.contains(*site)))
}

impl DisplayAs for SiteFilterExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.schema();
        let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let conditions: Vec<_> = self.conditions.iter().map(ToString::to_string).collect();
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(
                    f,
                    "SiteFilterExec: table={}, projection=[{}]",
                    self.table,
                    columns.join(", ")
                )?;
                if !conditions.is_empty() {
                    write!(f, ", predicate={}", conditions.join(" AND "))?;
                }
                self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
            }
            DisplayFormatType::TreeRender => {
                writeln!(f, "table={}", self.table)?;
                if !conditions.is_empty() {
                    writeln!(f, "predicate={}", conditions.join(" AND "))?;
                }
                self.fetch.map_or(Ok(()), |fetch| writeln!(f, "fetch={fetch}"))
            }
        }
    }
}

impl ExecutionPlan for SiteFilterExec {
    fn name(&self) -> &'static str {
        "SiteFilterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !children.is_empty() {
            return internal_err!("a site filter has no children");
        }
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    /// A recursive query runs its plan more than once.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut new = Arc::unwrap_or_clone(self);
        new.scan = new.scan.map(ExecutionPlan::reset_state).transpose()?;
        Ok(Arc::new(new))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_size = context.session_config().batch_size();
        let scan = self.scan.as_ref();
        let scan = scan.filter(|scan| partition < scan.properties().partitioning.partition_count());
        let input = scan.map(|scan| scan.execute(partition, context)).transpose()?;
        let mut rows = Regroup::new(self.schema(), batch_size, self.fetch);
        if partition == 0 {
            rows.count(self.counted);
        }
        Ok(Box::pin(cooperative(SiteFilterStream {
            schema: self.schema(),
            sites: Arc::clone(&self.sites),
            input,
            rows,
        })))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let fetch = limit;
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }
}

struct SiteFilterStream {
    schema: SchemaRef,
    sites: Arc<BTreeSet<String>>,
    /// `None` at the end of the input.
    input: Option<SendableRecordBatchStream>,
    rows: Regroup,
}

impl Stream for SiteFilterStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(batch) = this.rows.next_batch()? {
                return Poll::Ready(Some(Ok(batch)));
            }
            let Some(input) = this.input.as_mut().filter(|_| !this.rows.is_full()) else {
                this.input = None;
                return Poll::Ready(this.rows.last_batch().transpose());
            };
            match ready!(input.poll_next_unpin(cx)) {
                Some(batch) => {
                    let mut batch = batch?;
                    let sites = batch.remove_column(batch.num_columns() - 1);
                    this.rows.push(batch, &of_sites(&sites, &this.sites)?)?;
                }
                None => this.input = None,
            }
        }
    }
}

impl RecordBatchStream for SiteFilterStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// Which rows are of `sites`.
fn of_sites(column: &ArrayRef, sites: &BTreeSet<String>) -> Result<BooleanArray> {
    let Some(column) = column.as_string_opt::<i32>() else {
        return internal_err!("the site is of type {}", column.data_type());
    };
    // Files are sorted by site: most rows are of the same site as the previous row.
    let mut last: Option<(&str, bool)> = None;
    let allowed = column.iter().map(|site| {
        let Some(site) = site else {
            return Some(false);
        };
        let allowed = match last {
            Some((known, allowed)) if known == site => allowed,
            _ => sites.contains(site),
        };
        last = Some((site, allowed));
        Some(allowed)
    });
    Ok(allowed.collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn rows_of_other_sites_are_dropped() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a"),
            Some("a"),
            Some("b"),
            None,
            Some("a"),
            Some("c"),
        ]));
        let allowed = of_sites(&column, &["a".to_owned(), "c".to_owned()].into()).unwrap();
        let allowed: Vec<_> = allowed.iter().flatten().collect();
        assert_eq!(allowed, [true, true, false, false, true, true]);
    }
}
