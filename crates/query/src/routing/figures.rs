//! What an answer would read, by the statistics of files.

use datafusion::common::Result;
use datafusion::execution::context::ExecutionProps;
use footfall_lake::{DataFile, Snapshot};
use footfall_model::access::SiteScope;
use footfall_model::clock::DAY;
use footfall_model::rollup::TimeRange;
use footfall_model::table;

use super::decision::Figures;
use super::fit::{Cut, Fit};
use super::shape::Shape;
use crate::segments::ScopedLake;
use crate::table::{Conditions, prune};

/// What the answer by `fit` reads of the files in `range`.
pub(super) fn figures(lake: &ScopedLake, fit: &Fit<'_>, range: TimeRange) -> Result<Figures> {
    let coverage = lake.coverage_of(&fit.segment.rollup.name)?;
    let in_range = |file: &DataFile| overlaps(file, range);
    let (segments, segment_rows) = count(&coverage.backed_segments, |file| {
        in_range(file) && overlaps(file, fit.whole)
    });
    let (files, rows) = count(&coverage.uncovered, in_range);
    let (edge_files, edge_rows) = count(&coverage.covered, |file| {
        in_range(file) && fit.cuts().any(|cut| is_cut(file, cut))
    });
    let (_, rows_of_events) = count(&lake.pinned.events, in_range);
    Ok(Figures {
        segments,
        segment_rows,
        files: files + edge_files,
        rows: rows + edge_rows,
        rows_of_events,
    })
}

/// The rows of all files of events in `range`.
pub(super) fn rows_of_events(lake: &ScopedLake, range: TimeRange) -> u64 {
    let (_, rows) = count(&lake.pinned.events, |file| overlaps(file, range));
    rows
}

/// The events that an aggregate reads raw, and of how many days, as far as the caller may know. `None`: of any number.
///
/// # Errors
/// A filter on the date fails.
pub(super) fn reading(lake: &ScopedLake, shape: &Shape) -> Result<(u64, Option<u64>)> {
    let conditions = Conditions::new(table::events(), &lake.sites, &shape.filters, &ExecutionProps::new())?;
    let files = prune(&lake.pinned.events, &lake.sites, &conditions)?.whole;
    let rows = files.iter().map(|file| file.rows.unwrap_or_default()).sum();
    let days = match lake.sites {
        // Days without events cost nothing.
        SiteScope::All => {
            let dates = files.iter().map(|file| file.partition_date);
            let held = dates.clone().max().zip(dates.min());
            Some(held.map_or(0, |(last, first)| last.abs_diff(first).saturating_add(1).into()))
        }
        SiteScope::Only(_) => {
            let TimeRange { from, until } = shape.time_range();
            let length = until.zip(from).map(|(until, from)| until.saturating_sub(from).max(0));
            length.map(|length| length.unsigned_abs().div_ceil(DAY.unsigned_abs()))
        }
    };
    Ok((rows, days))
}

fn count(files: &Snapshot, counts: impl Fn(&DataFile) -> bool) -> (u64, u64) {
    let counted = files.files().filter(|file| counts(file));
    counted.fold((0, 0), |(files, rows), file| {
        (files + 1, rows + file.rows.unwrap_or_default())
    })
}

fn overlaps(file: &DataFile, range: TimeRange) -> bool {
    let day = i64::from(file.partition_date);
    range.from.is_none_or(|from| day >= from.div_euclid(DAY))
        && range
            .until
            .is_none_or(|until| day <= until.saturating_sub(1).div_euclid(DAY))
}

fn is_cut(file: &DataFile, cut: Cut) -> bool {
    let (Cut::Before(at) | Cut::From(at)) = cut;
    // The cut bucket ends at, or begins with, this time.
    let inside = match cut {
        Cut::Before(_) => at.saturating_sub(1),
        Cut::From(_) => at,
    };
    i64::from(file.partition_date) == inside.div_euclid(DAY)
}
