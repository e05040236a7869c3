//! Removes what retention has planned, and segments whose files of events are gone.

use std::collections::HashSet;
use std::sync::Arc;

use footfall_lake::{Commit, DataFile, Fence, LakeError, MAX_STAGED, Operation, Table};
use footfall_model::clock::HOUR;
use object_store::path::Path;

use super::{CompactError, Compactor, inputs};
use crate::FileState;
use crate::retention::{self, RetentionTask};

impl Compactor {
    /// What retention has to do now.
    pub fn plan_retention(&self) -> Vec<RetentionTask> {
        retention::plan(&self.events.snapshot(), &self.retention, self.clock.now())
    }

    /// Removes files of days whose retention is over, then their segments. Returns how many rows that were.
    ///
    /// # Errors
    /// The store failed, the files had changed meanwhile (plan again), or the lease is another's.
    pub async fn remove_days(&self, files: &[FileState], fence: Option<&Fence>) -> Result<u64, CompactError> {
        let files = inputs(&self.events.snapshot(), files)?;
        let commit = Commit {
            operation: Operation::Delete,
            remove: files.iter().map(|file| file.path.clone()).collect(),
            fence: fence.cloned(),
            ..Commit::append(self.ids.next_id(), Vec::new())
        };
        self.events.commit(&commit).await?;
        let files: Vec<_> = files.iter().map(|file| DataFile::clone(file)).collect();
        self.remove_segments(&files).await?;
        Ok(files.iter().filter_map(|file| file.rows).sum())
    }

    /// Removes segments whose file of events is not live and can't become it any more: a process was killed between two
    /// of its commits. No query reads them. Returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_orphan_segments(&self) -> Result<usize, CompactError> {
        // Segments first: one whose merge is committed meanwhile is not seen, or its file of events is.
        let segments: Vec<_> = self.segment_tables().map(|table| table.snapshot()).collect();
        self.events.refresh().await?;
        let events = self.events.snapshot();
        let live: HashSet<&str> = events.files().filter_map(|file| file.path.filename()).collect();
        let latest = self.clock.now() - MAX_STAGED - HOUR;
        let is_orphan = |file: &&Arc<DataFile>| {
            file.written_at < latest && file.path.filename().is_some_and(|name| !live.contains(name))
        };
        let mut removed = 0;
        for (table, segments) in self.segment_tables().zip(segments) {
            let orphans: Vec<_> = segments
                .files()
                .filter(is_orphan)
                .map(|file| file.path.clone())
                .collect();
            removed += orphans.len();
            self.remove_from(table, orphans).await?;
        }
        Ok(removed)
    }

    /// Removes the segments that cover these files.
    pub(super) async fn remove_segments(&self, files: &[DataFile]) -> Result<(), CompactError> {
        let names: HashSet<&str> = files.iter().filter_map(|file| file.path.filename()).collect();
        for table in self.segment_tables() {
            let snapshot = table.snapshot();
            let covering = |file: &&Arc<DataFile>| file.path.filename().is_some_and(|name| names.contains(name));
            let remove = snapshot.files().filter(covering).map(|file| file.path.clone());
            self.remove_from(table, remove.collect()).await?;
        }
        Ok(())
    }

    async fn remove_from(&self, table: &Table, remove: Vec<Path>) -> Result<(), CompactError> {
        if remove.is_empty() {
            return Ok(());
        }
        let commit = Commit {
            operation: Operation::Delete,
            remove,
            ..Commit::append(self.ids.next_id(), Vec::new())
        };
        match table.commit(&commit).await {
            // Another compactor has just removed one of them, and will remove the others.
            Ok(_) | Err(LakeError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn segment_tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.segments.iter().flat_map(|kind| &kind.tables)
    }
}
