//! The optimizer rule that replaces aggregates over `events`.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use footfall_model::access::SiteScope;

use super::RoutableEvents;
use super::budget::{Reading, Verdict};
use super::decision::{Decision, Reason};
use super::figures::{figures, reading, rows_of_events};
use super::fit::Fit;
use super::missing::missing;
use super::rewrite::rewrite;
use super::route::route;
use super::sampled::{can_be_sampled, sampled};
use super::shape::Shape;

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
            let (decision, fit) = decide(&shape, events);
            let decision = within_budget(decision, &shape, events)?;
            if decision.needs_rollup()
                && let Some(rollup) = missing(&shape, &events.lake.sites)
            {
                let rows = rows_of_events(&events.lake, shape.time_range());
                events.routing.push_missing(rollup, rows);
            }
            let plan = match (&decision, fit) {
                (Decision::Sampled(..), _) => Some(sampled(aggregate, &shape, &events.lake)?),
                (_, Some(fit)) => Some(rewrite(aggregate, &shape, &fit, &events.lake, config)?),
                (_, None) => None,
            };
            events.routing.push(decision);
            Ok(match plan {
                Some(plan) => Transformed::new(plan, true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        })
    }
}

fn decide<'a>(shape: &'a Shape, events: &'a RoutableEvents) -> (Decision, Option<Fit<'a>>) {
    if !events.routing.budget.routing {
        return (Decision::Raw(Reason::Off), None);
    }
    let lake = &events.lake;
    let configured = lake.pinned.configured.rollups(&lake.sites);
    let rollups = lake.tables.rollups.iter().chain(configured);
    let range = shape.time_range();
    route(shape, rollups, &lake.sites, |fit| match lake.sites {
        SiteScope::All => Some(figures(lake, fit, range).unwrap_or_default()),
        SiteScope::Only(_) => None,
    })
}

/// What the budget makes of an aggregate that reads raw events.
fn within_budget(decision: Decision, shape: &Shape, events: &RoutableEvents) -> Result<Decision> {
    let Decision::Raw(reason) = decision else {
        return Ok(decision);
    };
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
