//! A consistent version of one table, and of all tables.

mod files;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use footfall_model::clock::Micros;
use footfall_model::table::TableSpec;
use object_store::path::Path;

use crate::ColumnStatistics;
pub use files::FileChunk;
pub(crate) use files::Files;

/// One Parquet file of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// Relative to the shard's root, which is also the root of its store.
    pub path: Path,
    /// Bytes.
    pub size: u64,
    /// `None`: unknown, which is not zero.
    pub rows: Option<u64>,
    /// When it was written; the Delta log keeps milliseconds.
    pub written_at: Micros,
    /// The value of the partition column: days since 1970-01-01 (Arrow's Date32).
    pub partition_date: i32,
    /// Of [`TableSpec::statistics_columns`], in their order; empty if nothing is known.
    pub statistics: Box<[ColumnStatistics]>,
    pub origin: Origin,
    /// Our other tags, without the prefix `footfall.`
    pub tags: Vec<(String, String)>,
}

/// Where a file's rows come from; the Delta tag `footfall.origin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// The write-ahead log.
    Wal,
    /// An import, which bypasses the WAL.
    Import,
    /// Other files of the table.
    Compaction,
    /// Another program wrote the file: its rows may be of any origin.
    #[default]
    Foreign,
}

impl Origin {
    /// The tag's value; `None` without a tag.
    pub(crate) fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Wal => Some("wal"),
            Self::Import => Some("import"),
            Self::Compaction => Some("compaction"),
            Self::Foreign => None,
        }
    }

    pub(crate) fn parse(tag: Option<&str>) -> Self {
        let known = [Self::Wal, Self::Import, Self::Compaction];
        known
            .into_iter()
            .find(|origin| origin.as_str() == tag)
            .unwrap_or_default()
    }
}

impl DataFile {
    /// Statistics of a column of the table.
    pub fn column(&self, spec: &TableSpec, name: &str) -> Option<&ColumnStatistics> {
        let nth = spec.statistics_columns().position(|column| column == name)?;
        self.statistics.get(nth)
    }

    /// Its name in its folder, without the extension.
    pub fn stem(&self) -> &str {
        let name = self.path.filename().unwrap_or_default();
        name.strip_suffix(".parquet").unwrap_or(name)
    }
}

/// One whole version of a table. Cheap to clone and never changes: a reader pins one and keeps it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    version: u64,
    files: Files,
}

impl Snapshot {
    pub fn new(spec: Arc<TableSpec>, version: u64, files: impl IntoIterator<Item = DataFile>) -> Self {
        let files = Files::new(spec, files.into_iter().map(Arc::new));
        Self { version, files }
    }

    /// The Delta version.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn spec(&self) -> &Arc<TableSpec> {
        self.files.spec()
    }

    /// All files, oldest additions first.
    pub fn files(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.chunks().iter().flat_map(|chunk| chunk.files())
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.chunks().iter().map(|chunk| chunk.files().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks().is_empty()
    }

    /// The files in chunks, which versions share along with whatever was computed for a chunk.
    pub fn chunks(&self) -> &[Arc<FileChunk>] {
        self.files.chunks()
    }

    /// The live file of this path.
    pub fn file(&self, path: &Path) -> Option<&Arc<DataFile>> {
        self.files.get(path)
    }

    /// This version with some of its files only.
    pub fn filter(&self, keep: impl Fn(&DataFile) -> bool) -> Self {
        let kept = self.files().filter(|file| keep(file)).cloned();
        Self {
            version: self.version,
            files: Files::new(Arc::clone(self.spec()), kept),
        }
    }

    /// The files that an earlier version of the same table does not have.
    pub fn added_since<'a>(&'a self, earlier: &'a Self) -> impl Iterator<Item = &'a Arc<DataFile>> {
        let shared: HashSet<_> = earlier.chunks().iter().map(Arc::as_ptr).collect();
        let chunks = self
            .chunks()
            .iter()
            .filter(move |chunk| !shared.contains(&Arc::as_ptr(chunk)));
        let files = chunks.flat_map(|chunk| chunk.files());
        files.filter(|file| earlier.file(&file.path).is_none())
    }

    /// The next version: without `removed` and with `added`; an added file replaces one with the same path.
    pub(crate) fn next(&self, version: u64, removed: &[Path], added: Vec<DataFile>) -> Self {
        Self {
            version,
            files: self.files.with(removed, added),
        }
    }
}

/// One version of every table, pinned at once.
#[derive(Debug, Clone)]
pub struct LakeSnapshot {
    tables: BTreeMap<String, Snapshot>,
}

impl LakeSnapshot {
    pub(crate) fn new(tables: impl IntoIterator<Item = (String, Snapshot)>) -> Self {
        Self {
            tables: tables.into_iter().collect(),
        }
    }

    pub fn table(&self, name: &str) -> Option<&Snapshot> {
        self.tables.get(name)
    }

    /// Names and snapshots.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Snapshot)> {
        self.tables.iter().map(|(name, snapshot)| (name.as_str(), snapshot))
    }
}

#[cfg(test)]
pub(crate) fn test_file(name: &str) -> DataFile {
    DataFile {
        path: Path::from(format!("events/event_date=1970-01-01/{name}.parquet")),
        size: 1_000,
        rows: None,
        written_at: 0,
        partition_date: 0,
        statistics: Box::default(),
        origin: Origin::Foreign,
        tags: Vec::new(),
    }
}
