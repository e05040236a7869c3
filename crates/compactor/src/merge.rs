//! Merges sorted events of several files into one sorted stream, each event once.
//!
//! Order: site, visitor, time, arrival (`created_at`); of equal ones the older input comes first. Of a visitor's events
//! with the same `event_id` the first one stays. Memory: one batch per input and the ids of one visitor.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// Rows of a batch of output, unless it is configured.
pub(crate) const BATCH_ROWS: usize = 8 * 1_024;

/// A merge of `inputs`, each sorted like a file of `events`; the oldest input first.
pub(crate) struct Merge<I> {
    inputs: Vec<I>,
    /// The inputs that still have rows, by their next row.
    heap: BinaryHeap<Cursor>,
    /// The batches that [`Merge::rows`] and the cursors refer to.
    batches: Vec<RecordBatch>,
    /// Rows of the next batch of output: index of the batch, row in it.
    rows: Vec<(usize, usize)>,
    visitor: SeenIds,
    duplicates: u64,
    batch_rows: usize,
}

impl<I> std::fmt::Debug for Merge<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge")
            .field("inputs", &self.inputs.len())
            .field("duplicates", &self.duplicates)
            .finish_non_exhaustive()
    }
}

impl<I, E> Merge<I>
where
    I: Iterator<Item = Result<RecordBatch, E>>,
    E: From<ArrowError>,
{
    /// # Errors
    /// The first error of an input, or that its events are of another schema.
    pub(crate) fn new(inputs: Vec<I>, batch_rows: usize) -> Result<Self, E> {
        let mut merge = Self {
            heap: BinaryHeap::with_capacity(inputs.len()),
            inputs,
            batches: Vec::new(),
            rows: Vec::with_capacity(batch_rows),
            visitor: SeenIds::default(),
            duplicates: 0,
            batch_rows,
        };
        for input in 0..merge.inputs.len() {
            if let Some(cursor) = merge.next_cursor(input)? {
                merge.heap.push(cursor);
            }
        }
        Ok(merge)
    }

    /// Events dropped so far because their visitor has an earlier one with the same id.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// The next events; `None` at the end.
    ///
    /// # Errors
    /// An input's.
    pub(crate) fn next_batch(&mut self) -> Result<Option<RecordBatch>, E> {
        loop {
            let Some(mut first) = self.heap.peek_mut() else { break };
            if self.visitor.is_new(&first) {
                self.rows.push((first.batch, first.row));
            } else {
                self.duplicates += 1;
            }
            first.row += 1;
            let ended = (first.row == first.events.len()).then(|| PeekMut::pop(first).input);
            if let Some(input) = ended
                && let Some(cursor) = self.next_cursor(input)?
            {
                self.heap.push(cursor);
            }
            if self.rows.len() == self.batch_rows {
                return self.take_rows().map(Some);
            }
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        self.take_rows().map(Some)
    }

    /// The first row of the input's next batch that is not empty.
    fn next_cursor(&mut self, input: usize) -> Result<Option<Cursor>, E> {
        for batch in self.inputs[input].by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                let events = EventBatch::of(&batch)?;
                self.batches.push(batch);
                return Ok(Some(Cursor {
                    input,
                    batch: self.batches.len() - 1,
                    row: 0,
                    events,
                }));
            }
        }
        Ok(None)
    }

    fn take_rows(&mut self) -> Result<RecordBatch, E> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let taken = interleave_record_batch(&batches, &self.rows)?;
        self.rows.clear();
        self.forget_batches();
        Ok(taken)
    }

    /// Keeps only the batches that cursors refer to.
    fn forget_batches(&mut self) {
        let mut cursors = std::mem::take(&mut self.heap).into_vec();
        let mut batches = std::mem::take(&mut self.batches)
            .into_iter()
            .map(Some)
            .collect::<Vec<_>>();
        for cursor in &mut cursors {
            if let Some(batch) = batches[cursor.batch].take() {
                cursor.batch = self.batches.len();
                self.batches.push(batch);
            }
        }
        self.heap = cursors.into();
    }
}

/// The columns by which events are compared.
struct EventBatch {
    sites: StringArray,
    hashes: Int64Array,
    times: TimestampMicrosecondArray,
    arrivals: TimestampMicrosecondArray,
    ids: StringArray,
}

impl EventBatch {
    fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let wrong = |name: &str| ArrowError::SchemaError(format!("events without a column {name} of the right type"));
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| wrong(name));
        let text = |name: &str| column(name)?.as_string_opt::<i32>().cloned().ok_or_else(|| wrong(name));
        let time = |name: &str| {
            let times = column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
            times.cloned().ok_or_else(|| wrong(name))
        };
        let hashes = column("client_hash")?.as_primitive_opt::<Int64Type>().cloned();
        Ok(Self {
            sites: text("tracking_id")?,
            hashes: hashes.ok_or_else(|| wrong("client_hash"))?,
            times: time("event_timestamp")?,
            arrivals: time("created_at")?,
            ids: text("event_id")?,
        })
    }

    fn len(&self) -> usize {
        self.hashes.values().len()
    }
}

/// The next row of an input.
struct Cursor {
    input: usize,
    batch: usize,
    row: usize,
    events: EventBatch,
}

impl Cursor {
    fn site(&self) -> &str {
        self.events.sites.value(self.row)
    }

    fn numbers(&self) -> (i64, i64, i64, usize) {
        let EventBatch {
            hashes,
            times,
            arrivals,
            ..
        } = &self.events;
        (
            hashes.value(self.row),
            times.value(self.row),
            arrivals.value(self.row),
            self.input,
        )
    }
}

/// Reversed, because a heap yields the greatest first.
impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        let sites = other.site().cmp(self.site());
        sites.then_with(|| other.numbers().cmp(&self.numbers()))
    }
}

impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cursor {}

/// The event ids of the current visitor.
#[derive(Default)]
struct SeenIds {
    site: String,
    hash: i64,
    ids: HashTable<String>,
}

impl SeenIds {
    /// Whether the event is the first of its visitor with its id.
    fn is_new(&mut self, at: &Cursor) -> bool {
        let (site, hash) = (at.site(), at.events.hashes.value(at.row));
        if hash != self.hash || site != self.site {
            self.hash = hash;
            self.site.clear();
            self.site.push_str(site);
            self.ids.clear();
        }
        let id = at.events.ids.value(at.row);
        let entry = self.ids.entry(
            xxh3_64(id.as_bytes()),
            |known| known == id,
            |known| xxh3_64(known.as_bytes()),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(id.to_owned());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
