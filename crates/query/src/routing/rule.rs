//! The optimizer rule that replaces aggregates over `events`.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use footfall_model::access::SiteScope;
use footfall_model::rollup::Rollup;

use super::RoutableEvents;
use super::answer_files::AnswerFiles;
use super::budget::{Reading, Verdict};
use super::decision::{Decision, Reason};
use super::figures::{figures, reading, rows_of_events};
use super::missing::missing;
use super::rewrite::rewrite;
use super::route::{Answer, route};
use super::sampled::{can_be_sampled, sampled};
use super::shape::Shape;
use crate::segments::ScopedLake;

/// Routes aggregates over `events` whose filters are pushed down, before distinct counts become groups.
#[derive(Debug)]
pub(crate) struct RouteAggregates;

impl OptimizerRule for RouteAggregates {
    fn name(&self) -> &'static str {
        "route_aggregates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut first: Option<bool> = None;
        plan.transform_down_with_subqueries(|node| {
            let LogicalPlan::Aggregate(aggregate) = &node else {
                return Ok(Transformed::no(node));
            };
            let Some((shape, provider)) = Shape::of(aggregate)? else {
                return Ok(Transformed::no(node));
            };
            let Some(events) = provider.downcast_ref::<RoutableEvents>() else {
                return Ok(Transformed::no(node));
            };
            if !*first.get_or_insert_with(|| events.routing.begin()) {
                return Ok(Transformed::no(node));
            }
            let (decision, plan) = match answer(&shape, events) {
                Ok(answer) => routed(aggregate, &shape, &answer, &events.lake, config)?,
                Err(reason) => from_events(aggregate, &shape, reason, events)?,
            };
            events.routing.push(decision);
            Ok(match plan {
                Some(plan) => Transformed::new(plan, true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        })
    }
}

/// How rollups answer, or why they don't.
fn answer<'a>(shape: &'a Shape, events: &'a RoutableEvents) -> Result<Answer<'a>, Reason> {
    if !events.routing.budget.routing {
        return Err(Reason::Off);
    }
    let lake = &events.lake;
    let configured = lake.pinned.configured.rollups(&lake.sites);
    let rollups = lake.tables.rollups.iter().chain(configured);
    let covered = |rollup: &Rollup| {
        let coverage = lake.coverage_of(&rollup.name);
        coverage.map(|coverage| coverage.days).unwrap_or_default()
    };
    route(shape, rollups, &lake.sites, knows_rows(lake).then_some(covered))
}

/// Whether the caller may know how many rows the lake's files have: those of all sites.
fn knows_rows(lake: &ScopedLake) -> bool {
    matches!(lake.sites, SiteScope::All)
}

type Planned = (Decision, Option<LogicalPlan>);

fn routed(
    aggregate: &Aggregate,
    shape: &Shape,
    answer: &Answer<'_>,
    lake: &ScopedLake,
    config: &dyn OptimizerConfig,
) -> Result<Planned> {
    let range = shape.time_range();
    let files = AnswerFiles::of(answer, lake, range)?;
    let fits = &answer.fits;
    let decision = Decision::Routed {
        rollups: fits.iter().map(|fit| fit.segment.rollup.name.clone()).collect(),
        edges: files.of_fits.iter().any(|of_fit| of_fit.edges.is_some()),
        figures: knows_rows(lake).then(|| figures(lake, &files, fits, range)),
    };
    let plan = rewrite(aggregate, shape, fits, files, lake, config)?;
    Ok((decision, Some(plan)))
}

fn from_events(aggregate: &Aggregate, shape: &Shape, reason: Reason, events: &RoutableEvents) -> Result<Planned> {
    let decision = within_budget(reason, shape, events)?;
    if decision.needs_rollup()
        && let Some(rollup) = missing(shape, &events.lake.sites)
    {
        let rows = rows_of_events(&events.lake, shape.time_range());
        events.routing.push_missing(rollup, rows);
    }
    let plan = match decision {
        Decision::Sampled(..) => Some(sampled(aggregate, shape, &events.lake)?),
        _ => None,
    };
    Ok((decision, plan))
}

/// What the budget makes of an aggregate that reads raw events.
fn within_budget(reason: Reason, shape: &Shape, events: &RoutableEvents) -> Result<Decision> {
    let budget = events.routing.budget;
    if budget.is_unlimited() {
        return Ok(Decision::Raw(reason));
    }
    let (rows, days) = reading(&events.lake, shape)?;
    let can_be_sampled = can_be_sampled(shape, &events.lake.sites)?;
    let verdict = budget.verdict(Reading {
        rows,
        days,
        can_be_sampled,
    });
    Ok(match verdict {
        Verdict::Read => Decision::Raw(reason),
        Verdict::Sample(excess) => Decision::Sampled(reason, excess),
        Verdict::Refuse(excess) => Decision::Refused(reason, excess),
    })
}
