//! Whether a rollup answers an aggregate exactly, and by which expressions. Pure.

use std::collections::BTreeSet;

use datafusion::common::Result;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Expr, Operator};
use footfall_model::access::SiteScope;
use footfall_model::clock::{DAY, Micros};
use footfall_model::rollup::{Rollup, TimeRange};
use footfall_model::table::SITE_COLUMN;

use super::aggregates::{Merged, merged};
use super::buckets::TIME;
use super::segment::{Segment, Unfit, of_type};
use super::shape::Shape;
use crate::table::{comparisons, micros, texts, times_of_days};

/// The expressions of a shape over the segments of a rollup.
#[derive(Debug, Clone)]
pub(super) struct Fit<'a> {
    pub(super) segment: Segment<'a>,
    /// For each of the shape's keys, see [`Shape::flat_keys`].
    pub(super) keys: Vec<Expr>,
    /// Beside those on the time.
    pub(super) filters: Vec<Expr>,
    pub(super) aggregates: Vec<Merged>,
    /// Of events that can count, as far as the filters say so.
    pub(super) asked: TimeRange,
    /// Of the buckets in which all events pass the filters on time.
    pub(super) whole: TimeRange,
}

impl Fit<'_> {
    /// Where buckets are cut by the filters on time.
    pub(super) fn cuts(&self) -> impl Iterator<Item = Cut> {
        let start = self.whole.from.filter(|from| Some(*from) != self.asked.from);
        let end = self.whole.until.filter(|until| Some(*until) != self.asked.until);
        start.map(Cut::Before).into_iter().chain(end.map(Cut::From))
    }

    /// What is read of this day.
    pub(super) fn use_on(&self, day: i32) -> Use {
        Use {
            segments: overlaps(day, self.whole),
            edges: self.cuts().any(|cut| cut.day() == day),
        }
    }

    /// Whether rows of both rollups are merged alike.
    pub(super) fn merges_with(&self, other: &Self) -> bool {
        self.aggregates.len() == other.aggregates.len()
            && self
                .aggregates
                .iter()
                .zip(&other.aggregates)
                .all(|(a, b)| a.merges_with(b))
    }
}

/// What an answer reads of a day of the asked time, of files that have a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) segments: bool,
    /// Events in buckets that are not asked as a whole.
    pub(super) edges: bool,
}

/// Whether any time of the day lies in the range.
pub(super) fn overlaps(day: i32, range: TimeRange) -> bool {
    let day = i64::from(day);
    range.from.is_none_or(|from| day >= from.div_euclid(DAY))
        && range
            .until
            .is_none_or(|until| day <= until.saturating_sub(1).div_euclid(DAY))
}

/// Events at the edge of the asked time whose bucket is not asked as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Before(Micros),
    From(Micros),
}

impl Cut {
    /// The day of the bucket that is cut.
    pub(super) fn day(self) -> i32 {
        let inside = match self {
            Self::Before(at) => at.saturating_sub(1),
            Self::From(at) => at,
        };
        i32::try_from(inside.div_euclid(DAY)).unwrap_or(i32::MAX)
    }
}

impl Shape {
    /// The keys; of grouping sets, each expression once.
    pub(super) fn flat_keys(&self) -> Result<Vec<&Expr>> {
        if self.has_grouping_sets() {
            grouping_set_to_exprlist(&self.keys)
        } else {
            Ok(self.keys.iter().collect())
        }
    }

    pub(super) fn has_grouping_sets(&self) -> bool {
        self.keys.iter().any(|key| matches!(key, Expr::GroupingSet(_)))
    }

    /// The shape over the segments of `rollup` for a caller of `sites`, or all that it lacks.
    pub(super) fn fit<'a>(&'a self, rollup: &'a Rollup, sites: &SiteScope) -> Result<Fit<'a>, Vec<Unfit>> {
        let segment = Segment {
            rollup,
            only: self.only_type(rollup),
        };
        let mut unfit = Vec::new();
        let mut keep = |result: Result<Expr, Unfit>| result.map_err(|reason| unfit.push(reason)).ok();
        let flat = self.flat_keys().unwrap_or_default();
        let keys: Vec<Expr> = flat.iter().filter_map(|key| keep(segment.key(key))).collect();
        let mut asked = TimeRange::ALL;
        let mut filters = Vec::new();
        for filter in &self.filters {
            if narrow(&mut asked, filter) || segment.only.is_some_and(|only| type_is(filter) == Some(only)) {
                continue;
            }
            filters.extend(keep(segment.key(filter)));
        }
        let one_site = self.is_of_one_site(&flat, sites);
        let aggregates = self.aggregates.iter();
        let aggregates: Vec<_> = aggregates
            .filter_map(|aggregate| {
                let merged = merged(aggregate, &segment, one_site);
                merged.map_err(|reason| unfit.push(reason)).ok()
            })
            .collect();
        if !self.is_within(&rollup.sites, sites) {
            unfit.push(Unfit::Sites);
        }
        if segment.weight().is_none() {
            unfit.push(Unfit::Aggregate("count(*)".to_owned()));
        }
        let whole = whole_buckets(asked, rollup.grain.micros());
        if let (Some(from), Some(until)) = (whole.from, whole.until)
            && from >= until
        {
            unfit.push(Unfit::Time(format!(
                "the time between two {}s",
                rollup.grain.column().unwrap_or("day")
            )));
        }
        if unfit.is_empty() {
            Ok(Fit {
                segment,
                keys,
                filters,
                aggregates,
                asked,
                whole,
            })
        } else {
            unfit.dedup();
            Err(unfit)
        }
    }

    /// The time of all events that count, as far as filters on it and on its date say so.
    pub(super) fn time_range(&self) -> TimeRange {
        let mut range = TimeRange::ALL;
        for filter in self.filters.iter().chain(&times_of_days(&self.filters)) {
            narrow(&mut range, filter);
        }
        range
    }

    /// The type of event that the filters ask for, if the rollup counts these without a dimension.
    fn only_type<'a>(&'a self, rollup: &Rollup) -> Option<&'a str> {
        if rollup.dimensions.iter().any(|dimension| dimension == "event_type") {
            return None;
        }
        let asked = self.filters.iter().find_map(type_is)?;
        let counts = |measure: &footfall_model::rollup::Measure| measure.function == of_type(asked);
        rollup.measures.iter().any(counts).then_some(asked)
    }

    /// Whether all rows of a group are of one site, for a caller who reads `sites`. `keys` are the flat ones.
    pub(super) fn is_of_one_site(&self, keys: &[&Expr], sites: &SiteScope) -> bool {
        let is_site = |key: &&Expr| matches!(key, Expr::Column(column) if column.name() == SITE_COLUMN);
        matches!(sites, SiteScope::Only(sites) if sites.len() <= 1)
            // Not every one of several grouping sets has all keys.
            || (!self.has_grouping_sets() && keys.iter().any(is_site))
            || self.sites().is_some_and(|named| named.len() == 1)
    }

    /// The sites that the filters name, if they do.
    fn sites(&self) -> Option<BTreeSet<String>> {
        self.filters.iter().find_map(|filter| texts(filter, SITE_COLUMN))
    }

    /// Whether no row of another site than the rollup's counts.
    fn is_within(&self, of_rollup: &SiteScope, of_caller: &SiteScope) -> bool {
        match (of_rollup, of_caller) {
            (SiteScope::All, _) => true,
            (SiteScope::Only(of_rollup), SiteScope::Only(of_caller)) if of_caller.is_subset(of_rollup) => true,
            (SiteScope::Only(of_rollup), _) => self.sites().is_some_and(|named| named.is_subset(of_rollup)),
        }
    }
}

/// Takes a comparison of the time with constants into the range; `false` if the filter is another.
fn narrow(range: &mut TimeRange, filter: &Expr) -> bool {
    let compared = comparisons(filter);
    let bounds = |operator: Operator, at: Micros| {
        let after = at.saturating_add(1);
        match operator {
            Operator::Gt => Some((Some(after), None)),
            Operator::GtEq => Some((Some(at), None)),
            Operator::Lt => Some((None, Some(at))),
            Operator::LtEq => Some((None, Some(after))),
            Operator::Eq => Some((Some(at), Some(after))),
            _ => None,
        }
    };
    let all: Option<Vec<_>> = compared
        .iter()
        .map(|(column, operator, value)| {
            let at = micros(value).filter(|_| *column == TIME)?;
            bounds(*operator, at)
        })
        .collect();
    let Some(all) = all.filter(|all| !all.is_empty()) else {
        return false;
    };
    for (from, until) in all {
        range.from = range.from.max(from);
        range.until = match (range.until, until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    true
}

fn whole_buckets(asked: TimeRange, width: Micros) -> TimeRange {
    let start = |at: Micros| at.div_euclid(width).saturating_mul(width);
    TimeRange {
        from: asked.from.map(|from| {
            let start = start(from);
            if start == from {
                from
            } else {
                start.saturating_add(width)
            }
        }),
        until: asked.until.map(start),
    }
}

/// The value that `event_type` must have.
pub(super) fn type_is(filter: &Expr) -> Option<&str> {
    match comparisons(filter).as_slice() {
        [("event_type", Operator::Eq, value)] => value.try_as_str().flatten(),
        _ => None,
    }
}
