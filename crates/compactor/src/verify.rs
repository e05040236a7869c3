//! Compares stored segments with what their files of events give: row by row, with the builders that made them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use footfall_lake::{BatchLimit, DataFile, Snapshot, blocking, covered_name, read_rows};
use futures::TryStreamExt;

use crate::execute::{KindTables, kind_tables};
use crate::{CompactError, Compactor, FileState, Rows, Stage};

/// What is read of a file at a time.
const BATCH: BatchLimit = BatchLimit {
    rows: 8 * 1_024,
    bytes: 16 * 1_024 * 1_024,
};

/// What the check of one file of events has found.
#[derive(Debug, Default)]
pub struct Verified {
    pub rows: u64,
    /// Segments that were compared.
    pub segments: usize,
    /// What differs, each with the name of its file.
    pub differences: Vec<String>,
}

impl Compactor {
    /// The merged files of events, which segments cover; those of one day, if it is given.
    pub fn merged_files(&self, event_date: Option<i32>) -> Vec<Arc<DataFile>> {
        let events = self.events().snapshot();
        let kinds = self.kinds();
        let segments: Vec<Snapshot> = kind_tables(&kinds).map(|(_, table)| table.snapshot()).collect();
        let segments = segments.iter().flat_map(Snapshot::files);
        let covered: HashSet<&str> = segments.map(|file| covered_name(file.stem())).collect();
        let files = events
            .files()
            .filter(|file| event_date.is_none_or(|date| file.partition_date == date));
        let files = files.filter(|file| FileState::of(file).stage != Stage::Retired);
        files.filter(|file| covered.contains(file.stem())).cloned().collect()
    }

    /// Reads a merged file of events and compares its segments with those that it gives now. A segment that is missing
    /// or older than its declaration is no difference: queries read such a file raw.
    ///
    /// # Errors
    /// The store's, or [`CompactError::is_conflict`]: a merge has replaced the file meanwhile. A file that can't be read is
    /// a difference.
    pub async fn verify(&self, file: &DataFile) -> Result<Verified, CompactError> {
        let mut verified = Verified::default();
        let outcome = self.verify_segments(file, &mut verified).await;
        match outcome.map_err(|error| (error.damaged().is_some(), error)) {
            Ok(()) => Ok(verified),
            Err((true, error)) => {
                self.check_live(&file.path).await?;
                verified.differences.push(error.to_string());
                Ok(verified)
            }
            Err((false, error)) => Err(error),
        }
    }

    async fn verify_segments(&self, file: &DataFile, verified: &mut Verified) -> Result<(), CompactError> {
        let kinds = self.kinds();
        let rebuilt = self.rebuild(&kinds, file, verified).await?;
        for ((_, table), Rebuilt { tags, rows: expected }) in kind_tables(&kinds).zip(rebuilt) {
            let Some(segment) = segment_of(&table.snapshot(), file, &tags) else {
                continue;
            };
            verified.segments += 1;
            let schema = table.spec().file_schema();
            let stored = read_rows(table.store(), table.spec(), &segment, BATCH).await?;
            let stored: Vec<_> = stored.try_collect().await?;
            let (expected, stored) = (concat_batches(schema, &expected)?, concat_batches(schema, &stored)?);
            verified.differences.extend(difference(&segment, &expected, &stored));
        }
        Ok(())
    }

    /// The segments that the file gives, by table.
    async fn rebuild(
        &self,
        kinds: &[KindTables],
        file: &DataFile,
        verified: &mut Verified,
    ) -> Result<Vec<Rebuilt>, CompactError> {
        let builder = |kind: &KindTables| Ok::<_, CompactError>((kind.kind.builder()?, Rows::new(kind.tables.len())));
        let mut builders = kinds.iter().map(builder).collect::<Result<Vec<_>, _>>()?;
        let mut batches = read_rows(self.events().store(), self.events().spec(), file, BATCH).await?;
        while let Some(batch) = batches.try_next().await? {
            verified.rows += batch.num_rows() as u64;
            let building = blocking(move || {
                builders
                    .iter_mut()
                    .try_for_each(|(builder, rows)| builder.push(&batch, rows))?;
                Ok::<_, ArrowError>(builders)
            });
            builders = building.await.map_err(|error| CompactError::of_task(&error))??;
        }
        for (builder, rows) in &mut builders {
            builder.finish(rows)?;
        }
        let found = verified.rows;
        if let Some(known) = file.rows.filter(|known| *known != found) {
            let path = &file.path;
            verified
                .differences
                .push(format!("{path}: {found} events, and {known} in the Delta log"));
        }
        let rebuilt = builders.iter_mut().flat_map(|(builder, rows)| {
            let tags = builder.tags();
            rows.take().into_iter().map(move |rows| Rebuilt {
                tags: tags.clone(),
                rows,
            })
        });
        Ok(rebuilt.collect())
    }
}

/// What a segment should be.
struct Rebuilt {
    tags: Vec<(String, String)>,
    rows: Vec<RecordBatch>,
}

/// The segment of this file of events with these tags. One with others was built by other declarations: of funnels before
/// one was made, for instance.
fn segment_of(segments: &Snapshot, file: &DataFile, tags: &[(String, String)]) -> Option<Arc<DataFile>> {
    let mut of_file = segments
        .files()
        .filter(|segment| covered_name(segment.stem()) == file.stem());
    of_file
        .find(|segment| tags.iter().all(|tag| segment.tags.contains(tag)))
        .cloned()
}

/// What differs first; `None` if nothing does.
fn difference(segment: &DataFile, expected: &RecordBatch, stored: &RecordBatch) -> Option<String> {
    let path = &segment.path;
    let (rows, wanted) = (stored.num_rows(), expected.num_rows());
    if rows != wanted {
        return Some(format!("{path}: {rows} rows instead of {wanted}"));
    }
    let row = (0..rows).find(|row| stored.slice(*row, 1) != expected.slice(*row, 1))?;
    let names = expected.schema();
    let columns = names.fields().iter().zip(expected.columns()).zip(stored.columns());
    let different = columns.filter(|((_, expected), stored)| expected.slice(row, 1) != stored.slice(row, 1));
    let different: Vec<&str> = different.map(|((field, _), _)| field.name().as_str()).collect();
    Some(format!("{path}: row {row} differs in {}", different.join(", ")))
}
