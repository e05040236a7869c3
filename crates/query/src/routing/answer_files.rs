//! The files that an answer from rollups reads.

use std::collections::HashSet;

use datafusion::common::Result;
use footfall_lake::{DataFile, Snapshot, covered_name};
use footfall_model::rollup::TimeRange;

use super::fit::{Fit, overlaps};
use super::route::Answer;
use crate::segments::{Coverage, ScopedLake};

#[derive(Debug)]
pub(super) struct AnswerFiles {
    /// For each fit of the answer.
    pub(super) of_fits: Vec<FitFiles>,
    /// Events for which no segment answers.
    pub(super) uncovered: Snapshot,
}

#[derive(Debug)]
pub(super) struct FitFiles {
    pub(super) segments: Snapshot,
    /// Events that the segments stand for, of days on which buckets are cut; `None` if there can't be any.
    pub(super) edges: Option<Snapshot>,
}

impl AnswerFiles {
    /// # Errors
    /// The lake was opened without the table of a rollup.
    pub(super) fn of(answer: &Answer<'_>, lake: &ScopedLake, range: TimeRange) -> Result<Self> {
        let coverage = |fit: &Fit<'_>| lake.coverage_of(&fit.segment.rollup.name);
        let coverages: Vec<_> = answer.fits.iter().map(coverage).collect::<Result<_>>()?;
        Ok(
            match (answer.mix.only(), answer.fits.as_slice(), coverages.as_slice()) {
                (Some(_), [fit], [coverage]) => Self {
                    of_fits: vec![FitFiles {
                        segments: coverage.backed_segments.clone(),
                        edges: edges(fit, coverage, |_| true),
                    }],
                    uncovered: coverage.uncovered.clone(),
                },
                _ => Self::mixed(answer, &coverages, &lake.pinned.events, range),
            },
        )
    }

    fn mixed(answer: &Answer<'_>, coverages: &[Coverage], events: &Snapshot, range: TimeRange) -> Self {
        let Answer { fits, mix } = answer;
        let covered: Vec<_> = coverages
            .iter()
            .map(|coverage| names(&coverage.covered, range))
            .collect();
        // The names of the files that each fit answers for.
        let mut answered: Vec<HashSet<&str>> = vec![HashSet::new(); fits.len()];
        let mut uncovered: HashSet<&str> = HashSet::new();
        for file in events.files().filter(|file| overlaps(file.partition_date, range)) {
            let mut order = mix.order(file.partition_date).iter();
            let found = order.find(|nth| covered[**nth].contains(file.stem()));
            found
                .map_or(&mut uncovered, |nth| &mut answered[*nth])
                .insert(file.stem());
        }
        let of_fits = fits.iter().zip(coverages).zip(&answered).enumerate();
        let of_fits = of_fits.map(|(nth, ((fit, coverage), answered))| {
            let answers =
                |file: &DataFile| overlaps(file.partition_date, range) && answered.contains(covered_name(file.stem()));
            // By the mix alone: whether there are such files is nothing that a reader may learn from a plan.
            let may_be_cut = fit.cuts().any(|cut| mix.order(cut.day()).contains(&nth));
            FitFiles {
                segments: coverage.backed_segments.filter(answers),
                edges: edges(fit, coverage, answers).filter(|_| may_be_cut),
            }
        });
        Self {
            of_fits: of_fits.collect(),
            uncovered: events.filter(|file| overlaps(file.partition_date, range) && uncovered.contains(file.stem())),
        }
    }
}

/// The events of the segments' files for which the fit `answers`, of days on which it cuts buckets.
fn edges(fit: &Fit<'_>, coverage: &Coverage, answers: impl Fn(&DataFile) -> bool) -> Option<Snapshot> {
    let is_cut = fit.cuts().next().is_some();
    let in_cut_day = |file: &DataFile| fit.use_on(file.partition_date).edges && answers(file);
    is_cut.then(|| coverage.covered.filter(in_cut_day))
}

fn names(files: &Snapshot, range: TimeRange) -> HashSet<&str> {
    let in_range = files.files().filter(|file| overlaps(file.partition_date, range));
    in_range.map(|file| file.stem()).collect()
}
