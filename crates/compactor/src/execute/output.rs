//! The files that a merge writes: events, and for each file of events a segment of every rollup with the same name.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use footfall_lake::{DataFile, FileWriter, NewFile, Origin, Table, blocking, file_name};
use footfall_model::clock::Micros;
use footfall_model::table::SITE_COLUMN;

use super::{CompactError, RollupTable};
use crate::{Aggregation, STAGE, STAGE_FINAL};

/// What a merge has written and not committed.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) events: Vec<DataFile>,
    /// For each rollup, in their order.
    pub(super) segments: Vec<Vec<DataFile>>,
}

/// Where the merged events go.
pub(super) struct Output<'a> {
    events: &'a Table,
    rollups: &'a [RollupTable],
    plan: OutputPlan,
    current: Option<(String, FileWriter)>,
    /// `None` while it works on another thread.
    aggregation: Option<Aggregation>,
    last_visitor: Option<(String, i64)>,
    written: Written,
}

/// What the files have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputPlan {
    /// Names the files.
    pub(super) id: u128,
    pub(super) event_date: i32,
    pub(super) target_bytes: u64,
    pub(super) is_final: bool,
    pub(super) written_at: Micros,
}

impl<'a> Output<'a> {
    pub(super) fn new(events: &'a Table, rollups: &'a [RollupTable], plan: OutputPlan) -> Result<Self, CompactError> {
        let declared: Vec<_> = rollups.iter().map(|rollup| rollup.rollup.clone()).collect();
        Ok(Self {
            events,
            rollups,
            plan,
            current: None,
            aggregation: Some(Aggregation::new(&declared)?),
            last_visitor: None,
            written: Written {
                events: Vec::new(),
                segments: vec![Vec::new(); rollups.len()],
            },
        })
    }

    /// Appends events that continue the order. A file of the target size ends before the next visitor.
    pub(super) async fn write(&mut self, batch: RecordBatch) -> Result<(), CompactError> {
        let full = self
            .current
            .as_ref()
            .is_some_and(|(_, writer)| writer.size() as u64 >= self.plan.target_bytes);
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
        if self.current.is_none() {
            let name = file_name(self.plan.id, self.written.events.len());
            self.current = Some((
                name.clone(),
                FileWriter::new(self.events.store(), self.new_file(self.events, &name))?,
            ));
        }
        let (Some((_, writer)), Some(mut aggregation)) = (&mut self.current, self.aggregation.take()) else {
            return Err(CompactError::Internal("a merge wrote after an error".into()));
        };
        let events = batch.clone();
        let aggregating = blocking(move || {
            aggregation.push(&events)?;
            Ok::<_, ArrowError>(aggregation)
        });
        let (written, aggregated) = futures::join!(writer.write(batch), aggregating);
        written?;
        self.aggregation = Some(aggregated.map_err(|error| CompactError::of_task(&error))??);
        Ok(())
    }

    async fn end_file(&mut self) -> Result<(), CompactError> {
        let Some((name, writer)) = self.current.take() else {
            return Ok(());
        };
        let mut file = writer.finish().await?;
        if self.plan.is_final {
            file.tags.push((STAGE.into(), STAGE_FINAL.into()));
        }
        self.written.events.push(file);
        let segments = self
            .aggregation
            .as_mut()
            .map(Aggregation::finish)
            .transpose()?
            .unwrap_or_default();
        for (nth, rows) in segments.into_iter().enumerate() {
            let table = &self.rollups[nth].table;
            let mut writer = FileWriter::new(table.store(), self.new_file(table, &name))?;
            writer.write(rows).await?;
            self.written.segments[nth].push(writer.finish().await?);
        }
        Ok(())
    }

    fn new_file(&self, table: &Table, name: &str) -> NewFile {
        let OutputPlan {
            event_date, written_at, ..
        } = self.plan;
        NewFile::new(
            &Arc::clone(table.spec()),
            event_date,
            name,
            Origin::Compaction,
            written_at,
        )
    }
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
