//! What an answer would read, by the statistics of files.

use datafusion::common::Result;
use footfall_lake::{DataFile, Snapshot};
use footfall_model::clock::DAY;
use footfall_model::rollup::TimeRange;

use super::decision::Figures;
use super::fit::{Cut, Fit};
use crate::segments::ScopedLake;

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
