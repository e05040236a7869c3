//! The optimizer rule that replaces aggregates over `events`.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use footfall_model::access::SiteScope;

use super::RoutableEvents;
use super::decision::{Decision, Reason};
use super::figures::{figures, rows_of_events};
use super::fit::Fit;
use super::missing::missing;
use super::rewrite::rewrite;
use super::route::route;
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
            if matches!(decision, Decision::Raw(Reason::Unfit { .. } | Reason::NoRollup))
                && let Some(rollup) = missing(&shape, &events.lake.sites)
            {
                let rows = rows_of_events(&events.lake, shape.time_range());
                events.routing.push_missing(rollup, rows);
            }
            events.routing.push(decision);
            match fit {
                None => Ok(Transformed::no(node)),
                Some(fit) => {
                    let routed = rewrite(aggregate, &shape, &fit, &events.lake, config)?;
                    Ok(Transformed::new(routed, true, TreeNodeRecursion::Jump))
                }
            }
        })
    }
}

fn decide<'a>(shape: &'a Shape, events: &'a RoutableEvents) -> (Decision, Option<Fit<'a>>) {
    if !events.routing.enabled {
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
