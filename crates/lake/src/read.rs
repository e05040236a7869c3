//! Reads files in batches, for the few callers that read them without SQL.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use bytes::Bytes;
use footfall_model::table::TableSpec;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use crate::{DataFile, LakeError};

/// The values of a text column that a reader needs, both bounds included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRange {
    pub column: &'static str,
    pub min: String,
    pub max: String,
}

/// The named columns of `file`, fetched from the store one row group at a time.
pub async fn read_columns(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    columns: &[&str],
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    read_columns_in(store, file, columns, None).await
}

/// The same, without row groups that have no row in `range`. Rows outside of it may come all the same.
pub async fn read_columns_in(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    columns: &[&str],
    range: Option<&TextRange>,
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    let unreadable = unreadable(file);
    let builder = open(store, file).await?;
    let wanted = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let groups = builder.metadata().row_groups().iter().enumerate();
    let groups = groups.filter(|(_, group)| range.is_none_or(|range| may_have(group, range)));
    let groups = groups.map(|(index, _)| index).collect();
    let builder = builder.with_projection(wanted).with_row_groups(groups);
    let batches = builder.build().map_err(&unreadable)?;
    Ok(batches.map_err(unreadable).boxed())
}

/// Whether a row of the group may be in the range, by the file's own statistics.
fn may_have(group: &RowGroupMetaData, range: &TextRange) -> bool {
    let column = group
        .columns()
        .iter()
        .find(|column| column.column_path().string() == range.column);
    // Older writers compared bytes as signed numbers.
    let statistics = column
        .and_then(|column| column.statistics())
        .filter(|known| !known.is_min_max_deprecated());
    let Some(bounds) = statistics.and_then(|known| Some((known.min_bytes_opt()?, known.max_bytes_opt()?))) else {
        return true;
    };
    bounds.0 <= range.max.as_bytes() && range.min.as_bytes() <= bounds.1
}

/// The most of a file that a reader takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    pub rows: usize,
    /// Of rows as large as those of the file's largest row group are on average.
    pub bytes: usize,
}

impl BatchLimit {
    /// At least one row.
    fn rows_of(self, file: &ParquetMetaData) -> usize {
        let row_bytes = file
            .row_groups()
            .iter()
            .map(|group| decoded_bytes(group) / group.num_rows().max(1));
        let largest = usize::try_from(row_bytes.max().unwrap_or_default()).unwrap_or(usize::MAX);
        (self.bytes / largest.max(1)).min(self.rows).max(1)
    }
}

/// Bytes of a row group in memory, about: texts as the writer counted them, else as they are encoded.
fn decoded_bytes(group: &RowGroupMetaData) -> i64 {
    let fixed = 8 * group.num_rows();
    let bytes = group.columns().iter().map(|column| {
        let texts = column.unencoded_byte_array_data_bytes();
        texts.unwrap_or(column.uncompressed_size()).saturating_add(fixed)
    });
    bytes.fold(0, i64::saturating_add)
}

/// The rows of `file` with exactly the columns of the table's files, at most `limit` at once. A column that was added to
/// the table after the file was written is null.
///
/// # Errors
/// `Unreadable` with the file's path: the store failed, the file is damaged, or it lacks a column that is never null.
pub async fn read_rows(
    store: &Arc<dyn ObjectStore>,
    spec: &Arc<TableSpec>,
    file: &DataFile,
    limit: BatchLimit,
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    let unreadable = unreadable(file);
    let builder = open(store, file).await?;
    let known = spec.file_schema().fields().iter().map(|field| field.name().as_str());
    let wanted = ProjectionMask::columns(builder.parquet_schema(), known);
    let batch_rows = limit.rows_of(builder.metadata());
    let builder = builder.with_projection(wanted).with_batch_size(batch_rows);
    let schema = Arc::clone(spec.file_schema());
    let batches = builder.build().map_err(&unreadable)?;
    let conformed = batches.map(move |batch| batch.and_then(|batch| Ok(conform(&schema, &batch)?)));
    Ok(conformed.map_err(unreadable).boxed())
}

/// As [`read_rows`], only these columns of the table's files, in this order, and without row groups that have no row in
/// `range`. Rows outside of it may come all the same.
///
/// # Errors
/// As [`read_rows`], or a column is not one of the table's.
pub async fn read_rows_in(
    store: &Arc<dyn ObjectStore>,
    spec: &Arc<TableSpec>,
    file: &DataFile,
    columns: &[&str],
    range: Option<&TextRange>,
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    let unreadable = unreadable(file);
    let indices = columns.iter().map(|name| spec.file_schema().index_of(name));
    let indices = indices.collect::<Result<Vec<_>, _>>();
    let schema = indices.and_then(|indices| spec.file_schema().project(&indices));
    let schema = Arc::new(schema.map_err(|error| unreadable(error.into()))?);
    let batches = read_columns_in(store, file, columns, range).await?;
    let conformed = batches.map(move |batch| Ok(conform(&schema, &batch?)));
    let conformed = conformed.map(move |batch| batch.and_then(|batch| batch.map_err(|error| unreadable(error.into()))));
    Ok(conformed.boxed())
}

/// Other writers order columns as they like, and store times in other units.
fn conform(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

async fn open(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
) -> Result<ParquetRecordBatchStreamBuilder<FileReader>, LakeError> {
    let reader = FileReader {
        store: Arc::clone(store),
        path: file.path.clone(),
        size: file.size,
    };
    // Other writers may embed their own Arrow types for the same columns.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options).await;
    builder.map_err(unreadable(file))
}

fn unreadable(file: &DataFile) -> impl Fn(ParquetError) -> LakeError + Send + 'static {
    let path = file.path.clone();
    move |source| LakeError::Unreadable {
        path: path.clone(),
        source,
    }
}

/// The file's own metadata.
pub(crate) async fn read_footer(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
) -> Result<Arc<ParquetMetaData>, LakeError> {
    let mut reader = FileReader {
        store: Arc::clone(store),
        path: file.path.clone(),
        size: file.size,
    };
    reader.get_metadata(None).await.map_err(|source| LakeError::Unreadable {
        path: file.path.clone(),
        source,
    })
}

struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { self.store.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let metadata = ParquetMetaDataReader::new().load_and_finish(self, size).await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, StringArray};
    use object_store::memory::InMemory;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties};

    use super::*;
    use crate::snapshot::test_file;

    /// A file of these sites, two to a row group.
    async fn stored(sites: &[&str], statistics: EnabledStatistics) -> (Arc<dyn ObjectStore>, DataFile) {
        let column: ArrayRef = Arc::new(StringArray::from(sites.to_vec()));
        let rows = RecordBatch::try_from_iter([("tracking_id", column)]).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(2))
            .set_statistics_enabled(statistics)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let file = DataFile {
            size: bytes.len() as u64,
            ..test_file("a")
        };
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        store.put(&file.path, bytes.into()).await.unwrap();
        (store, file)
    }

    async fn read(statistics: EnabledStatistics, range: Option<(&str, &str)>) -> Vec<String> {
        let (store, file) = stored(&["a", "b", "c", "c", "d", "x"], statistics).await;
        let range = range.map(|(min, max)| TextRange {
            column: "tracking_id",
            min: min.into(),
            max: max.into(),
        });
        let batches = read_columns_in(&store, &file, &["tracking_id"], range.as_ref())
            .await
            .unwrap();
        let batches: Vec<_> = batches.try_collect().await.unwrap();
        let sites = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>());
        sites.map(|site| site.unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn batches_of_large_rows_are_small() {
        let large = "x".repeat(1_000);
        let (store, file) = stored(&["a", &large, &large, &large], EnabledStatistics::Page).await;
        let metadata = read_footer(&store, &file).await.unwrap();
        let rows = |rows, bytes| BatchLimit { rows, bytes }.rows_of(&metadata);
        assert_eq!(rows(8, 1 << 20), 8);
        assert_eq!(rows(1_000, 10_000), 9, "a row of the second group has 1,008 bytes");
        assert_eq!(rows(1_000, 10), 1);
    }

    #[tokio::test]
    async fn row_groups_outside_of_range_are_not_read() {
        let all = EnabledStatistics::Page;
        assert_eq!(read(all, None).await.len(), 6);
        for (range, sites) in [
            (("c", "c"), &["c", "c"][..]),
            (("b", "c"), &["a", "b", "c", "c"]),
            (("e", "f"), &["d", "x"]),
            (("x", "z"), &["d", "x"]),
            (("y", "z"), &[]),
            (("", "Z"), &[]),
        ] {
            assert_eq!(read(all, Some(range)).await, sites, "{range:?}");
        }
        assert_eq!(
            read(EnabledStatistics::None, Some(("y", "z"))).await.len(),
            6,
            "nothing is known"
        );
    }
}
