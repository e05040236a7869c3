//! From rows to Parquet files of `events`.
//!
//! ```text
//! RecordBatch (any order, any days) -> partitions: a day each, sorted -> encode -> put -> DataFile, to be committed
//! a day's, sorted, some at a time -> encode_ordered -> put
//! many of them -> split_days -> pieces of each day -> SortedPieces -> encode_pieces -> put
//! ```

mod encode;
mod ordered;
mod pieces;
mod sort;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{max, max_string, min, min_string};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use footfall_model::clock::Micros;
use footfall_model::schema::SORT_COLUMNS;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::commit::partition_folder;
use crate::{DataFile, LakeError, Range, blocking};

pub use ordered::encode_ordered;
pub use pieces::SortedPieces;
pub use sort::{Partition, partitions, split_days};

/// What the names of imported files begin with: their rows did not come through a log.
pub const IMPORTED: &str = "import-";

/// Writes `partition` as a file named `name` and returns what a commit says of it. Writing it again under the same
/// name changes nothing.
///
/// The caller sees to it that names are unique: `name` bears a commit's id.
pub async fn write_file(
    store: &Arc<dyn ObjectStore>,
    partition: Partition,
    name: &str,
    now: Micros,
) -> Result<DataFile, LakeError> {
    let path = path(partition.event_date, name);
    let encoded = blocking(move || {
        let bytes = encode::to_parquet(&partition.rows)?;
        let file = describe(path, partition.event_date, &[partition.rows], bytes.len(), now);
        Ok::<_, LakeError>(EncodedFile { file, bytes })
    })
    .await
    .map_err(|e| LakeError::Encode(e.to_string()))??;
    encoded.put(store).await
}

/// A file that is to be stored.
#[derive(Debug, Clone)]
pub struct EncodedFile {
    file: DataFile,
    bytes: Bytes,
}

impl EncodedFile {
    /// Stores it and returns what a commit says of it. Doing so again changes nothing.
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

/// Makes a file named `name` of `rows`, on several cores: it computes long.
///
/// # Errors
/// They are not of the schema of `events`.
pub fn encode_pieces(rows: &SortedPieces, name: &str, now: Micros) -> Result<EncodedFile, LakeError> {
    let bytes = encode::pieces_to_parquet(rows)?;
    let path = path(rows.event_date, name);
    let file = describe(path, rows.event_date, &rows.pieces, bytes.len(), now);
    Ok(EncodedFile { file, bytes })
}

fn path(event_date: i32, name: &str) -> Path {
    Path::from(format!("{}/{name}.parquet", partition_folder(event_date)))
}

fn describe(path: Path, event_date: i32, pieces: &[RecordBatch], size: usize, now: Micros) -> DataFile {
    let [site, hash, time] = SORT_COLUMNS;
    let columns = |name| pieces.iter().filter_map(move |piece| piece.column_by_name(name));
    let sites = || columns(site).filter_map(|column| column.as_string_opt::<i32>());
    let hashes = || columns(hash).filter_map(|column| column.as_primitive_opt::<Int64Type>());
    let times = || columns(time).filter_map(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    DataFile {
        path,
        size: size as u64,
        rows: pieces.iter().map(|piece| piece.num_rows() as u64).sum(),
        written_at: now,
        event_date,
        tracking_id: range(
            sites().filter_map(min_string).min().map(String::from),
            sites().filter_map(max_string).max().map(String::from),
        ),
        client_hash: range(hashes().filter_map(min).min(), hashes().filter_map(max).max()),
        event_timestamp: range(times().filter_map(min).min(), times().filter_map(max).max()),
    }
}

fn range<T>(min: Option<T>, max: Option<T>) -> Option<Range<T>> {
    Some(Range { min: min?, max: max? })
}
