//! From sorted events to the rows of segments: all rollups in one pass.
//!
//! ```text
//! batch -> runs of one site -> codes (a number for each value of a dimension, once for all rollups)
//!       -> groups (a rollup's keys are tuples of codes) -> accumulators -> at the site's end: rows, sorted
//! ```
//!
//! Events come sorted by site and visitor, so that no more than one site's groups are in memory, and of a rollup per
//! visitor little more than one visitor's.

mod accumulate;
mod codes;
mod groups;
mod rollup;
mod visitors;

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use footfall_model::rollup::{Rollup, VISITOR_COLUMN};
use footfall_model::table::{SITE_COLUMN, SpecError};

use codes::Codes;
use rollup::RollupState;

use crate::{Rows, SegmentBuilder};

const TIME_COLUMN: &str = "event_timestamp";

/// Builds the segments that cover one file of events.
#[derive(Debug)]
pub(crate) struct Aggregation {
    site: Option<String>,
    codes: Codes,
    rollups: Vec<RollupState>,
}

impl Aggregation {
    /// # Errors
    /// If a rollup is not a valid table.
    pub(crate) fn new(rollups: &[Rollup]) -> Result<Self, SpecError> {
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

    /// The columns of events that are read, each once.
    pub(crate) fn columns(rollups: &[Rollup]) -> Vec<String> {
        let of_all = [SITE_COLUMN, VISITOR_COLUMN, TIME_COLUMN].map(str::to_owned);
        let of_one = |rollup: &Rollup| {
            let measured = rollup.measures.iter().filter_map(|measure| measure.function.column());
            let columns = measured.chain(rollup.dimensions.iter().map(String::as_str));
            let columns = columns.chain(rollup.ids.iter().map(|id| id.column()));
            columns.map(str::to_owned).collect::<Vec<_>>()
        };
        let columns: BTreeSet<_> = of_all.into_iter().chain(rollups.iter().flat_map(of_one)).collect();
        columns.into_iter().collect()
    }

    fn end_site(&mut self, rows: &mut Rows) -> Result<(), ArrowError> {
        let Some(site) = self.site.take() else {
            return Ok(());
        };
        for (table, rollup) in self.rollups.iter_mut().enumerate() {
            rollup.end_site(&site, &self.codes, |batch| rows.push(table, batch))?;
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
            .column_by_name(TIME_COLUMN)
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| wrong(TIME_COLUMN))?;
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
            let rollups = self.rollups.iter_mut().enumerate();
            for (table, rollup) in rollups.filter(|(_, rollup)| rollup.has_site(site)) {
                rollup.push(site, &run, &times.values()[start..end], &self.codes)?;
                rollup.end_visitors(site, &self.codes, |batch| rows.push(table, batch))?;
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

#[cfg(test)]
mod tests;
