//! The plan that reads the files that are left.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use footfall_lake::DataFile;
use footfall_model::schema;
use object_store::{ObjectMeta, ObjectStore};

use super::site_filter::SiteCondition;
use super::statistics;
use crate::store;

/// What all scans of the table share.
#[derive(Debug)]
pub(crate) struct EventsReader {
    root: ObjectStoreUrl,
    schema: TableSchema,
    parquet: TableParquetOptions,
    files: Arc<CachedParquetFileReaderFactory>,
    order: Option<LexOrdering>,
}

impl EventsReader {
    pub(crate) fn new(store: &Arc<dyn ObjectStore>, runtime: &RuntimeEnv) -> Result<Self> {
        let table = schema::events();
        let partition = table.field_with_name(schema::PARTITION_COLUMN)?.clone();
        let mut parquet = TableParquetOptions::default();
        parquet.global.pushdown_filters = true;
        parquet.global.reorder_filters = true;
        let sorted = schema::SORT_COLUMNS.iter().map(|name| {
            let column = Column::new_with_schema(name, &table)?;
            Ok(PhysicalSortExpr::new_default(Arc::new(column)).asc())
        });
        Ok(Self {
            root: store::root()?,
            schema: TableSchema::builder(schema::event_file())
                .with_table_partition_cols(vec![Arc::new(partition)])
                .build(),
            parquet,
            files: Arc::new(CachedParquetFileReaderFactory::new(
                Arc::clone(store),
                runtime.cache_manager.get_file_metadata_cache(),
            )),
            order: LexOrdering::new(sorted.collect::<Result<Vec<_>>>()?),
        })
    }

    /// Reads `scan.files`.
    pub(super) fn plan(&self, scan: Scan<'_>, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let table = self.schema.table_schema();
        let all = || (0..table.fields().len()).collect();
        let projection: Vec<usize> = scan.projection.map_or_else(all, <[usize]>::to_vec);
        if scan.files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(table.project(&projection)?))));
        }
        let Some(sites) = scan.only else {
            return self.data_source(&scan.files, projection, scan.conditions, scan.limit, session);
        };
        let conditions = scan.conditions.into_iter().chain([of_sites(&sites, session)?]);
        self.guarded(&scan.files, &projection, conditions.collect(), sites, session)
    }

    /// A scan whose rows are checked again, one by one, before anybody sees them.
    fn guarded(
        &self,
        files: &[Arc<DataFile>],
        projection: &[usize],
        conditions: Vec<Arc<dyn PhysicalExpr>>,
        sites: Arc<BTreeSet<String>>,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let site = self.schema.table_schema().index_of("tracking_id")?;
        let mut read = projection.to_vec();
        let index = read.iter().position(|column| *column == site).unwrap_or_else(|| {
            read.push(site);
            read.len() - 1
        });
        let source = self.data_source(files, read, conditions, None, session)?;
        let site_filter = SiteCondition::new(Arc::new(Column::new("tracking_id", index)), sites);
        let filter = FilterExecBuilder::new(Arc::new(site_filter), source)
            .apply_projection(Some((0..projection.len()).collect()))?
            .with_batch_size(session.config().batch_size());
        Ok(Arc::new(filter.build()?))
    }

    fn data_source(
        &self,
        files: &[Arc<DataFile>],
        projection: Vec<usize>,
        conditions: Vec<Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(self.parquet.clone())
            .with_parquet_file_reader_factory(Arc::clone(&self.files) as _);
        if !conditions.is_empty() {
            source = source.with_predicate(conjunction(conditions));
        }
        let files: Vec<_> = files.iter().map(|file| partitioned(file)).collect();
        let statistics = statistics::of_files(&files)?;
        let (groups, ordered) = self.groups(files, session.config().target_partitions());
        let order = self.order.clone().filter(|_| ordered);
        let config = FileScanConfigBuilder::new(self.root.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_output_ordering(order.into_iter().collect())
            .with_projection_indices(Some(projection))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// Files in groups that are read side by side, and whether each group as a whole is in the table's order.
    fn groups(&self, files: Vec<PartitionedFile>, partitions: usize) -> (Vec<FileGroup>, bool) {
        if let Some(order) = &self.order {
            let all = [FileGroup::new(files.clone())];
            let groups = FileScanConfig::split_groups_by_statistics_with_target_partitions(
                self.schema.table_schema(),
                &all,
                order,
                partitions,
            );
            // Without statistics there is no order to be kept; with many overlaps, keeping it would cost parallelism.
            if let Ok(groups) = groups
                && groups.len() <= partitions
            {
                return (groups.into_iter().map(with_statistics).collect(), true);
            }
        }
        let groups = balanced(files, partitions).into_iter();
        (groups.map(with_statistics).collect(), false)
    }
}

/// What to read.
pub(super) struct Scan<'a> {
    pub(super) files: Vec<Arc<DataFile>>,
    pub(super) projection: Option<&'a [usize]>,
    /// Over the table's schema; the Parquet reader skips row groups, pages and rows by them.
    pub(super) conditions: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) limit: Option<usize>,
    /// The sites to keep; `None` if the files hold no others.
    pub(super) only: Option<Arc<BTreeSet<String>>>,
}

fn of_sites(sites: &BTreeSet<String>, session: &dyn Session) -> Result<Arc<dyn PhysicalExpr>> {
    let list = sites.iter().map(|site| lit(site.as_str())).collect();
    let schema = DFSchema::try_from(schema::events())?;
    session.create_physical_expr(col("tracking_id").in_list(list, false), &schema)
}

fn with_statistics(group: FileGroup) -> FileGroup {
    match statistics::of_files(group.files()) {
        Ok(statistics) => group.with_statistics(Arc::new(statistics)),
        Err(_) => group,
    }
}

pub(super) fn partitioned(file: &DataFile) -> PartitionedFile {
    let meta = ObjectMeta {
        location: file.path.clone(),
        last_modified: chrono::DateTime::from_timestamp_micros(file.written_at).unwrap_or_default(),
        size: file.size,
        e_tag: None,
        version: None,
    };
    let date = ScalarValue::Date32(Some(file.partition_date));
    let mut partitioned = PartitionedFile::new_from_meta(meta).with_partition_values(vec![date]);
    // Not by `with_statistics`, which would take the date's for those of the column after the last that is known.
    partitioned.statistics = Some(Arc::new(statistics::of_file(file)));
    partitioned
}

/// Largest files first, each to the group with the fewest bytes.
fn balanced(mut files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    files.sort_by_key(|file| std::cmp::Reverse(file.object_meta.size));
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); partitions.clamp(1, files.len().max(1))];
    for file in files {
        if let Some(smallest) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            smallest.0 += file.object_meta.size;
            smallest.1.push(file);
        }
    }
    groups.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}

/// Enough files for `limit` rows, if all rows of them will do.
pub(super) fn enough(files: Vec<Arc<DataFile>>, limit: usize) -> Vec<Arc<DataFile>> {
    let mut rows = 0_u64;
    let limit = limit as u64;
    files
        .into_iter()
        .take_while(|file| {
            let more = rows < limit;
            rows = rows.saturating_add(file.rows.unwrap_or_default());
            more
        })
        .collect()
}
