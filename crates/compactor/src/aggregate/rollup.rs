//! The groups of one rollup and one site, and the rows that they become.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use footfall_model::access::SiteScope;
use footfall_model::rollup::Rollup;
use footfall_model::schema;
use footfall_model::table::{SpecError, TableSpec};

use super::accumulate::Accumulator;
use super::codes::Codes;
use super::groups::Groups;
use super::visitors::Visitors;

/// Rows of a batch of output; few in tests, so that they have several.
const BATCH_ROWS: usize = if cfg!(test) { 8 } else { 8 * 1_024 };

#[derive(Debug)]
pub(super) struct RollupState {
    schema: SchemaRef,
    sites: SiteScope,
    /// Of a rollup per visitor.
    visitors: Option<Visitors>,
    /// Whether a bucket's start is a column; a daily bucket is the partition.
    has_bucket: bool,
    /// Indices into [`Codes`].
    dimensions: Vec<usize>,
    groups: Groups,
    /// Each with the name of its column in events.
    accumulators: Vec<(Option<String>, Accumulator)>,
}

impl RollupState {
    pub(super) fn new(rollup: &Rollup, table: &TableSpec, codes: &mut Codes) -> Result<Self, SpecError> {
        let events = schema::event_file();
        let dimensions: Vec<_> = rollup.dimensions.iter().map(|name| codes.dimension(name)).collect();
        let accumulators = rollup.measures.iter().map(|measure| {
            let column = measure.function.column();
            let kind = column.and_then(|name| events.field_with_name(name).ok());
            let accumulator = Accumulator::new(&measure.function, kind.map(Field::data_type));
            accumulator.map(|accumulator| (column.map(str::to_owned), accumulator))
        });
        Ok(Self {
            schema: Arc::clone(table.file_schema()),
            sites: rollup.sites.clone(),
            visitors: rollup.per_visitor.then(|| Visitors::new(&rollup.ids)),
            has_bucket: rollup.grain.column().is_some(),
            groups: Groups::new(rollup.grain.micros(), dimensions.len()),
            dimensions,
            accumulators: accumulators.collect::<Result<_, _>>()?,
        })
    }

    /// Whether it has rows of this site.
    pub(super) fn has_site(&self, site: &str) -> bool {
        self.sites.allows(site)
    }

    /// Adds the next events of the site.
    pub(super) fn push(
        &mut self,
        site: &str,
        run: &RecordBatch,
        times: &[i64],
        codes: &Codes,
    ) -> Result<(), ArrowError> {
        let codes: Vec<&[u32]> = self.dimensions.iter().map(|dimension| codes.of(*dimension)).collect();
        let visitors = self
            .visitors
            .as_mut()
            .map(|visitors| visitors.assign(site, run))
            .transpose()?;
        let groups = self.groups.assign(visitors, times, &codes);
        let count = self.groups.len();
        for (column, accumulator) in &mut self.accumulators {
            let values = match column {
                Some(name) => Some(run.column_by_name(name).ok_or_else(|| without_column(name))?),
                None => None,
            };
            accumulator.update(values, &groups, count)?;
        }
        self.groups.recycle(groups);
        Ok(())
    }

    /// The rows of visitors that have ended, once they are worth a batch.
    pub(super) fn end_visitors(
        &mut self,
        site: &str,
        codes: &Codes,
        done: impl FnMut(RecordBatch),
    ) -> Result<(), ArrowError> {
        let Some(last) = self.groups.len().checked_sub(1) else {
            return Ok(());
        };
        let Some(visitors) = self.visitors.as_ref().filter(|_| last >= BATCH_ROWS) else {
            return Ok(());
        };
        // The visitors follow one another, so the last one's groups are the last.
        let visitor = |group: usize| self.groups.visitor(u32::try_from(group).unwrap_or(u32::MAX));
        let goes_on = |group: usize| visitors.are_one(visitor(group), visitor(last));
        let complete = (0..last).rev().find(|group| !goes_on(*group));
        match complete {
            Some(group) => self.end(group + 1, site, codes, done),
            None => Ok(()),
        }
    }

    /// The rows that are left.
    pub(super) fn end_site(
        &mut self,
        site: &str,
        codes: &Codes,
        done: impl FnMut(RecordBatch),
    ) -> Result<(), ArrowError> {
        self.end(self.groups.len(), site, codes, done)?;
        if let Some(visitors) = &mut self.visitors {
            visitors.clear();
        }
        Ok(())
    }

    /// Makes rows of the first `count` groups and forgets these.
    fn end(
        &mut self,
        count: usize,
        site: &str,
        codes: &Codes,
        mut done: impl FnMut(RecordBatch),
    ) -> Result<(), ArrowError> {
        let known = &self.groups;
        let used = |nth| (0..).take(count).map(move |group| known.code(group, nth));
        let dimensions = self.dimensions.iter().enumerate();
        let ranks: Vec<_> = dimensions
            .map(|(nth, dimension)| codes.ranks(*dimension, used(nth)))
            .collect();
        let ranks: Vec<&[u32]> = ranks.iter().map(Vec::as_slice).collect();
        let visitors = self.visitors.as_ref().map(Visitors::ranks);
        for groups in self
            .groups
            .sorted(count, visitors.as_deref(), &ranks)
            .chunks(BATCH_ROWS)
        {
            done(self.rows(groups, site, codes)?);
        }
        let forgotten = self.visitors.as_mut().map_or(0, Visitors::keep_last);
        self.groups.drain(count, forgotten);
        for (_, accumulator) in &mut self.accumulators {
            accumulator.drain(count);
        }
        Ok(())
    }

    fn rows(&self, groups: &[u32], site: &str, codes: &Codes) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(groups.iter().map(|_| site)))];
        if let Some(visitors) = &self.visitors {
            let numbers = groups.iter().map(|group| self.groups.visitor(*group));
            columns.extend(visitors.columns(numbers).map(|column| Arc::new(column) as ArrayRef));
        }
        if self.has_bucket {
            columns.push(Arc::new(self.groups.buckets(groups)));
        }
        for (nth, dimension) in self.dimensions.iter().enumerate() {
            columns.push(codes.values(*dimension, groups.iter().map(|group| self.groups.code(*group, nth))));
        }
        for (_, accumulator) in &self.accumulators {
            columns.push(accumulator.values(groups)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn without_column(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("events without a column {name}"))
}
