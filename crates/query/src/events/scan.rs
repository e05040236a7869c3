//! From a request to a plan: prune the files, read them, keep the caller's rows.

use std::sync::Arc;

use arrow::datatypes::Schema;
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use footfall_lake::{DataFile, Snapshot};
use footfall_model::access::SiteScope;
use footfall_model::schema::{self, PARTITION_COLUMN, SORT_COLUMNS};
use metrics::counter;
use object_store::ObjectMeta;

use super::{Source, implied, prune, statistics};

/// What the planner asks for.
pub(super) struct Request<'a> {
    /// Places in the schema of `events`.
    pub(super) columns: &'a [usize],
    pub(super) filters: &'a [Expr],
    pub(super) limit: Option<usize>,
}

pub(super) fn plan(
    state: &dyn Session,
    snapshot: &Snapshot,
    scope: &SiteScope,
    source: &Source,
    request: &Request<'_>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let table = DFSchema::try_from(schema::events())?;
    let physical = |expr: Expr| state.create_physical_expr(expr, &table);
    let visitor = implied::visitor(request.filters);
    let of_scope = implied::of_scope(scope);
    let known = request
        .filters
        .iter()
        .cloned()
        .chain(visitor.clone())
        .chain(of_scope.clone());
    let files = match conjunction(known) {
        Some(known) => prune::prune(&snapshot.files, &physical(known)?),
        None => snapshot.files.to_vec(),
    };
    counter!("footfall_query_files_scanned_total").increment(files.len() as u64);
    counter!("footfall_query_files_pruned_total").increment((snapshot.files.len() - files.len()) as u64);
    let output = Arc::new(schema::events().project(request.columns)?);
    if files.is_empty() {
        return Ok(Arc::new(EmptyExec::new(output)));
    }
    // Counts come from statistics where nothing has to be filtered, so files that are wholly the caller's are not.
    let of_scope = of_scope.filter(|_| match scope {
        SiteScope::All => false,
        SiteScope::Only(sites) => !files.iter().all(|file| implied::wholly_of(file, sites)),
    });
    match conjunction(of_scope.into_iter().chain(visitor)) {
        None => read(state, &files, source, request.columns, request.limit),
        Some(kept) => filtered(state, &files, source, request.columns, &physical(kept)?),
    }
}

/// The columns asked for and those that the filter needs, filtered, and then the former alone. The filter is moved
/// into the Parquet scan by the optimizer.
fn filtered(
    state: &dyn Session,
    files: &[Arc<DataFile>],
    source: &Source,
    columns: &[usize],
    kept: &Arc<dyn PhysicalExpr>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let mut needed = columns.to_vec();
    for column in collect_columns(kept) {
        if !needed.contains(&column.index()) {
            needed.push(column.index());
        }
    }
    let input = read(state, files, source, &needed, None)?;
    let kept = datafusion::physical_expr::utils::reassign_expr_columns(Arc::clone(kept), input.schema().as_ref())?;
    let filter = FilterExecBuilder::new(kept, input).apply_projection(Some((0..columns.len()).collect()))?;
    Ok(Arc::new(filter.build()?))
}

fn read(
    state: &dyn Session,
    files: &[Arc<DataFile>],
    source: &Source,
    columns: &[usize],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let partition = schema::events().field_with_name(PARTITION_COLUMN)?.clone();
    let table = TableSchema::builder(schema::event_file())
        .with_table_partition_cols(vec![Arc::new(partition)])
        .build();
    let parquet = ParquetSource::new(table)
        .with_table_parquet_options(state.table_options().parquet.clone())
        .with_pushdown_filters(true)
        .with_reorder_filters(true)
        .with_parquet_file_reader_factory(Arc::clone(&source.reader));
    let (groups, sorted) = groups(files, state.config().target_partitions())?;
    let ordering = if sorted {
        vec![order(&schema::events())?]
    } else {
        Vec::new()
    };
    let config = FileScanConfigBuilder::new(source.url.clone(), Arc::new(parquet))
        .with_file_groups(groups)
        .with_statistics(statistics::of_files(files))
        .with_output_ordering(ordering)
        .with_projection_indices(Some(columns.to_vec()))?
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Files side by side. In order if that can be had with so few groups; else of about the same size.
fn groups(files: &[Arc<DataFile>], partitions: usize) -> Result<(Vec<FileGroup>, bool), DataFusionError> {
    let listed = files.iter().map(|file| partitioned(file)).collect::<Vec<_>>();
    if listed.len() <= partitions {
        return Ok((
            listed.into_iter().map(|file| FileGroup::new(vec![file])).collect(),
            true,
        ));
    }
    let all = FileGroup::new(listed.clone());
    let in_order = order(&schema::events())?;
    if let Ok(sorted) = FileScanConfig::split_groups_by_statistics(&schema::events(), &[all], &in_order)
        && sorted.len() <= partitions
    {
        return Ok((sorted, true));
    }
    let mut groups = vec![(0_u64, FileGroup::default()); partitions.max(1)];
    for file in listed {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.object_meta.size;
            group.push(file);
        }
    }
    Ok((groups.into_iter().map(|(_, group)| group).collect(), false))
}

fn order(schema: &Schema) -> Result<LexOrdering, DataFusionError> {
    let columns = SORT_COLUMNS
        .iter()
        .map(|name| Ok(PhysicalSortExpr::new_default(col(name, schema)?).asc()));
    let columns = columns.collect::<Result<Vec<_>, DataFusionError>>()?;
    LexOrdering::new(columns).ok_or_else(|| DataFusionError::Internal("events have no sort columns".into()))
}

fn partitioned(file: &DataFile) -> PartitionedFile {
    let meta = ObjectMeta {
        location: file.path.clone(),
        // The cache of footers compares it; files never change.
        last_modified: DateTime::from_timestamp_micros(file.written_at).unwrap_or_default(),
        size: file.size,
        e_tag: None,
        version: None,
    };
    PartitionedFile::new_from_meta(meta)
        .with_partition_values(vec![statistics::date(file)])
        .with_statistics(Arc::new(statistics::of_file(file)))
}
