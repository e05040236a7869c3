//! Which rollup answers an aggregate. Pure: a shape and what is known of the rollups in, a decision with its reason out.

use footfall_model::access::SiteScope;
use footfall_model::rollup::Rollup;

use super::decision::{Decision, Figures, Reason};
use super::fit::Fit;
use super::shape::Shape;

/// The rollup by which the fewest rows are read, if they are fewer than those of the events.
///
/// The caller reads `sites`. `figures` is what an answer would read; `None` for readers of some sites, whose plans must not
/// depend on others' rows.
pub(super) fn route<'a>(
    shape: &'a Shape,
    rollups: impl Iterator<Item = &'a Rollup>,
    sites: &SiteScope,
    figures: impl Fn(&Fit<'_>) -> Option<Figures>,
) -> (Decision, Option<Fit<'a>>) {
    let (mut fits, mut others) = (Vec::new(), Vec::new());
    for rollup in rollups {
        match shape.fit(rollup, sites) {
            Ok(fit) => {
                let figures = figures(&fit);
                fits.push((fit, figures));
            }
            Err(lacks) => others.push((rollup, lacks)),
        }
    }
    let cost = |(fit, figures): &(Fit<'_>, Option<Figures>)| (figures.map(|read| read.rows_read()), fineness(fit));
    let Some((fit, figures)) = fits.into_iter().min_by_key(cost) else {
        let closest = others.into_iter().min_by_key(|(_, lacks)| lacks.len());
        let reason = closest.map_or(Reason::NoRollup, |(rollup, lacks)| Reason::Unfit {
            closest: rollup.name.clone(),
            lacks,
        });
        return (Decision::Raw(reason), None);
    };
    if figures.is_some_and(|figures| figures.segments == 0 || figures.rows_read() >= figures.rows_of_events) {
        return (Decision::Raw(Reason::FewRows), None);
    }
    let decision = Decision::Routed {
        rollup: fit.segment.rollup.name.clone(),
        edges: fit.cuts().next().is_some(),
        figures,
    };
    (decision, Some(fit))
}

/// How many rows a rollup is expected to have, by its declaration alone. One that is configured may not have its history
/// yet.
fn fineness(fit: &Fit<'_>) -> (bool, bool, bool, usize, i64) {
    let rollup = fit.segment.rollup;
    let edges = fit.cuts().next().is_some();
    // The events of cut buckets are read: the narrower, the fewer.
    let width = rollup.grain.micros();
    (
        rollup.revision > 0,
        rollup.per_visitor,
        edges,
        rollup.dimensions.len(),
        if edges { width } else { -width },
    )
}
