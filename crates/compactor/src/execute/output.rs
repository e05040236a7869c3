//! The files that a merge writes: events, and for each file of events a segment in every table of segments, with the same
//! name.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use footfall_lake::{DataFile, FileWriter, NewFile, Origin, Table, blocking, file_name};
use footfall_model::clock::Micros;
use footfall_model::table::SITE_COLUMN;

use super::{CompactError, KindTables};
use crate::{Rows, STAGE, STAGE_FINAL, STAGE_MERGED, SegmentBuilder};

/// What a merge has written and not committed.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) events: Vec<DataFile>,
    /// For each table of segments.
    pub(super) segments: Vec<WrittenSegments>,
}

/// The segments of one table.
#[derive(Debug)]
pub(super) struct WrittenSegments {
    pub(super) table: Arc<Table>,
    pub(super) files: Vec<DataFile>,
}

/// Where the merged events go.
pub(super) struct Output<'a> {
    events: &'a Table,
    plan: OutputPlan,
    current: Option<CurrentFile>,
    /// `None` while they work on another thread.
    builders: Option<Vec<Builder>>,
    last_visitor: Option<(String, i64)>,
    written: Written,
}

/// A file of events that is being written, and its segments.
struct CurrentFile {
    events: FileWriter,
    segments: Vec<FileWriter>,
}

/// The builder of one kind of segments, and rows that are not written yet.
struct Builder {
    builder: Box<dyn SegmentBuilder>,
    rows: Rows,
}

/// What the files have in common.
#[derive(Debug, Clone)]
pub(super) struct OutputPlan {
    /// Names the files.
    pub(super) id: u128,
    pub(super) event_date: i32,
    pub(super) target_bytes: u64,
    pub(super) is_final: bool,
    pub(super) written_at: Micros,
    /// Of the files of events, as are the tags.
    pub(super) origin: Origin,
    pub(super) tags: Vec<(String, String)>,
}

impl<'a> Output<'a> {
    pub(super) fn new(events: &'a Table, kinds: &[KindTables], plan: OutputPlan) -> Result<Self, CompactError> {
        let builder = |kind: &KindTables| {
            Ok::<_, CompactError>(Builder {
                builder: kind.kind.builder()?,
                rows: Rows::new(kind.tables.len()),
            })
        };
        let tables = kinds.iter().flat_map(|kind| &kind.tables);
        let segments = tables.map(|table| WrittenSegments {
            table: Arc::clone(table),
            files: Vec::new(),
        });
        Ok(Self {
            events,
            plan,
            current: None,
            builders: Some(kinds.iter().map(builder).collect::<Result<_, _>>()?),
            last_visitor: None,
            written: Written {
                events: Vec::new(),
                segments: segments.collect(),
            },
        })
    }

    /// Appends events that continue the order. A file of the target size ends before the next visitor.
    pub(super) async fn write(&mut self, batch: RecordBatch) -> Result<(), CompactError> {
        let full = self
            .current
            .as_ref()
            .is_some_and(|file| file.events.size() as u64 >= self.plan.target_bytes);
        let cut = match &self.last_visitor {
            Some(visitor) if full => first_of_others(&batch, visitor)?,
            _ => None,
        };
        self.last_visitor = last_visitor(&batch)?;
        let Some(cut) = cut else {
            return self.append(batch).await;
        };
        if cut > 0 {
            self.append(batch.slice(0, cut)).await?;
        }
        self.end_file().await?;
        self.append(batch.slice(cut, batch.num_rows() - cut)).await
    }

    /// Ends the last file.
    pub(super) async fn finish(mut self) -> Result<Written, CompactError> {
        self.end_file().await?;
        Ok(self.written)
    }

    async fn append(&mut self, batch: RecordBatch) -> Result<(), CompactError> {
        let mut file = match self.current.take() {
            Some(file) => file,
            None => self.new_file()?,
        };
        let events = batch.clone();
        let building = build(self.take_builders()?, move |Builder { builder, rows }| {
            builder.push(&events, rows)
        });
        let (written, built) = futures::join!(file.events.write(batch), building);
        written?;
        self.current = Some(file);
        self.write_rows(built?).await
    }

    async fn end_file(&mut self) -> Result<(), CompactError> {
        if self.current.is_none() {
            return Ok(());
        }
        let built = build(self.take_builders()?, |Builder { builder, rows }| builder.finish(rows)).await?;
        let tags = built
            .iter()
            .flat_map(|kind| vec![kind.builder.tags(); kind.rows.tables()]);
        let tags: Vec<_> = tags.collect();
        self.write_rows(built).await?;
        let Some(file) = self.current.take() else {
            return Ok(());
        };
        let mut events = file.events.finish().await?;
        events.tags.extend(self.plan.tags.iter().cloned());
        let stage = if self.plan.is_final { STAGE_FINAL } else { STAGE_MERGED };
        events.tags.push((STAGE.into(), stage.into()));
        self.written.events.push(events);
        for (nth, (segment, tags)) in file.segments.into_iter().zip(tags).enumerate() {
            let mut segment = segment.finish().await?;
            segment.tags.extend(tags);
            self.written.segments[nth].files.push(segment);
        }
        Ok(())
    }

    fn take_builders(&mut self) -> Result<Vec<Builder>, CompactError> {
        let builders = self.builders.take();
        builders.ok_or_else(|| CompactError::Internal("a merge went on after an error".into()))
    }

    /// Writes the rows that the builders have completed.
    async fn write_rows(&mut self, mut builders: Vec<Builder>) -> Result<(), CompactError> {
        let rows = builders.iter_mut().flat_map(|builder| builder.rows.take());
        let rows: Vec<Vec<RecordBatch>> = rows.collect();
        self.builders = Some(builders);
        let Some(file) = &mut self.current else {
            return Ok(());
        };
        for (writer, batches) in file.segments.iter_mut().zip(rows) {
            for batch in batches {
                writer.write(batch).await?;
            }
        }
        Ok(())
    }

    /// Begins the next file and its segments: of one name.
    fn new_file(&self) -> Result<CurrentFile, CompactError> {
        let name = file_name(self.plan.id, self.written.events.len());
        let OutputPlan {
            event_date,
            written_at,
            origin,
            ..
        } = self.plan;
        let writer = |table: &Table, origin| {
            let spec = Arc::clone(table.spec());
            let new = NewFile::new(&spec, event_date, name.clone(), origin, written_at);
            FileWriter::new(table.store(), new)
        };
        let tables = self.written.segments.iter().map(|segments| &segments.table);
        let segments = tables.map(|table| writer(table, Origin::Compaction));
        Ok(CurrentFile {
            events: writer(self.events, origin)?,
            segments: segments.collect::<Result<_, _>>()?,
        })
    }
}

/// Runs `step` for each builder on a thread for computing.
async fn build(
    mut builders: Vec<Builder>,
    step: impl Fn(&mut Builder) -> Result<(), ArrowError> + Send + 'static,
) -> Result<Vec<Builder>, CompactError> {
    let building = blocking(move || {
        builders.iter_mut().try_for_each(step)?;
        Ok::<_, ArrowError>(builders)
    });
    Ok(building.await.map_err(|error| CompactError::of_task(&error))??)
}

fn visitor_at(batch: &RecordBatch, row: usize) -> Result<(&str, i64), ArrowError> {
    let wrong = |name: &str| ArrowError::SchemaError(format!("events without a column {name} of the right type"));
    let sites = batch
        .column_by_name(SITE_COLUMN)
        .and_then(|column| column.as_string_opt::<i32>());
    let hashes = batch
        .column_by_name("client_hash")
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let sites = sites.ok_or_else(|| wrong(SITE_COLUMN))?;
    let hashes = hashes.ok_or_else(|| wrong("client_hash"))?;
    Ok((sites.value(row), hashes.value(row)))
}

fn last_visitor(batch: &RecordBatch) -> Result<Option<(String, i64)>, ArrowError> {
    let Some(last) = batch.num_rows().checked_sub(1) else {
        return Ok(None);
    };
    let (site, hash) = visitor_at(batch, last)?;
    Ok(Some((site.to_owned(), hash)))
}

/// The first row of another visitor; `None` if all rows are of this one.
fn first_of_others(batch: &RecordBatch, visitor: &(String, i64)) -> Result<Option<usize>, ArrowError> {
    for row in 0..batch.num_rows() {
        if visitor_at(batch, row)? != (visitor.0.as_str(), visitor.1) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
