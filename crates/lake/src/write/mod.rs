//! From rows to Parquet files of a table.
//!
//! ```text
//! RecordBatch (any order, any days) -> partitions: a day each, sorted -> encode -> put -> DataFile, to be committed
//! a day's, sorted, some at a time -> encode_ordered -> put
//! some at a time, of any size -> FileWriter, which stores while it encodes
//! many of them -> split_days -> pieces of each day -> SortedPieces -> encode_pieces -> put
//! ```

mod encode;
mod ordered;
mod pieces;
mod sort;
mod stream;

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use footfall_model::clock::Micros;
use footfall_model::table::TableSpec;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::snapshot::Origin;
use crate::statistics::StatisticsCollector;
use crate::{DataFile, LakeError, blocking, layout};

pub use encode::{ROW_GROUP_BYTES, ROW_GROUP_ROWS};
pub use ordered::encode_ordered;
pub use pieces::SortedPieces;
pub use sort::{Partition, partitions, split_days};
pub use stream::FileWriter;

/// A file to be written.
#[derive(Debug, Clone)]
pub struct NewFile {
    pub spec: Arc<TableSpec>,
    pub partition_date: i32,
    /// Unique over all tables, see [`crate::file_name`].
    pub name: String,
    pub origin: Origin,
    /// Now.
    pub written_at: Micros,
}

impl NewFile {
    pub fn new(
        spec: &Arc<TableSpec>,
        partition_date: i32,
        name: impl Into<String>,
        origin: Origin,
        written_at: Micros,
    ) -> Self {
        Self {
            spec: Arc::clone(spec),
            partition_date,
            name: name.into(),
            origin,
            written_at,
        }
    }

    fn describe(&self, statistics: StatisticsCollector, size: usize) -> DataFile {
        DataFile {
            path: layout::data_path(&self.spec, self.partition_date, &self.name),
            size: size as u64,
            rows: Some(statistics.rows()),
            written_at: self.written_at,
            partition_date: self.partition_date,
            statistics: statistics.finish(),
            origin: self.origin,
            tags: Vec::new(),
        }
    }

    fn statistics(&self, rows: &[RecordBatch]) -> StatisticsCollector {
        let mut statistics = StatisticsCollector::new(&self.spec);
        rows.iter().for_each(|rows| statistics.add(rows));
        statistics
    }
}

/// Writes sorted rows of one partition as a file and returns its entry for a commit. Idempotent.
pub async fn write_file(store: &Arc<dyn ObjectStore>, new: NewFile, rows: RecordBatch) -> Result<DataFile, LakeError> {
    let encoded = blocking(move || {
        let bytes = encode::to_parquet(&new.spec, &rows)?;
        let statistics = new.statistics(std::slice::from_ref(&rows));
        let file = new.describe(statistics, bytes.len());
        Ok::<_, LakeError>(EncodedFile { file, bytes })
    })
    .await
    .map_err(|e| LakeError::Encode(e.to_string()))??;
    encoded.put(store).await
}

/// An encoded file to be stored.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    file: DataFile,
    bytes: Bytes,
}

impl EncodedFile {
    /// Stores the file and returns its entry for a commit. Idempotent.
    ///
    /// # Errors
    /// The store's.
    pub async fn put(self, store: &Arc<dyn ObjectStore>) -> Result<DataFile, LakeError> {
        let path = &self.file.path;
        store
            .put(path, self.bytes.into())
            .await
            .map_err(LakeError::store(path))?;
        Ok(self.file)
    }
}

/// Encodes a file of `rows` on several cores. CPU-bound and slow.
///
/// # Errors
/// They are not of the table's schema.
pub fn encode_pieces(new: &NewFile, rows: &SortedPieces) -> Result<EncodedFile, LakeError> {
    let bytes = encode::pieces_to_parquet(&new.spec, rows)?;
    let file = new.describe(new.statistics(&rows.pieces), bytes.len());
    Ok(EncodedFile { file, bytes })
}
