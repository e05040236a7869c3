//! Removes what retention has planned, and segments whose files of events are gone.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use footfall_lake::{
    Commit, DataFile, Fence, LakeError, MAX_STAGED, NewFile, Operation, Origin, Table, covered_name, write_file,
};
use footfall_model::clock::HOUR;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use super::{COMMITS, CompactError, Compactor, KindTables, inputs};
use crate::retention::{self, RetentionTask};
use crate::{FileState, STAGE, STAGE_RETIRED, SegmentKind, Stage};

/// Empty files that are written at the same time.
const WRITES: usize = 16;

impl Compactor {
    /// What retention has to do now.
    pub fn plan_retention(&self) -> Vec<RetentionTask> {
        let now = self.clock.now();
        retention::plan(&self.events.snapshot(), &self.damaged.at(now), &self.retention, now)
    }

    /// Does what retention has planned, under a lease if there is one. Returns how many events are gone.
    ///
    /// # Errors
    /// As [`Compactor::execute`].
    pub async fn retain(&self, task: &RetentionTask, fence: Option<&Fence>) -> Result<u64, CompactError> {
        match task {
            RetentionTask::Rewrite(task) => Ok(self.execute(task, fence).await?.expired),
            RetentionTask::Remove(files) => {
                let files = inputs(&self.events.snapshot(), files)?;
                self.replace(&files, Vec::new(), fence).await?;
                self.remove_segments(&files, |_| true).await?;
                Ok(rows(&files))
            }
            RetentionTask::Retire(files) => {
                let files = inputs(&self.events.snapshot(), files)?;
                let writes: Vec<_> = files.iter().map(|file| self.write_empty(file)).collect();
                let empty: Vec<_> = stream::iter(writes).buffered(WRITES).try_collect().await?;
                self.replace(&files, empty, fence).await?;
                self.remove_segments(&files, |kind| !kind.outlives_events()).await?;
                Ok(rows(&files))
            }
        }
    }

    /// A file without events, of the same name, so that the segments of that name are read on.
    async fn write_empty(&self, file: &DataFile) -> Result<DataFile, LakeError> {
        let name = format!("{STAGE_RETIRED}/{}", file.stem());
        let spec = self.events.spec();
        let new = NewFile::new(spec, file.partition_date, name, Origin::Compaction, self.clock.now());
        let rows = RecordBatch::new_empty(Arc::clone(spec.file_schema()));
        let mut empty = write_file(self.events.store(), new, rows).await?;
        empty.tags.push((STAGE.into(), STAGE_RETIRED.into()));
        Ok(empty)
    }

    async fn replace(
        &self,
        files: &[Arc<DataFile>],
        by: Vec<DataFile>,
        fence: Option<&Fence>,
    ) -> Result<(), CompactError> {
        let commit = Commit {
            operation: Operation::Delete,
            remove: files.iter().map(|file| file.path.clone()).collect(),
            fence: fence.cloned(),
            staged_at: by.iter().map(|file| file.written_at).min(),
            ..Commit::append(self.ids.next_id(), by)
        };
        self.events.commit(&commit).await?;
        Ok(())
    }

    /// Removes segments whose file of events is not live and can't become it any more: a process was killed between two
    /// of its commits. No query reads them. Returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove_orphan_segments(&self) -> Result<usize, CompactError> {
        // Segments first: one whose merge is committed meanwhile is not seen, or its file of events is.
        let kinds = self.kinds();
        let segments: Vec<_> = kind_tables(&kinds).map(|(_, table)| table.snapshot()).collect();
        self.events.refresh().await?;
        let events = self.events.snapshot();
        let latest = self.clock.now() - MAX_STAGED - HOUR;
        let mut removed = 0;
        for ((kind, table), segments) in kind_tables(&kinds).zip(segments) {
            let covered = events
                .files()
                .filter(|file| kind.outlives_events() || !is_retired(file));
            let covered: HashSet<&str> = covered.map(|file| file.stem()).collect();
            let is_orphan =
                |file: &&Arc<DataFile>| file.written_at < latest && !covered.contains(covered_name(file.stem()));
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

    /// Removes the segments of some kinds that cover these files.
    pub(super) async fn remove_segments(
        &self,
        files: &[Arc<DataFile>],
        which: impl Fn(&dyn SegmentKind) -> bool,
    ) -> Result<(), CompactError> {
        let names: HashSet<&str> = files.iter().map(|file| file.stem()).collect();
        let kinds = self.kinds();
        let tables = kind_tables(&kinds).filter(|(kind, _)| which(*kind));
        let removals: Vec<_> = tables
            .map(|(_, table)| {
                let snapshot = table.snapshot();
                let covering = |file: &&Arc<DataFile>| names.contains(covered_name(file.stem()));
                let remove = snapshot.files().filter(covering).map(|file| file.path.clone());
                self.remove_from(table, remove.collect())
            })
            .collect();
        stream::iter(removals).buffer_unordered(COMMITS).try_collect().await
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
}

/// The tables of segments, each with its kind.
pub(crate) fn kind_tables(kinds: &[KindTables]) -> impl Iterator<Item = (&dyn SegmentKind, &Arc<Table>)> {
    let pairs = kinds
        .iter()
        .flat_map(|kind| kind.tables.iter().map(move |table| (kind, table)));
    pairs.map(|(kind, table)| (kind.kind.as_ref(), table))
}

fn is_retired(file: &DataFile) -> bool {
    FileState::of(file).stage == Stage::Retired
}

fn rows(files: &[Arc<DataFile>]) -> u64 {
    files.iter().filter_map(|file| file.rows).sum()
}
