//! From sorted step rows to entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int32Array, Int64Array, ListArray, RecordBatch,
    RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::interleave;
use arrow::datatypes::{Field, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::{DAY, Micros, SECOND};
use footfall_model::table::SITE_COLUMN;
use xxhash_rust::xxh3::xxh3_128;

use crate::Funnel;
use crate::attempts::{Entry, Rules, StepEvent, entries};
use crate::table::{PROGRESS_ORDER, funnel_steps, utc};

/// Computes the entries of visitors, one after the other. Step rows come in the order of
/// [`crate::table::PROGRESS_ORDER`]; rows of other definitions than those given are ignored.
///
/// An event id counts once per visitor and day (UTC), as it does once the day's files are merged.
///
/// Memory: the step rows of one visitor, and the batches that they are in.
#[derive(Debug)]
pub struct Progress {
    funnels: Vec<Shape>,
    /// The index of each funnel, by id.
    ids: HashMap<String, usize>,
    batches: Vec<StepRows>,
    visitor: Option<(String, i64)>,
    /// What the visitor did in each funnel, by its index.
    visits: BTreeMap<usize, Visit>,
    found: Vec<FoundEntry>,
    /// The columns of the entries.
    schema: SchemaRef,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    revision: i64,
    rules: Rules,
}

/// A visitor's events in one funnel.
#[derive(Debug, Default)]
struct Visit {
    events: Vec<StepEvent>,
    /// The batch and the row of each.
    rows: Vec<(u32, u32)>,
    /// The ids of events of `day`.
    ids: HashSet<u128>,
    day: i64,
}

#[derive(Debug)]
struct FoundEntry {
    entry: Entry,
    steps: usize,
    /// Of the event that takes the first step.
    row: (usize, usize),
}

/// A batch of step rows.
#[derive(Debug)]
struct StepRows {
    rows: RecordBatch,
    sites: StringArray,
    hashes: Int64Array,
    times: TimestampMicrosecondArray,
    ids: StringArray,
    funnels: StringArray,
    revisions: Int64Array,
    steps: Int32Array,
}

impl Progress {
    /// Makes entries of `schema`: columns of [`crate::table::progress`].
    pub fn new(funnels: &[Funnel], schema: SchemaRef) -> Self {
        let shape = |funnel: &Funnel| Shape {
            revision: funnel.revision.cast_signed(),
            rules: funnel.definition.rules(),
        };
        Self {
            funnels: funnels.iter().map(shape).collect(),
            ids: funnels.iter().map(|funnel| funnel.id.clone()).zip(0..).collect(),
            batches: Vec::new(),
            visitor: None,
            visits: BTreeMap::new(),
            found: Vec::new(),
            schema,
        }
    }

    /// The columns of step rows that it reads.
    pub fn columns(&self) -> Vec<&str> {
        let carried = self.schema.fields().iter().map(|field| field.name().as_str());
        let carried = carried.filter(|name| funnel_steps().file_schema().column_with_name(name).is_some());
        let mut columns = PROGRESS_ORDER.to_vec();
        columns.extend(["funnel_id", "revision", "steps"]);
        for name in carried {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// Takes the next rows and returns the entries of visitors that have none left.
    ///
    /// # Errors
    /// They lack one of [`Progress::columns`].
    pub fn push(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = StepRows::of(rows)?;
        let batch = self.batches.len();
        for row in 0..rows.hashes.len() {
            let (site, hash) = (rows.sites.value(row), rows.hashes.value(row));
            if !self.visitor.as_ref().is_some_and(|(s, h)| *h == hash && s == site) {
                self.end_visitor();
                self.visitor = Some((site.to_owned(), hash));
            }
            let Some(funnel) = self.ids.get(rows.funnels.value(row)) else {
                continue;
            };
            if self.funnels[*funnel].revision != rows.revisions.value(row) {
                continue;
            }
            let event = StepEvent {
                time: rows.times.value(row),
                steps: rows.steps.value(row).cast_unsigned(),
            };
            let visit = self.visits.entry(*funnel).or_default();
            visit.add(event, rows.ids.value(row), (batch, row));
        }
        self.batches.push(rows);
        let entries = self.take_found()?;
        self.forget_batches();
        Ok(entries)
    }

    /// The entries of the last visitor.
    ///
    /// # Errors
    /// Arrow's.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.end_visitor();
        let entries = self.take_found()?;
        self.batches.clear();
        Ok(entries)
    }

    /// Bytes that the rows of the current visitor take.
    pub fn memory(&self) -> usize {
        let batches = self.batches.iter().map(|batch| batch.rows.get_array_memory_size());
        let visits = self.visits.values().map(Visit::memory);
        batches.chain(visits).sum()
    }

    fn end_visitor(&mut self) {
        for (funnel, visit) in std::mem::take(&mut self.visits) {
            let shape = self.funnels[funnel];
            let found = entries(&visit.events, &shape.rules).into_iter().map(|entry| {
                let (batch, row) = visit.rows[entry.first];
                FoundEntry {
                    steps: shape.rules.steps,
                    row: (batch as usize, row as usize),
                    entry,
                }
            });
            self.found.extend(found);
        }
    }

    /// Keeps the batches with rows of the current visitor: the last ones.
    fn forget_batches(&mut self) {
        let first = self
            .visits
            .values()
            .filter_map(|visit| visit.rows.first())
            .map(|row| row.0)
            .min();
        let kept = first.map_or(self.batches.len(), |first| first as usize);
        self.batches.drain(..kept);
        let kept = u32::try_from(kept).unwrap_or(u32::MAX);
        for row in self.visits.values_mut().flat_map(|visit| &mut visit.rows) {
            row.0 -= kept;
        }
    }

    fn take_found(&mut self) -> Result<RecordBatch, ArrowError> {
        let found = std::mem::take(&mut self.found);
        if found.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.schema)));
        }
        let rows: Vec<_> = found.iter().map(|entry| entry.row).collect();
        let of_event = |name: &str| {
            let column = |batch: &StepRows| batch.rows.column_by_name(name).cloned().ok_or_else(|| wrong(name));
            let columns = self.batches.iter().map(column).collect::<Result<Vec<ArrayRef>, _>>()?;
            let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
            interleave(&columns, &rows)
        };
        let columns = self.schema.fields().iter().map(|field| match field.name().as_str() {
            "date" => Ok(dates(&found)),
            "entered_at" => Ok(times(found.iter().map(|found| found.entry.times[0]))),
            "steps_completed" => {
                Ok(Arc::new(found.iter().map(|found| Some(found.depth())).collect::<Int32Array>()) as _)
            }
            "step_times" => step_times(&found),
            "fully_converted" => Ok(flags(&found, FoundEntry::is_converted)),
            "time_to_convert" => Ok(Arc::new(found.iter().map(FoundEntry::seconds).collect::<Int64Array>()) as _),
            "deepest_of_day" => Ok(flags(&found, |found| found.entry.deepest_of_day)),
            name => of_event(name),
        });
        // A statement may only count them.
        let count = RecordBatchOptions::new().with_row_count(Some(found.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?, &count)
    }
}

impl Visit {
    fn add(&mut self, event: StepEvent, id: &str, (batch, row): (usize, usize)) {
        let day = event.time.div_euclid(DAY);
        if day != self.day {
            self.ids.clear();
            self.day = day;
        }
        if self.ids.insert(xxh3_128(id.as_bytes())) {
            self.events.push(event);
            let index = |number| u32::try_from(number).unwrap_or(u32::MAX);
            self.rows.push((index(batch), index(row)));
        }
    }

    fn memory(&self) -> usize {
        self.events.capacity() * size_of::<StepEvent>()
            + self.rows.capacity() * size_of::<(u32, u32)>()
            + self.ids.capacity() * (size_of::<u128>() + 1)
    }
}

impl FoundEntry {
    /// At most [`crate::MAX_STEPS`].
    fn depth(&self) -> i32 {
        i32::try_from(self.entry.times.len()).unwrap_or(i32::MAX)
    }

    fn is_converted(&self) -> bool {
        self.entry.times.len() == self.steps
    }

    /// From the first step to the last one.
    fn seconds(&self) -> Option<i64> {
        let (first, last) = (self.entry.times.first()?, self.entry.times.last()?);
        self.is_converted().then_some((last - first) / SECOND)
    }
}

impl StepRows {
    fn of(rows: &RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str| rows.column_by_name(name).ok_or_else(|| wrong(name));
        let text = |name: &str| column(name)?.as_string_opt::<i32>().cloned().ok_or_else(|| wrong(name));
        let long = |name: &str| {
            column(name)?
                .as_primitive_opt::<Int64Type>()
                .cloned()
                .ok_or_else(|| wrong(name))
        };
        let times = column("event_timestamp")?.as_primitive_opt::<TimestampMicrosecondType>();
        let steps = column("steps")?.as_primitive_opt::<Int32Type>();
        Ok(Self {
            sites: text(SITE_COLUMN)?,
            hashes: long("client_hash")?,
            times: times.cloned().ok_or_else(|| wrong("event_timestamp"))?,
            ids: text("event_id")?,
            funnels: text("funnel_id")?,
            revisions: long("revision")?,
            steps: steps.cloned().ok_or_else(|| wrong("steps"))?,
            rows: rows.clone(),
        })
    }
}

fn dates(found: &[FoundEntry]) -> ArrayRef {
    let day = |found: &FoundEntry| i32::try_from(found.entry.times[0].div_euclid(DAY)).unwrap_or(i32::MAX);
    Arc::new(Date32Array::from_iter_values(found.iter().map(day)))
}

fn times(values: impl Iterator<Item = Micros>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

fn flags(found: &[FoundEntry], of: impl Fn(&FoundEntry) -> bool) -> ArrayRef {
    Arc::new(found.iter().map(|found| Some(of(found))).collect::<BooleanArray>())
}

fn step_times(found: &[FoundEntry]) -> Result<ArrayRef, ArrowError> {
    let lengths = found.iter().map(|found| found.entry.times.len());
    let values = times(found.iter().flat_map(|found| found.entry.times.iter().copied()));
    let item = Arc::new(Field::new_list_field(utc(), true));
    Ok(Arc::new(ListArray::try_new(
        item,
        OffsetBuffer::from_lengths(lengths),
        values,
        None,
    )?))
}

fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("step rows without a column {name} of the right type"))
}

#[cfg(test)]
mod tests;
