//! The plan that reads the files that pruning left.

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
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use footfall_lake::DataFile;
use footfall_model::table::{SITE_COLUMN, TableSpec};
use object_store::{ObjectMeta, ObjectStore};

use super::prune::PrunedFiles;
use super::reader::WithPageIndex;
use super::site_filter::{SiteFilterExec, SiteScan};
use super::statistics;
use crate::store;

/// What all scans of a table share.
#[derive(Debug)]
pub(crate) struct TableReader {
    spec: Arc<TableSpec>,
    schema: TableSchema,
    parquet: TableParquetOptions,
    files: Arc<WithPageIndex>,
    order: Option<LexOrdering>,
}

/// What to read.
pub(super) struct Scan<'a> {
    pub(super) files: PrunedFiles,
    pub(super) projection: Option<&'a [usize]>,
    /// Over the table's schema; the Parquet reader skips row groups, pages and rows by them.
    pub(super) conditions: Vec<Arc<dyn PhysicalExpr>>,
    /// The number of rows that suffices.
    pub(super) limit: Option<usize>,
}

impl TableReader {
    pub(crate) fn new(spec: &Arc<TableSpec>, store: &Arc<dyn ObjectStore>, runtime: &RuntimeEnv) -> Result<Self> {
        let mut parquet = TableParquetOptions::default();
        parquet.global.pushdown_filters = true;
        let sorted = spec.sort_columns().map(|name| {
            let column = Column::new_with_schema(name, spec.table_schema())?;
            Ok(PhysicalSortExpr::new_default(Arc::new(column)).asc())
        });
        Ok(Self {
            spec: Arc::clone(spec),
            schema: TableSchema::builder(Arc::clone(spec.file_schema()))
                .with_table_partition_cols(vec![Arc::new(spec.partition().clone())])
                .build(),
            parquet,
            files: Arc::new(WithPageIndex(CachedParquetFileReaderFactory::new(
                Arc::clone(store),
                runtime.cache_manager.get_file_metadata_cache(),
            ))),
            order: LexOrdering::new(sorted.collect::<Result<Vec<_>>>()?),
        })
    }

    pub(super) fn spec(&self) -> &Arc<TableSpec> {
        &self.spec
    }

    /// Reads files whose rows the caller may all see, with every optimization of DataFusion.
    pub(super) fn scan(&self, scan: Scan<'_>, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = self.projection(&scan);
        let mut files = scan.files.whole;
        if let Some(limit) = scan.limit {
            files = enough(files, limit);
        }
        if files.is_empty() {
            let schema = self.spec.table_schema().project(&projection)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
        }
        let files: Vec<_> = files.iter().map(|file| partitioned(&self.spec, file)).collect();
        let statistics = statistics::of_files(&self.spec, &files)?;
        let (groups, ordered) = self.groups(files, session.config().target_partitions());
        let order = self.order.clone().filter(|_| ordered);
        let source = self.source(scan.conditions, true);
        let config = FileScanConfigBuilder::new(store::root(store::WHOLE)?, source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_output_ordering(order.into_iter().collect())
            .with_projection_indices(Some(projection))?
            .with_limit(scan.limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// Reads files that may hold other sites' rows, and keeps those of `sites`. See [`SiteFilterExec`].
    pub(super) fn scan_of_sites(
        &self,
        scan: Scan<'_>,
        sites: &Arc<BTreeSet<String>>,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = self.projection(&scan);
        let PrunedFiles { mut whole, shared } = scan.files;
        let mut counted = 0;
        if projection.is_empty() && scan.conditions.is_empty() {
            let rows: Vec<_> = whole.iter().filter_map(|file| file.rows).collect();
            whole.retain(|file| file.rows.is_none());
            counted = rows.into_iter().fold(0, u64::saturating_add);
        }
        let files = whole.into_iter().chain(shared).collect();
        let input = self.shared_scan(files, &projection, &scan.conditions, sites, session)?;
        Ok(Arc::new(SiteFilterExec::new(SiteScan {
            table: self.spec.name().into(),
            sites: Arc::clone(sites),
            scan: input,
            conditions: scan.conditions,
            counted,
            fetch: scan.limit,
            schema: Arc::new(self.spec.table_schema().project(&projection)?),
            partitions: session.config().target_partitions(),
        })))
    }

    /// The columns of `projection`, then the site. Without a declared order, and in an order that other sites' rows
    /// don't change.
    fn shared_scan(
        &self,
        mut files: Vec<Arc<DataFile>>,
        projection: &[usize],
        conditions: &[Arc<dyn PhysicalExpr>],
        sites: &BTreeSet<String>,
        session: &dyn Session,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if files.is_empty() {
            return Ok(None);
        }
        files.sort_by(|a, b| {
            let key = |file: &DataFile| (file.partition_date, file.written_at);
            key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
        });
        let site = self.spec.table_schema().index_of(SITE_COLUMN)?;
        let read = projection.iter().copied().chain([site]).collect();
        let conditions = [self.of_sites(sites, session)?]
            .into_iter()
            .chain(conditions.iter().cloned());
        let source = self.source(conditions.collect(), false);
        let config = FileScanConfigBuilder::new(store::root(store::SHARED)?, source)
            .with_file_groups(self.dealt(&files, session.config().target_partitions()))
            .with_projection_indices(Some(read))?
            .build();
        let scan = DataSourceExec::from_data_source(config);
        let settings = session.config_options();
        let split = scan.repartitioned(session.config().target_partitions(), settings)?;
        Ok(Some(split.unwrap_or(scan)))
    }

    fn projection(&self, scan: &Scan<'_>) -> Vec<usize> {
        let all = || (0..self.spec.table_schema().fields().len()).collect();
        scan.projection.map_or_else(all, <[usize]>::to_vec)
    }

    fn of_sites(&self, sites: &BTreeSet<String>, session: &dyn Session) -> Result<Arc<dyn PhysicalExpr>> {
        let list = sites.iter().map(|site| lit(site.as_str())).collect();
        let schema = DFSchema::try_from(self.spec.table_schema().as_ref().clone())?;
        session.create_physical_expr(col(SITE_COLUMN).in_list(list, false), &schema)
    }

    fn source(&self, conditions: Vec<Arc<dyn PhysicalExpr>>, reorder: bool) -> Arc<ParquetSource> {
        let mut parquet = self.parquet.clone();
        parquet.global.reorder_filters = reorder;
        let mut source = ParquetSource::new(self.schema.clone())
            .with_table_parquet_options(parquet)
            .with_parquet_file_reader_factory(Arc::clone(&self.files) as _);
        if !conditions.is_empty() {
            source = source.with_predicate(conjunction(conditions));
        }
        Arc::new(source)
    }

    /// Groups of files that are read concurrently, and whether each group as a whole is in the table's order.
    fn groups(&self, files: Vec<PartitionedFile>, partitions: usize) -> (Vec<FileGroup>, bool) {
        if let Some(order) = &self.order {
            let all = [FileGroup::new(files.clone())];
            let groups = FileScanConfig::split_groups_by_statistics_with_target_partitions(
                self.schema.table_schema(),
                &all,
                order,
                partitions,
            );
            // Without statistics no order can be kept; with many overlaps, keeping it would cost parallelism.
            if let Ok(groups) = groups
                && groups.len() <= partitions
            {
                return (
                    groups.into_iter().map(|group| self.with_statistics(group)).collect(),
                    true,
                );
            }
        }
        let groups = balanced(files, partitions).into_iter();
        (groups.map(|group| self.with_statistics(group)).collect(), false)
    }

    /// Distributes files over the groups in turn, whatever their sizes: sizes reveal other sites' rows.
    fn dealt(&self, files: &[Arc<DataFile>], partitions: usize) -> Vec<FileGroup> {
        let turns = partitions.clamp(1, files.len().max(1));
        let mut groups = vec![Vec::new(); turns];
        for (turn, file) in files.iter().enumerate() {
            groups[turn % turns].push(PartitionedFile {
                statistics: None,
                ..partitioned(&self.spec, file)
            });
        }
        groups.into_iter().map(FileGroup::new).collect()
    }

    fn with_statistics(&self, group: FileGroup) -> FileGroup {
        match statistics::of_files(&self.spec, group.files()) {
            Ok(statistics) => group.with_statistics(Arc::new(statistics)),
            Err(_) => group,
        }
    }
}

pub(super) fn partitioned(spec: &TableSpec, file: &DataFile) -> PartitionedFile {
    let meta = ObjectMeta {
        location: file.path.clone(),
        last_modified: chrono::DateTime::from_timestamp_micros(file.written_at).unwrap_or_default(),
        size: file.size,
        e_tag: None,
        version: None,
    };
    let date = ScalarValue::Date32(Some(file.partition_date));
    let mut partitioned = PartitionedFile::new_from_meta(meta).with_partition_values(vec![date]);
    // Not with `with_statistics`, which would take the date's for those of the column after the last known one.
    partitioned.statistics = Some(Arc::new(statistics::of_file(spec, file)));
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

/// As many files as hold `limit` rows, if every row counts.
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
