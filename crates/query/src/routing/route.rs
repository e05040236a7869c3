//! Which rollups answer an aggregate. Pure: a shape and what is known of the rollups in, an answer or a reason out.

use std::collections::BTreeSet;
use std::sync::Arc;

use footfall_model::access::SiteScope;
use footfall_model::rollup::Rollup;

use super::decision::Reason;
use super::fit::{Cut, Fit, Use, overlaps};
use super::mix::{Day, Held, Mix, by_rows};
use super::shape::Shape;
use crate::segments::CoveredDays;

/// How an aggregate is answered from rollups.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// Those that answer. What they give can be merged.
    pub(super) fits: Vec<Fit<'a>>,
    /// Which of them answers for which file.
    pub(super) mix: Mix,
}

/// The rollups by which the fewest rows are read, if they are fewer than those of the events.
///
/// The caller reads `sites`. `covered` is what segments a rollup has; `None` for readers of some sites, whose plans must not
/// depend on others' rows.
///
/// # Errors
/// Why the aggregate is answered from events.
pub(super) fn route<'a>(
    shape: &'a Shape,
    rollups: impl Iterator<Item = &'a Rollup>,
    sites: &SiteScope,
    covered: Option<impl Fn(&Rollup) -> Arc<CoveredDays>>,
) -> Result<Answer<'a>, Reason> {
    let (mut fits, mut others) = (Vec::new(), Vec::new());
    for rollup in rollups {
        match shape.fit(rollup, sites) {
            Ok(fit) => fits.push(fit),
            Err(lacks) => others.push((rollup, lacks)),
        }
    }
    if fits.is_empty() {
        let closest = others.into_iter().min_by_key(|(_, lacks)| lacks.len());
        return Err(closest.map_or(Reason::NoRollup, |(rollup, lacks)| Reason::Unfit {
            closest: rollup.name.clone(),
            lacks,
        }));
    }
    fits.sort_by_key(|fit| fineness(fit, None));
    let mix = match covered {
        Some(covered) => {
            let covered: Vec<_> = fits.iter().map(|fit| covered(fit.segment.rollup)).collect();
            by_rows(&days(shape, &fits, &covered), |a, b| fits[a].merges_with(&fits[b])).ok_or(Reason::FewRows)?
        }
        None => by_declaration(&fits),
    };
    let (mix, used) = mix.renumbered();
    let fits = used.into_iter().map(|nth| fits[nth].clone()).collect();
    Ok(Answer { fits, mix })
}

/// The days of the asked time that have files, and what each rollup has of them.
fn days(shape: &Shape, fits: &[Fit<'_>], covered: &[Arc<CoveredDays>]) -> Vec<Day> {
    let range = shape.time_range();
    let all = covered.first().into_iter();
    let asked = all.flat_map(|days| days.iter().filter(|(date, _)| overlaps(**date, range)));
    let day = |date: i32, events| Day {
        date,
        events,
        held: fits
            .iter()
            .zip(covered)
            .map(|(fit, days)| {
                let covered = days.get(&date).copied().unwrap_or_default();
                let Use { segments, edges } = fit.use_on(date);
                Held {
                    covered: if segments { covered.events } else { 0 },
                    rows: covered.segment_rows,
                    is_cut: edges,
                }
            })
            .collect(),
    };
    asked
        .map(|(date, covered)| day(*date, covered.events + covered.uncovered))
        .collect()
}

/// The mix of `fits`, the coarsest first, for a caller who may not know how many rows they have.
fn by_declaration(fits: &[Fit<'_>]) -> Mix {
    // One that is configured may not have its history yet: a built-in one answers where it has none.
    let is_built_in = |nth: &usize| fits[*nth].segment.rollup.revision == 0;
    let built_in = (0..fits.len()).find(is_built_in);
    let first = built_in.filter(|nth| !fits[*nth].merges_with(&fits[0])).unwrap_or(0);
    let merging = || (0..fits.len()).filter(|nth| *nth == first || fits[first].merges_with(&fits[*nth]));
    let order = |first: usize, otherwise: Option<usize>| -> Vec<usize> {
        let otherwise = otherwise.filter(|nth| *nth != first);
        [first].into_iter().chain(otherwise).collect()
    };
    let edges: BTreeSet<i32> = merging().flat_map(|nth| fits[nth].cuts().map(Cut::day)).collect();
    let days = edges.into_iter().filter_map(|day| {
        let by_fineness = |nth: &usize| fineness(&fits[*nth], Some(day));
        let finest = merging().min_by_key(by_fineness)?;
        Some((
            day,
            order(finest, merging().filter(is_built_in).min_by_key(by_fineness)),
        ))
    });
    Mix::new(order(first, built_in), days)
}

/// How many rows a rollup is expected to have, by its declaration alone, and how many events are read at the edges of the
/// asked time, if `day` is there.
fn fineness(fit: &Fit<'_>, day: Option<i32>) -> (bool, i64, usize, i64, bool) {
    let rollup = fit.segment.rollup;
    let width = rollup.grain.micros();
    let is_cut = day.is_some_and(|day| fit.use_on(day).edges);
    (
        rollup.per_visitor,
        if is_cut { width } else { 0 },
        rollup.dimensions.len(),
        -width,
        rollup.revision > 0,
    )
}
