//! From sorted events to the rows of segments: all rollups in one pass.
//!
//! ```text
//! batch -> runs of one site -> codes (a number for each value of a dimension, once for all rollups)
//!       -> groups (a rollup's keys are tuples of codes) -> accumulators -> at the site's end: rows, sorted
//! ```
//!
//! Events come sorted by site, so that no more than one site's groups are in memory.

mod accumulate;
mod codes;
mod groups;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::rollup::Rollup;
use footfall_model::schema;
use footfall_model::table::{SITE_COLUMN, SpecError, TableSpec};

use accumulate::Accumulator;
use codes::Codes;
use groups::Groups;

use crate::{Rows, SegmentBuilder};

/// Rows of a batch of output.
const BATCH_ROWS: usize = 8 * 1_024;

/// Builds the segments that cover one file of events.
#[derive(Debug)]
pub struct Aggregation {
    site: Option<String>,
    codes: Codes,
    rollups: Vec<RollupState>,
}

#[derive(Debug)]
struct RollupState {
    schema: SchemaRef,
    /// Whether a bucket's start is a column; a daily bucket is the partition.
    has_bucket: bool,
    /// Indices into [`Codes`].
    dimensions: Vec<usize>,
    groups: Groups,
    accumulators: Vec<(Option<usize>, Accumulator)>,
}

impl Aggregation {
    /// # Errors
    /// If a rollup is not a valid table.
    pub fn new(rollups: &[Rollup]) -> Result<Self, SpecError> {
        let mut codes = Codes::default();
        let rollups = rollups
            .iter()
            .map(|rollup| RollupState::new(rollup, &rollup.table()?, &mut codes))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            site: None,
            codes,
            rollups,
        })
    }

    fn end_site(&mut self, rows: &mut Rows) -> Result<(), ArrowError> {
        let Some(site) = self.site.take() else {
            return Ok(());
        };
        let ranks = self.codes.ranks();
        for (table, rollup) in self.rollups.iter_mut().enumerate() {
            rollup.end_site(&site, &self.codes, &ranks, |batch| rows.push(table, batch))?;
        }
        self.codes.clear();
        Ok(())
    }
}

impl SegmentBuilder for Aggregation {
    fn push(&mut self, events: &RecordBatch, rows: &mut Rows) -> Result<(), ArrowError> {
        let wrong = |name: &str| ArrowError::SchemaError(format!("events without a column {name} of the right type"));
        let sites = events
            .column_by_name(SITE_COLUMN)
            .and_then(|c| c.as_string_opt::<i32>());
        let sites = sites.ok_or_else(|| wrong(SITE_COLUMN))?.clone();
        let times = events
            .column_by_name("event_timestamp")
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| wrong("event_timestamp"))?;
        let mut start = 0;
        while start < events.num_rows() {
            let site = sites.value(start);
            if self.site.as_deref() != Some(site) {
                self.end_site(rows)?;
                self.site = Some(site.to_owned());
            }
            let end = end_of_run(&sites, start);
            let run = events.slice(start, end - start);
            self.codes.assign(&run)?;
            for rollup in &mut self.rollups {
                rollup.push(&run, &times.values()[start..end], &self.codes)?;
            }
            start = end;
        }
        Ok(())
    }

    fn finish(&mut self, rows: &mut Rows) -> Result<(), ArrowError> {
        self.end_site(rows)
    }
}

/// Files are sorted by site, and most have few sites: look far ahead first.
fn end_of_run(sites: &StringArray, start: usize) -> usize {
    let site = sites.value(start);
    if sites.value(sites.len() - 1) == site {
        return sites.len();
    }
    (start..sites.len())
        .find(|index| sites.value(*index) != site)
        .unwrap_or(sites.len())
}

impl RollupState {
    fn new(rollup: &Rollup, table: &TableSpec, codes: &mut Codes) -> Result<Self, SpecError> {
        let events = schema::event_file();
        let dimensions: Vec<_> = rollup.dimensions.iter().map(|name| codes.dimension(name)).collect();
        let accumulators = rollup.measures.iter().map(|measure| {
            let column = measure.function.column().and_then(|name| events.index_of(name).ok());
            let kind = column.map(|column| events.field(column).data_type());
            Accumulator::new(&measure.function, kind).map(|accumulator| (column, accumulator))
        });
        Ok(Self {
            schema: Arc::clone(table.file_schema()),
            has_bucket: rollup.grain.column().is_some(),
            groups: Groups::new(rollup.grain.micros(), dimensions.len()),
            dimensions,
            accumulators: accumulators.collect::<Result<_, _>>()?,
        })
    }

    fn push(&mut self, run: &RecordBatch, times: &[i64], codes: &Codes) -> Result<(), ArrowError> {
        let codes: Vec<&[u32]> = self.dimensions.iter().map(|dimension| codes.of(*dimension)).collect();
        let groups = self.groups.assign(times, &codes);
        let count = self.groups.len();
        for (column, accumulator) in &mut self.accumulators {
            accumulator.update(column.map(|column| run.column(column)), &groups, count)?;
        }
        self.groups.recycle(groups);
        Ok(())
    }

    fn end_site(
        &mut self,
        site: &str,
        codes: &Codes,
        ranks: &[Vec<u32>],
        mut done: impl FnMut(RecordBatch),
    ) -> Result<(), ArrowError> {
        let ranks: Vec<&[u32]> = self
            .dimensions
            .iter()
            .map(|dimension| ranks[*dimension].as_slice())
            .collect();
        let order = self.groups.sorted(&ranks);
        for groups in order.chunks(BATCH_ROWS) {
            let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(groups.iter().map(|_| site)))];
            if self.has_bucket {
                columns.push(Arc::new(self.groups.buckets(groups)));
            }
            for (nth, dimension) in self.dimensions.iter().enumerate() {
                columns.push(codes.values(*dimension, groups.iter().map(|group| self.groups.code(*group, nth))));
            }
            for (_, accumulator) in &self.accumulators {
                columns.push(accumulator.values(groups)?);
            }
            done(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        }
        self.groups.clear();
        for (_, accumulator) in &mut self.accumulators {
            accumulator.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
