//! What an answer would read, by the statistics of files.

use datafusion::common::Result;
use datafusion::execution::context::ExecutionProps;
use footfall_lake::{DataFile, Snapshot};
use footfall_model::access::SiteScope;
use footfall_model::clock::DAY;
use footfall_model::rollup::TimeRange;
use footfall_model::table;

use super::answer_files::AnswerFiles;
use super::decision::Figures;
use super::fit::{Fit, overlaps};
use super::shape::Shape;
use crate::segments::ScopedLake;
use crate::table::{Conditions, prune};

/// What is read of `files` in `range`.
pub(super) fn figures(lake: &ScopedLake, files: &AnswerFiles, fits: &[Fit<'_>], range: TimeRange) -> Figures {
    let in_range = |file: &DataFile| overlaps(file.partition_date, range);
    let mut figures = Figures {
        rows_of_events: rows_of_events(lake, range),
        ..Figures::default()
    };
    for (of_fit, fit) in files.of_fits.iter().zip(fits) {
        let (segments, rows) = count(&of_fit.segments, |file| {
            fit.use_on(file.partition_date).segments && in_range(file)
        });
        figures.segments += segments;
        figures.segment_rows += rows;
    }
    let edges = files.of_fits.iter().filter_map(|of_fit| of_fit.edges.as_ref());
    for events in edges.chain([&files.uncovered]) {
        let (files, rows) = count(events, in_range);
        figures.files += files;
        figures.rows += rows;
    }
    figures
}

/// The rows of all files of events in `range`.
pub(super) fn rows_of_events(lake: &ScopedLake, range: TimeRange) -> u64 {
    let (_, rows) = count(&lake.pinned.events, |file| overlaps(file.partition_date, range));
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
