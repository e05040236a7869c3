//! Does what the planner decided: reads, merges, aggregates, writes, commits.
//!
//! ```text
//! files -> a task each -> merge (a thread) -> events file   } at the same time
//!                                          -> segments      }
//! commits: segments of the new files, then the new files instead of the old ones, then the old segments go
//! ```
//!
//! Whatever is interrupted in between: a segment without its file of events is not used by any query.

mod backfill;
mod input;
mod merging;
mod output;
mod remove;
mod rollup_backfill;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::error::ArrowError;
use footfall_lake::{Commit, DataFile, Fence, Lake, LakeError, Operation, Origin, Snapshot, Table};
use footfall_model::clock::{Clock, IdGen};
use footfall_model::rollup::Rollup;
use footfall_model::table::{SpecError, TableSpec, events};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::damaged::Damaged;
use crate::merge::BATCH_ROWS;
use crate::plan::{plan, plan_requested};
use crate::retention::{RETENTION, RetentionPolicy};
use crate::{FileState, MergeTask, Policy, RollupSegments, SegmentKind, Stage};
pub use backfill::FunnelBackfill;
use input::InputRows;
use output::{Output, OutputPlan, Written};
pub(crate) use remove::kind_tables;
pub use rollup_backfill::RollupBackfill;

/// Commits to different tables at the same time.
const COMMITS: usize = 4;

/// Memory for the events of a merge, unless it is configured.
const MEMORY_BYTES: usize = 256 * 1_024 * 1_024;

/// Why a merge failed. The table is as before.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("events can't be merged: {0}")]
    Arrow(#[from] ArrowError),
    #[error(transparent)]
    Segments(#[from] SpecError),
    #[error(
        "the merge would change the number of events: {read} were read, {written} written, {duplicates} dropped as \
         duplicates and {expired} by retention. Nothing was committed; this is a fault of Footfall's, please report it"
    )]
    RowsNotConserved {
        read: u64,
        written: u64,
        duplicates: u64,
        expired: u64,
    },
    #[error("{0}")]
    Internal(String),
}

impl CompactError {
    pub(crate) fn of_task(error: &tokio::task::JoinError) -> Self {
        Self::Internal(format!("a merge's thread failed: {error}"))
    }

    /// The file that can't be read, though the store has answered.
    pub fn damaged(&self) -> Option<&Path> {
        match self {
            Self::Lake(error @ LakeError::Unreadable { path, .. }) if !error.is_unreachable() => Some(path),
            _ => None,
        }
    }

    /// Whether the files had changed meanwhile: plan again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Lake(LakeError::Conflict { .. }))
    }

    /// The epoch of the lease that another compactor holds, if this is why.
    pub fn later_epoch(&self) -> Option<i64> {
        match self {
            Self::Lake(LakeError::StaleLease { theirs, .. }) => Some(*theirs),
            _ => None,
        }
    }
}

/// A kind of segments and its tables.
#[derive(Debug, Clone)]
pub(crate) struct KindTables {
    pub(crate) kind: Arc<dyn SegmentKind>,
    pub(crate) tables: Vec<Arc<Table>>,
}

/// What a merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merged {
    pub files_read: usize,
    pub files_written: usize,
    pub rows_read: u64,
    pub rows_written: u64,
    pub duplicates: u64,
    /// Rows of sites whose retention is over.
    pub expired: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// Of the segments.
    pub segment_bytes: u64,
}

/// Compacts the events of one lake.
#[derive(Debug)]
pub struct Compactor {
    lake: Lake,
    events: Arc<Table>,
    /// Those that every lake has.
    fixed_kinds: Vec<KindTables>,
    policy: Policy,
    retention: RetentionPolicy,
    damaged: Damaged,
    memory_bytes: usize,
    batch_rows: usize,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl Compactor {
    /// Over a lake that was opened with the tables of all kinds of segments.
    ///
    /// # Errors
    /// A table is missing.
    pub fn new(
        lake: &Lake,
        kinds: Vec<Arc<dyn SegmentKind>>,
        policy: Policy,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Result<Self, CompactError> {
        let with_tables = |kind: Arc<dyn SegmentKind>| {
            let specs = kind.tables()?;
            let tables = specs.iter().map(|spec| table(lake, spec)).collect::<Result<_, _>>()?;
            Ok::<_, CompactError>(KindTables { kind, tables })
        };
        Ok(Self {
            lake: lake.clone(),
            fixed_kinds: kinds.into_iter().map(with_tables).collect::<Result<_, _>>()?,
            events: table(lake, events())?,
            policy,
            retention: RetentionPolicy::default(),
            damaged: Damaged::default(),
            memory_bytes: MEMORY_BYTES,
            batch_rows: BATCH_ROWS,
            clock,
            ids,
        })
    }

    /// The same, for events that are kept for so long.
    #[must_use]
    pub fn with_retention(mut self, retention: RetentionPolicy) -> Self {
        self.retention = retention;
        self
    }

    /// From now on events are kept for so long.
    pub fn set_retention(&mut self, retention: RetentionPolicy) {
        self.retention = retention;
    }

    /// With this much memory for the events that a merge has read and not yet written.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// With merges that write this many events at once: their files end only in between.
    #[must_use]
    pub fn with_batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// What there is to do now, the most urgent first.
    pub fn plan(&self) -> Vec<MergeTask> {
        plan(&self.files(), &self.policy, self.clock.now())
    }

    /// What merges one whole day (UTC; days since 1970), due or not.
    pub fn plan_day(&self, event_date: i32) -> Vec<MergeTask> {
        plan_requested(&self.files(), event_date, &self.policy, self.clock.now())
    }

    /// The files that may be merged.
    fn files(&self) -> Vec<FileState> {
        let damaged = self.damaged.at(self.clock.now());
        let snapshot = self.events.snapshot();
        let files = snapshot.files().filter(|file| !damaged.contains(&file.path));
        let files = files.map(|file| FileState::of(file));
        files.filter(|file| file.stage != Stage::Retired).collect()
    }

    /// Merges the task's files, under a lease if there is one. If one of them can't be read ([`CompactError::damaged`]),
    /// the next plans leave it out for a while, and merge the others.
    ///
    /// # Errors
    /// A file can't be read, the store failed, the files had changed meanwhile, or the lease is another's: nothing is
    /// merged.
    pub async fn execute(&self, task: &MergeTask, fence: Option<&Fence>) -> Result<Merged, CompactError> {
        let merged = self.merge_files(task, fence).await;
        if let Some(path) = merged.as_ref().err().and_then(CompactError::damaged) {
            self.check_live(path).await?;
            self.damaged.remember(path.clone(), self.clock.now());
        }
        merged
    }

    /// Fails with a conflict if the file is no longer live: then it need not be readable.
    pub(crate) async fn check_live(&self, path: &Path) -> Result<(), CompactError> {
        self.events.refresh().await?;
        live(&self.events.snapshot(), path)?;
        Ok(())
    }

    async fn merge_files(&self, task: &MergeTask, fence: Option<&Fence>) -> Result<Merged, CompactError> {
        let snapshot = self.events.snapshot();
        let files = inputs(&snapshot, &task.inputs)?;
        let expired = self.retention.expired_sites(task.event_date, self.clock.now());
        let expired = expired.map(Arc::new);
        let rows = Arc::new(InputRows::default());
        let runs = input::runs_of(&files);
        let inputs = input::open(&self.events, runs, expired.as_ref(), self.memory_bytes, &rows).await;
        let plan = OutputPlan {
            id: self.ids.next_id(),
            event_date: task.event_date,
            target_bytes: self.policy.target_bytes,
            is_final: task.is_final,
            written_at: self.clock.now(),
            // Imports alone stay one: see `Policy::dedupe_window`.
            origin: match files.iter().all(|file| file.origin == Origin::Import) {
                true => Origin::Import,
                false => Origin::Compaction,
            },
            tags: expired
                .iter()
                .map(|sites| (RETENTION.to_owned(), sites.digest()))
                .collect(),
        };
        let mut output = Output::new(&self.events, &self.kinds(), plan)?;
        let duplicates = merging::merge_into(&mut output, inputs, self.batch_rows).await?;
        let written = output.finish().await?;
        let sum = |files: &[DataFile]| files.iter().map(|file| file.size).sum::<u64>();
        let merged = Merged {
            files_read: files.len(),
            files_written: written.events.len(),
            rows_read: rows.read.load(Ordering::Relaxed),
            expired: rows.expired.load(Ordering::Relaxed),
            rows_written: written.events.iter().filter_map(|file| file.rows).sum(),
            duplicates,
            bytes_read: files.iter().map(|file| file.size).sum(),
            bytes_written: sum(&written.events),
            segment_bytes: written.segments.iter().map(|segments| sum(&segments.files)).sum(),
        };
        if merged.rows_read != merged.rows_written + duplicates + merged.expired {
            self.discard(&written).await;
            return Err(CompactError::RowsNotConserved {
                read: merged.rows_read,
                written: merged.rows_written,
                duplicates,
                expired: merged.expired,
            });
        }
        let operation = if merged.expired > 0 {
            Operation::Delete
        } else {
            Operation::Merge
        };
        self.commit(operation, &files, written, fence).await?;
        Ok(merged)
    }

    /// Segments first, so that queries need not read the merged files raw.
    async fn commit(
        &self,
        operation: Operation,
        inputs: &[Arc<DataFile>],
        written: Written,
        fence: Option<&Fence>,
    ) -> Result<(), CompactError> {
        let staged_at = written.events.iter().map(|file| file.written_at).min();
        let segments = written.segments.iter().filter(|segments| !segments.files.is_empty());
        let commits: Vec<_> = segments
            .map(|segments| {
                let commit = Commit {
                    staged_at,
                    ..Commit::append(self.ids.next_id(), segments.files.clone())
                };
                async move { segments.table.commit(&commit).await }
            })
            .collect();
        let mut commits = stream::iter(commits).buffer_unordered(COMMITS);
        while commits.try_next().await?.is_some() {}
        drop(commits);
        let commit = Commit {
            operation,
            remove: inputs.iter().map(|file| file.path.clone()).collect(),
            fence: fence.cloned(),
            staged_at,
            ..Commit::append(self.ids.next_id(), written.events.clone())
        };
        if let Err(error) = self.events.commit(&commit).await {
            if is_final(&error) {
                let written_events: Vec<_> = written.events.iter().cloned().map(Arc::new).collect();
                self.remove_segments(&written_events, |_| true).await?;
                self.discard(&written).await;
            }
            return Err(error.into());
        }
        self.remove_segments(inputs, |_| true).await
    }

    pub(crate) fn events(&self) -> &Arc<Table> {
        &self.events
    }

    /// The kinds of segments that there are now, configured rollups included.
    pub(crate) fn kinds(&self) -> Vec<KindTables> {
        let rollups = self.lake.rollups();
        let configured = (!rollups.is_empty()).then(|| KindTables {
            kind: Arc::new(RollupSegments(
                rollups.iter().map(|rollup| Rollup::clone(&rollup.rollup)).collect(),
            )),
            tables: rollups.iter().map(|rollup| Arc::clone(&rollup.table)).collect(),
        });
        self.fixed_kinds.iter().cloned().chain(configured).collect()
    }

    /// Deletes files that no commit names. What can't be deleted is an orphan, which harms nobody.
    async fn discard(&self, written: &Written) {
        let segments = written.segments.iter().flat_map(|segments| &segments.files);
        for file in written.events.iter().chain(segments) {
            if let Err(error) = self.events.store().delete(&file.path).await {
                tracing::warn!(path = %file.path, %error, "a file of a failed merge could not be deleted");
            }
        }
    }
}

/// Whether a commit is not in the table and never will be.
fn is_final(error: &LakeError) -> bool {
    use LakeError::{Conflict, StagedTooLong, StaleLease};
    matches!(error, Conflict { .. } | StaleLease { .. } | StagedTooLong { .. })
}

/// A table that the lake must have been opened with.
fn table(lake: &Lake, spec: &TableSpec) -> Result<Arc<Table>, CompactError> {
    let name = spec.name();
    let table = lake.table(name).cloned();
    table.ok_or_else(|| CompactError::Internal(format!("the lake was opened without its table {name}")))
}

/// The file, or a conflict if it is no longer live.
fn live(snapshot: &Snapshot, path: &Path) -> Result<Arc<DataFile>, LakeError> {
    snapshot.file(path).cloned().ok_or_else(|| LakeError::Conflict {
        path: path.clone(),
        version: snapshot.version(),
    })
}

/// The live files.
fn inputs(snapshot: &Snapshot, files: &[FileState]) -> Result<Vec<Arc<DataFile>>, LakeError> {
    files.iter().map(|file| live(snapshot, &file.path)).collect()
}

#[cfg(test)]
mod tests;
