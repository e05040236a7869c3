//! From step rows to entries.

use std::collections::{HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::{DAY, Micros};

use self::buckets::Buckets;
use self::output::{FoundEntry, Output};
use crate::Funnel;
use crate::attempts::{EntryFinder, StepEvent};
use crate::table::{EVENT_HASH, PROGRESS_ORDER, REVISION, STEPS, VISITOR};

mod buckets;
mod output;

/// Up to so many events of a visitor and day are compared with each other, more are looked up.
const FEW: usize = 16;

/// Collects step rows and computes the entries of their visitors. Rows of other definitions than those given are ignored.
///
/// An event id counts once per visitor and day (UTC), as it does once the day's files are merged.
///
/// Memory: 48 bytes for each row, and the columns that entries take from their first events.
#[derive(Debug)]
pub struct Progress {
    /// By revision.
    funnels: Vec<Funnel>,
    /// By the index of the funnel.
    finders: Vec<EntryFinder>,
    /// The index of each funnel. A revision is that of one funnel alone.
    by_revision: HashMap<i64, u32>,
    rows: Buckets,
    output: Output,
}

/// A step row without its texts. Ordered as in [`PROGRESS_ORDER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    client_hash: i64,
    /// Its index.
    funnel: u32,
    time: Micros,
    created_at: Micros,
    steps: u32,
    event_hash: i64,
    /// Where the other columns are: a batch, and a row of it.
    batch: u32,
    row: u32,
}

impl Row {
    fn visitor(&self) -> (i64, u32) {
        (self.client_hash, self.funnel)
    }

    fn day(&self) -> i64 {
        self.time.div_euclid(DAY)
    }
}

impl Progress {
    /// Makes entries of `schema`: columns of [`crate::table::progress`].
    pub fn new(funnels: &[Funnel], schema: SchemaRef) -> Self {
        let mut funnels = funnels.to_vec();
        funnels.sort_by_key(|funnel| funnel.revision);
        let rules = funnels.iter().map(|funnel| funnel.definition.rules());
        let revisions = funnels.iter().map(|funnel| funnel.revision.cast_signed());
        Self {
            finders: rules.map(EntryFinder::new).collect(),
            by_revision: revisions.zip(0..).collect(),
            funnels,
            rows: Buckets::default(),
            output: Output::new(schema),
        }
    }

    /// The columns of step rows that it reads.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns = PROGRESS_ORDER.to_vec();
        columns.extend(self.output.carried());
        columns
    }

    /// Takes rows, in any order.
    ///
    /// # Errors
    /// They lack one of [`Progress::columns`].
    pub fn push(&mut self, rows: &RecordBatch) -> Result<(), ArrowError> {
        let columns = Columns::of(rows)?;
        let batch = self.output.keep(rows)?;
        let mut last: Option<(i64, Option<u32>)> = None;
        for row in 0..rows.num_rows() {
            let revision = columns.revisions[row];
            let funnel = match last {
                Some((known, funnel)) if known == revision => funnel,
                _ => self.by_revision.get(&revision).copied(),
            };
            last = Some((revision, funnel));
            let Some(funnel) = funnel else { continue };
            self.rows.push(Row {
                funnel,
                client_hash: columns.client_hashes[row],
                time: columns.times[row],
                created_at: columns.arrivals[row],
                event_hash: columns.event_hashes[row],
                steps: columns.steps[row].cast_unsigned(),
                batch,
                // A batch has fewer rows than that.
                row: u32::try_from(row).unwrap_or(u32::MAX),
            });
        }
        Ok(())
    }

    /// Bytes that it holds.
    pub fn memory(&self) -> usize {
        self.rows.memory() + self.output.memory()
    }

    /// Its rows in the order of [`PROGRESS_ORDER`], in batches of up to `most` with the columns of `schema`. They are
    /// forgotten by and by; those that are left, by [`Progress::clear`].
    pub fn take_rows(
        &mut self,
        most: usize,
        schema: &SchemaRef,
    ) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let Self {
            rows, output, funnels, ..
        } = self;
        std::iter::from_fn(move || rows.take_next()).flat_map(move |rows| {
            let batches = rows.chunks(most.max(1));
            let batches = batches.map(|rows| output.step_rows(funnels, rows, schema));
            batches.collect::<Vec<_>>()
        })
    }

    /// The entries of the next visitors, of some `most` rows; none at the end. No rows come after it.
    ///
    /// # Errors
    /// Arrow's.
    pub fn entries(&mut self, most: usize) -> Result<Option<RecordBatch>, ArrowError> {
        let (mut found, mut taken) = (Vec::new(), 0);
        while taken < most
            && let Some(rows) = self.rows.take_next()
        {
            taken += rows.len();
            self.find(&rows, &mut found);
        }
        if taken == 0 {
            self.clear();
            return Ok(None);
        }
        self.output.batch(&self.funnels, &found).map(Some)
    }

    /// The entries of all visitors but the last, of whom more rows may come: for rows in the order of
    /// [`PROGRESS_ORDER`].
    ///
    /// # Errors
    /// Arrow's.
    pub fn entries_of_ended(&mut self) -> Result<RecordBatch, ArrowError> {
        let (mut found, mut going_on) = (Vec::new(), Vec::new());
        while let Some(mut rows) = self.rows.take_next() {
            if self.rows.is_empty() {
                let last = rows.last().map(|row| row.client_hash);
                going_on = rows.split_off(rows.partition_point(|row| Some(row.client_hash) < last));
            }
            self.find(&rows, &mut found);
        }
        let entries = self.output.batch(&self.funnels, &found)?;
        let forgotten = self.output.forget_before(going_on.iter().map(|row| row.batch).min());
        self.rows = Buckets::default();
        for row in going_on {
            let batch = row.batch - forgotten;
            self.rows.push(Row { batch, ..row });
        }
        Ok(entries)
    }

    /// Appends the entries of visitors, whose rows are in order.
    fn find(&mut self, rows: &[Row], found: &mut Vec<FoundEntry>) {
        let (mut once, mut events) = (Vec::new(), Vec::new());
        for rows in rows.chunk_by(|a, b| a.visitor() == b.visitor()) {
            once.clear();
            count_once(rows, &mut once);
            events.clear();
            events.extend(once.iter().map(|row: &Row| StepEvent {
                time: row.time,
                steps: row.steps,
            }));
            let finder = &mut self.finders[rows[0].funnel as usize];
            let entries = finder.entries(&events).into_iter();
            found.extend(entries.map(|entry| FoundEntry {
                row: once[entry.first],
                entry,
            }));
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.rows = Buckets::default();
        self.output.forget_before(None);
    }
}

/// Appends a visitor's rows, each event once a day: the first stays.
fn count_once(rows: &[Row], once: &mut Vec<Row>) {
    for day in rows.chunk_by(|a, b| a.day() == b.day()) {
        let first = once.len();
        let mut seen = (day.len() > FEW).then(HashSet::new);
        for row in day {
            let is_new = match &mut seen {
                Some(seen) => seen.insert(row.event_hash),
                None => once[first..].iter().all(|known| known.event_hash != row.event_hash),
            };
            if is_new {
                once.push(*row);
            }
        }
    }
}

/// The columns of step rows that are numbers.
struct Columns<'a> {
    client_hashes: &'a [i64],
    times: &'a [i64],
    arrivals: &'a [i64],
    event_hashes: &'a [i64],
    revisions: &'a [i64],
    steps: &'a [i32],
}

impl<'a> Columns<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str| rows.column_by_name(name).ok_or_else(|| wrong(name));
        let numbers = |name: &str| {
            let numbers = column(name)?.as_primitive_opt::<Int64Type>();
            Ok::<_, ArrowError>(&numbers.ok_or_else(|| wrong(name))?.values()[..])
        };
        let times = |name: &str| {
            let times = column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
            Ok::<_, ArrowError>(&times.ok_or_else(|| wrong(name))?.values()[..])
        };
        let steps = column(STEPS)?.as_primitive_opt::<Int32Type>();
        Ok(Self {
            client_hashes: numbers(VISITOR)?,
            times: times("event_timestamp")?,
            arrivals: times("created_at")?,
            event_hashes: numbers(EVENT_HASH)?,
            revisions: numbers(REVISION)?,
            steps: steps.ok_or_else(|| wrong(STEPS))?.values(),
        })
    }
}

fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("step rows without a column {name} of the right type"))
}

#[cfg(test)]
mod tests;
