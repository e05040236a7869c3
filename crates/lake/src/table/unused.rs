//! Files in a table's folder that no live version names, and their deletion: the mechanism of vacuum.
//!
//! ```text
//! live files, then tombstones (the `remove` actions that the Delta log still has), then the folder's list
//! a file that is neither live nor has a tombstone: never committed, about to be, or removed long ago
//! ```
//!
//! In that order, a file that another process removes meanwhile counts as live, and one that it commits has been stored
//! shortly before. Whether a file is old enough to be deleted is not decided here.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::DeltaTable;
use footfall_model::clock::Micros;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

use super::{Table, malformed};
use crate::blocking::in_runtime;
use crate::{LakeError, Snapshot, layout};

/// Files that are deleted between two looks at the newest version.
const BATCH: usize = 10_000;

/// A data file that no live version names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedFile {
    /// Relative to the shard's root.
    pub path: Path,
    pub bytes: u64,
    pub why: Unused,
}

/// Why a file is not live, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unused {
    /// A version removed it. Queries that have pinned an earlier one may still read it.
    Removed(Micros),
    /// The Delta log does not name it; it was stored at that time. It may wait for its commit.
    Unnamed(Micros),
}

/// What was deleted.
#[derive(Debug, Default)]
pub struct Deleted {
    pub files: u64,
    pub bytes: u64,
    /// Files that the store did not delete, and its first error; the next vacuum finds them again.
    pub failed: u64,
    pub error: Option<object_store::Error>,
}

/// The names that a Delta log knows.
struct Names {
    live: Snapshot,
    /// When each removed file was removed last, and its bytes.
    removed: HashMap<Path, (Micros, u64)>,
}

impl Table {
    /// The files that versions have removed, as far as the Delta log still knows them: cheap, but they may have been
    /// deleted before.
    ///
    /// # Errors
    /// The store's, or the table can't be followed.
    pub async fn removed_files(&self) -> Result<Vec<UnusedFile>, LakeError> {
        let Names { live, removed } = self.names().await?;
        let unused = removed.into_iter().filter(|(path, _)| live.file(path).is_none());
        Ok(unused
            .map(|(path, (at, bytes))| UnusedFile {
                path,
                bytes,
                why: Unused::Removed(at),
            })
            .collect())
    }

    /// All files in the table's folders that are not live: lists them, one partition after the other.
    ///
    /// # Errors
    /// As [`Table::removed_files`].
    pub async fn unused_files(&self) -> Result<Vec<UnusedFile>, LakeError> {
        let names = self.names().await?;
        let folder = layout::folder(&self.spec);
        let found = self.store.list_with_delimiter(Some(&folder)).await;
        let found = found.map_err(LakeError::store(&folder))?;
        let prefix = format!("{}=", self.spec.partition().name());
        let is_partition = |path: &Path| path.filename().is_some_and(|name| name.starts_with(&prefix));
        let mut unused = Vec::new();
        for partition in found.common_prefixes.into_iter().filter(is_partition) {
            let mut objects = self.store.list(Some(&partition));
            while let Some(object) = objects.try_next().await.map_err(LakeError::store(&partition))? {
                unused.extend(names.unused(object));
            }
        }
        Ok(unused)
    }

    /// Deletes those of these files that are still not live. The store deletes some at a time.
    ///
    /// # Errors
    /// The newest version can't be read.
    pub async fn delete_unused(&self, files: &[UnusedFile]) -> Result<Deleted, LakeError> {
        let mut deleted = Deleted::default();
        for batch in files.chunks(BATCH) {
            self.refresh().await?;
            let live = self.snapshot();
            let batch: Vec<_> = batch.iter().filter(|file| live.file(&file.path).is_none()).collect();
            let paths: Vec<_> = batch.iter().map(|file| Ok(file.path.clone())).collect();
            let bytes: HashMap<&Path, u64> = batch.iter().map(|file| (&file.path, file.bytes)).collect();
            let mut done = self.store.delete_stream(stream::iter(paths).boxed());
            while let Some(outcome) = done.next().await {
                match outcome {
                    Ok(path) => {
                        deleted.files += 1;
                        deleted.bytes += bytes.get(&path).copied().unwrap_or_default();
                    }
                    // An earlier vacuum has deleted it.
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => {
                        deleted.failed += 1;
                        deleted.error.get_or_insert(error);
                    }
                }
            }
        }
        Ok(deleted)
    }

    async fn names(&self) -> Result<Names, LakeError> {
        self.refresh().await?;
        let live = self.snapshot();
        let removed = in_runtime(self.tombstones()).await?;
        Ok(Names { live, removed })
    }

    async fn tombstones(&self) -> Result<HashMap<Path, (Micros, u64)>, LakeError> {
        let mut table = DeltaTable::new(Arc::clone(&self.log));
        table.load().await.map_err(LakeError::unread)?;
        let state = table.snapshot().map_err(LakeError::unread)?;
        let mut removed: HashMap<Path, (Micros, u64)> = HashMap::new();
        let mut tombstones = state.all_tombstones(self.log.as_ref());
        let log = layout::log_folder(&self.spec);
        while let Some(tombstone) = tombstones.try_next().await.map_err(LakeError::unread)? {
            let path = layout::shard_path(&self.spec, &tombstone.path()).map_err(malformed(&log))?;
            // Delta's writers may leave the time out, which then reads as 0: such a file is left to the folder's list.
            let at = tombstone.deletion_timestamp().unwrap_or_default().saturating_mul(1_000);
            let bytes = tombstone.size().and_then(|size| u64::try_from(size).ok());
            let last = removed.entry(path).or_default();
            *last = (*last).max((at, bytes.unwrap_or_default()));
        }
        removed.retain(|_, (at, _)| *at > 0);
        Ok(removed)
    }
}

impl Names {
    /// `None` if the object is live, or not a data file.
    fn unused(&self, object: ObjectMeta) -> Option<UnusedFile> {
        let is_data = object
            .location
            .filename()
            .is_some_and(|name| name.ends_with(".parquet"));
        if !is_data || self.live.file(&object.location).is_some() {
            return None;
        }
        let why = match self.removed.get(&object.location) {
            Some((at, _)) => Unused::Removed(*at),
            None => Unused::Unnamed(object.last_modified.timestamp_micros()),
        };
        Some(UnusedFile {
            path: object.location,
            bytes: object.size,
            why,
        })
    }
}
