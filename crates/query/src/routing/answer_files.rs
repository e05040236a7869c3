//! The files that an answer from rollups reads.

use std::collections::HashSet;

use datafusion::common::Result;
use footfall_lake::{DataFile, Snapshot, covered_name};
use footfall_model::rollup::TimeRange;

use super::fit::{Fit, overlaps};
use super::mix::Mix;
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
        let Answer { fits, mix } = answer;
        let coverage = |fit: &Fit<'_>| lake.coverage_of(&fit.segment.rollup.name);
        if let Some(fit) = mix.only().and_then(|nth| fits.get(nth)) {
            let coverage = coverage(fit)?;
            return Ok(Self {
                of_fits: vec![FitFiles {
                    edges: edges(fit, |_| true, &coverage),
                    segments: coverage.backed_segments,
                }],
                uncovered: coverage.uncovered,
            });
        }
        let coverages: Vec<_> = fits.iter().map(coverage).collect::<Result<_>>()?;
        let mut answered: Vec<HashSet<&str>> = vec![HashSet::new(); fits.len()];
        let covers: Vec<HashSet<&str>> = coverages
            .iter()
            .map(|coverage| stems(&coverage.covered, range))
            .collect();
        let events = &lake.pinned.events;
        for file in events.files().filter(|file| overlaps(file.partition_date, range)) {
            let mut order = mix.order(file.partition_date).iter();
            if let Some(nth) = order.find(|nth| covers[**nth].contains(file.stem())) {
                answered[*nth].insert(file.stem());
            }
        }
        let of_fits = fits.iter().zip(&coverages).zip(&answered).enumerate();
        Ok(Self {
            of_fits: of_fits
                .map(|(nth, ((fit, coverage), answered))| FitFiles {
                    segments: coverage
                        .backed_segments
                        .filter(|file| answered.contains(covered_name(file.stem()))),
                    edges: is_cut(fit, nth, mix)
                        .then(|| edges(fit, |file| answered.contains(file.stem()), coverage))
                        .flatten(),
                })
                .collect(),
            uncovered: events.filter(|file| {
                overlaps(file.partition_date, range) && !answered.iter().any(|of_fit| of_fit.contains(file.stem()))
            }),
        })
    }
}

/// Whether a fit answers for files of a day on which it cuts buckets. What is known of rows says nothing about it.
fn is_cut(fit: &Fit<'_>, nth: usize, mix: &Mix) -> bool {
    fit.cuts().any(|cut| mix.order(cut.day()).contains(&nth))
}

fn edges(fit: &Fit<'_>, answers: impl Fn(&DataFile) -> bool, coverage: &Coverage) -> Option<Snapshot> {
    let has_edges = fit.cuts().next().is_some();
    has_edges.then(|| {
        coverage
            .covered
            .filter(|file| fit.use_on(file.partition_date).edges && answers(file))
    })
}

fn stems(files: &Snapshot, range: TimeRange) -> HashSet<&str> {
    let in_range = files.files().filter(|file| overlaps(file.partition_date, range));
    in_range.map(|file| file.stem()).collect()
}
