//! Writes the step rows that files of events lack.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use footfall_funnels::coverage::Coverage;
use footfall_funnels::table::funnel_steps;
use footfall_funnels::{FunnelDefinitions, Matcher};
use footfall_lake::{
    Commit, DataFile, FileWriter, Lake, LakeError, NewFile, Operation, Origin, Table, TextRange, blocking,
    covered_name, read_rows_in, segment_name,
};
use footfall_model::access::SiteScope;
use footfall_model::clock::{Clock, IdGen};
use footfall_model::table::{SITE_COLUMN, events};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::{CompactError, live, table};
use crate::backfill::{FunnelFile, plan_backfill};
use crate::{BackfillTask, FileState};

/// Gives merged files the step rows of funnels that were made after them.
#[derive(Debug)]
pub struct FunnelBackfill {
    events: Arc<Table>,
    steps: Arc<Table>,
    definitions: Arc<FunnelDefinitions>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl FunnelBackfill {
    /// Over a lake that was opened with the table of step rows.
    ///
    /// # Errors
    /// A table is missing.
    pub fn new(
        lake: &Lake,
        definitions: Arc<FunnelDefinitions>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
    ) -> Result<Self, CompactError> {
        Ok(Self {
            events: table(lake, events())?,
            steps: table(lake, funnel_steps())?,
            definitions,
            clock,
            ids,
        })
    }

    /// What files lack now, the newest day first.
    pub fn plan(&self) -> Vec<BackfillTask> {
        let funnels = self.definitions.current();
        if funnels.funnels.is_empty() {
            return Vec::new();
        }
        let (events, steps) = (self.events.snapshot(), self.steps.snapshot());
        let mut segments: HashMap<&str, Vec<_>> = HashMap::new();
        for file in steps.files() {
            if let Some(coverage) = Coverage::of_tags(&file.tags) {
                let covered = covered_name(file.stem());
                segments.entry(covered).or_default().push((coverage, file.path.clone()));
            }
        }
        // Nobody else's files are known to be sorted.
        let ours = events.files().filter(|file| file.origin != Origin::Foreign);
        let file = |file: &Arc<DataFile>| FunnelFile {
            segments: segments.remove(file.stem()).unwrap_or_default(),
            file: FileState::of(file),
        };
        let files: Vec<_> = ours.map(file).collect();
        plan_backfill(&files, &funnels, self.clock.now())
    }

    /// Writes the step rows of a task. Returns how many.
    ///
    /// # Errors
    /// The file can't be read, the store failed, or the files or the funnels had changed meanwhile: nothing is changed.
    pub async fn execute(&self, task: &BackfillTask) -> Result<u64, CompactError> {
        let file = live(&self.events.snapshot(), &task.file.path)?;
        let segment = self.write(task, &file).await?;
        let rows = segment.rows.unwrap_or_default();
        let commit = Commit {
            operation: Operation::Append,
            remove: task.replaces.clone(),
            ..Commit::append(self.ids.next_id(), vec![segment.clone()])
        };
        if let Err(error) = self.steps.commit(&commit).await {
            if matches!(error, LakeError::Conflict { .. } | LakeError::StaleLease { .. }) {
                self.delete(&segment).await;
            }
            return Err(error.into());
        }
        // Whoever has merged the file meanwhile did not know the segment.
        self.events.refresh().await?;
        if let Err(gone) = live(&self.events.snapshot(), &task.file.path) {
            let commit = Commit {
                operation: Operation::Delete,
                remove: vec![segment.path],
                ..Commit::append(self.ids.next_id(), Vec::new())
            };
            match self.steps.commit(&commit).await {
                Ok(_) | Err(LakeError::Conflict { .. }) => return Err(gone.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rows)
    }

    async fn write(&self, task: &BackfillTask, file: &DataFile) -> Result<DataFile, CompactError> {
        let Coverage { catalog, after, up_to } = &task.coverage;
        let known = self.definitions.current();
        // A funnel that was changed since has a revision after the range, and gets its own.
        let funnels = known.of(&SiteScope::All, |funnel| {
            (after + 1..=*up_to).contains(&funnel.revision)
        });
        if known.catalog != *catalog || known.revision < *up_to {
            return Err(CompactError::Internal(
                "a plan for other funnels than those that are known".into(),
            ));
        }
        let matcher = Arc::new(Matcher::new(&funnels, Arc::clone(funnel_steps().file_schema())));
        let name = segment_name(file.stem(), self.ids.next_id());
        let now = self.clock.now();
        let new = NewFile::new(funnel_steps(), file.partition_date, name, Origin::Compaction, now);
        let mut writer = FileWriter::new(self.steps.store(), new)?;
        if let Some((min, max)) = matcher.site_range() {
            let range = TextRange {
                column: SITE_COLUMN,
                min: min.to_owned(),
                max: max.to_owned(),
            };
            let (store, spec) = (self.events.store(), self.events.spec());
            let mut events = read_rows_in(store, spec, file, matcher.columns(), Some(&range)).await?;
            while let Some(batch) = events.try_next().await? {
                let steps = match_steps(Arc::clone(&matcher), batch).await?;
                if steps.num_rows() > 0 {
                    writer.write(steps).await?;
                }
            }
        }
        let mut segment = writer.finish().await?;
        segment.tags.push(task.coverage.tag());
        Ok(segment)
    }

    /// What can't be deleted is an orphan, which harms nobody.
    async fn delete(&self, segment: &DataFile) {
        if let Err(error) = self.steps.store().delete(&segment.path).await {
            tracing::warn!(path = %segment.path, %error, "a segment that is not used could not be deleted");
        }
    }
}

async fn match_steps(matcher: Arc<Matcher>, events: RecordBatch) -> Result<RecordBatch, CompactError> {
    let matched = blocking(move || matcher.rows(&events)).await;
    Ok(matched.map_err(|error| CompactError::of_task(&error))??)
}
