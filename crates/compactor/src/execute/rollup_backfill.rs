//! Writes the segments of configured rollups that files of events lack.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use footfall_lake::{
    Commit, DataFile, FileWriter, Lake, LakeError, NewFile, Operation, Origin, RollupTable, Table, TextRange, blocking,
    read_rows_in, segment_name,
};
use footfall_model::access::SiteScope;
use footfall_model::clock::{Clock, IdGen};
use footfall_model::rollup::Rollup;
use footfall_model::table::{SITE_COLUMN, events};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::{CompactError, live, table};
use crate::aggregate::Aggregation;
use crate::rollup_backfill::plan_rollups;
use crate::{FileState, RollupTask, Rows, SegmentBuilder};

/// Gives files of events the segments of rollups that were made after them.
#[derive(Debug)]
pub struct RollupBackfill {
    lake: Lake,
    events: Arc<Table>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl RollupBackfill {
    /// # Errors
    /// The lake was opened without its events.
    pub fn new(lake: &Lake, clock: Arc<dyn Clock>, ids: Arc<dyn IdGen>) -> Result<Self, CompactError> {
        Ok(Self {
            events: table(lake, events())?,
            lake: lake.clone(),
            clock,
            ids,
        })
    }

    /// What files lack now, the newest day first.
    pub fn plan(&self) -> Vec<RollupTask> {
        let rollups = self.lake.rollups();
        if rollups.is_empty() {
            return Vec::new();
        }
        let segments: Vec<_> = rollups.iter().map(|rollup| rollup.table.snapshot()).collect();
        let events = self.events.snapshot();
        // Nobody else's files are known to be sorted.
        let ours = events.files().filter(|file| file.origin != Origin::Foreign);
        let files = ours.map(|file| FileState::of(file)).collect();
        plan_rollups(files, &rollups, &segments, self.clock.now())
    }

    /// Writes the segments of a task. Returns how many rows they have.
    ///
    /// # Errors
    /// The file can't be read, the store failed, or the file was merged meanwhile: views read it raw, or what it became.
    pub async fn execute(&self, task: &RollupTask) -> Result<u64, CompactError> {
        let file = live(&self.events.snapshot(), &task.file.path)?;
        let segments = self.write(&task.rollups, &file).await?;
        let staged_at = segments.iter().map(|segment| segment.written_at).min();
        for (nth, segment) in segments.iter().enumerate() {
            let commit = Commit {
                staged_at,
                ..Commit::append(self.ids.next_id(), vec![segment.clone()])
            };
            if let Err(error) = task.rollups[nth].table.commit(&commit).await {
                if matches!(error, LakeError::StagedTooLong { .. }) {
                    self.delete(&segments[nth..]).await;
                }
                return Err(error.into());
            }
        }
        // Whoever has merged the file meanwhile did not know the segments.
        self.events.refresh().await?;
        if let Err(gone) = live(&self.events.snapshot(), &task.file.path) {
            for (rollup, segment) in task.rollups.iter().zip(segments) {
                self.remove(&rollup.table, segment).await?;
            }
            return Err(gone.into());
        }
        Ok(segments.iter().filter_map(|segment| segment.rows).sum())
    }

    /// One segment for each rollup, in their order.
    async fn write(&self, rollups: &[RollupTable], file: &DataFile) -> Result<Vec<DataFile>, CompactError> {
        let now = self.clock.now();
        let writer = |RollupTable { table, .. }: &RollupTable| {
            let name = segment_name(file.stem(), self.ids.next_id());
            let new = NewFile::new(table.spec(), file.partition_date, name, Origin::Compaction, now);
            FileWriter::new(table.store(), new)
        };
        let mut writers = rollups.iter().map(writer).collect::<Result<Vec<_>, _>>()?;
        let declared: Vec<Rollup> = rollups.iter().map(|rollup| Rollup::clone(&rollup.rollup)).collect();
        let columns = Aggregation::columns(&declared);
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let (store, spec) = (self.events.store(), self.events.spec());
        let range = range_of(&declared);
        let mut events = read_rows_in(store, spec, file, &columns, range.as_ref()).await?;
        let (mut aggregation, mut rows) = (Aggregation::new(&declared)?, Rows::new(rollups.len()));
        while let Some(batch) = events.try_next().await? {
            let pushed = blocking(move || {
                aggregation.push(&batch, &mut rows)?;
                Ok::<_, ArrowError>((aggregation, rows))
            });
            (aggregation, rows) = pushed.await.map_err(|error| CompactError::of_task(&error))??;
            write_rows(&mut writers, rows.take()).await?;
        }
        aggregation.finish(&mut rows)?;
        write_rows(&mut writers, rows.take()).await?;
        let mut segments = Vec::with_capacity(writers.len());
        for writer in writers {
            segments.push(writer.finish().await?);
        }
        Ok(segments)
    }

    async fn remove(&self, table: &Table, segment: DataFile) -> Result<(), CompactError> {
        let commit = Commit {
            operation: Operation::Delete,
            remove: vec![segment.path],
            ..Commit::append(self.ids.next_id(), Vec::new())
        };
        match table.commit(&commit).await {
            // Whoever merged the file has removed it.
            Ok(_) | Err(LakeError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What can't be deleted is an orphan, which harms nobody.
    async fn delete(&self, segments: &[DataFile]) {
        for segment in segments {
            if let Err(error) = self.lake.store().delete(&segment.path).await {
                tracing::warn!(path = %segment.path, %error, "a segment that is not used could not be deleted");
            }
        }
    }
}

async fn write_rows(writers: &mut [FileWriter], rows: Vec<Vec<RecordBatch>>) -> Result<(), CompactError> {
    for (writer, batches) in writers.iter_mut().zip(rows) {
        for batch in batches {
            writer.write(batch).await?;
        }
    }
    Ok(())
}

/// The sites that the rollups are limited to; `None` if one has all.
fn range_of(rollups: &[Rollup]) -> Option<TextRange> {
    let mut range: Option<TextRange> = None;
    for rollup in rollups {
        let SiteScope::Only(sites) = &rollup.sites else {
            return None;
        };
        let (first, last) = (sites.first()?, sites.last()?);
        let wider = match range.take() {
            Some(known) => TextRange {
                min: known.min.min(first.clone()),
                max: known.max.max(last.clone()),
                ..known
            },
            None => TextRange {
                column: SITE_COLUMN,
                min: first.clone(),
                max: last.clone(),
            },
        };
        range = Some(wider);
    }
    range
}
