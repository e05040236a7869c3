//! One whole version of a table.

use std::sync::Arc;

use footfall_model::clock::Micros;
use object_store::path::Path;

/// Smallest and largest value of a column in a file, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range<T> {
    pub min: T,
    pub max: T,
}

/// One Parquet file of `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Relative to the table's root, which is also the root of the table's store.
    pub path: Path,
    /// Bytes.
    pub size: u64,
    pub rows: u64,
    /// When it was written; the Delta log keeps milliseconds.
    pub written_at: Micros,
    /// Days since 1970-01-01 (Arrow's Date32).
    pub event_date: i32,
    /// `None`: unknown, so the file can't be pruned by it. Minimum and maximum may be truncated outwards: exact only
    /// if the values are short (32 characters).
    pub tracking_id: Option<Range<String>>,
    pub client_hash: Option<Range<i64>>,
    pub event_timestamp: Option<Range<Micros>>,
}

/// One whole version of a table. Cheap to clone and never changes: a reader pins one and keeps it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub version: u64,
    pub files: Arc<[Arc<DataFile>]>,
}
