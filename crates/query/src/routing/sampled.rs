//! An aggregate over a tenth of the visitors, whose counts and sums are multiplied by ten.
//!
//! Only what a sample of visitors estimates without bias: counts and sums of events, visitors and sessions, and averages. A
//! smallest and a largest value are not, and neither is what is grouped by visitor, since each has all its events.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use footfall_model::access::SiteScope;
use footfall_model::rollup::VISITOR_COLUMN;

use super::segment::column;
use super::shape::Shape;
use crate::catalog::EVENTS;
use crate::segments::ScopedLake;
use crate::statement::last_hash;

/// The share of visitors.
pub(crate) const SHARE: f64 = 0.1;

/// One visitor stands for so many.
const WEIGHT: i64 = 10;

/// Columns of which each value belongs to one visitor of a site.
const IDS: [&str; 2] = ["client_id", "session_id"];

/// With one of these among its keys, a group has all its events or none in a sample; and so have the events that a
/// condition on one of these names, such as one visitor's, or those of a sample that the statement takes by itself.
const UNIQUE: [&str; 5] = ["client_id", VISITOR_COLUMN, "session_id", "user_id", "event_id"];

/// Whether all numbers of the aggregate can be estimated.
pub(super) fn can_be_sampled(shape: &Shape, sites: &SiteScope) -> Result<bool> {
    let one_site = shape.is_of_one_site(&shape.flat_keys()?, sites);
    let is_unique = |expr: &Expr| {
        expr.column_refs()
            .iter()
            .any(|column| UNIQUE.contains(&column.name.as_str()))
    };
    let mut aggregates = shape.aggregates.iter();
    Ok(!shape.keys.iter().chain(&shape.filters).any(is_unique)
        && aggregates.all(|aggregate| estimate(aggregate, one_site).is_some()))
}

/// What makes an estimate of a value over the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Estimate {
    Multiplied,
    AsItIs,
}

/// `one_site`: all rows of a group are of one site. Two sites may have the same ids of different visitors.
fn estimate(aggregate: &Expr, one_site: bool) -> Option<Estimate> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = aggregate else {
        return None;
    };
    let of_visitors = || match params.args.as_slice() {
        [Expr::Column(column)] if column.name == VISITOR_COLUMN => true,
        [Expr::Column(column)] => one_site && IDS.contains(&column.name.as_str()),
        _ => false,
    };
    match (func.name(), params.distinct) {
        ("count" | "sum", false) => Some(Estimate::Multiplied),
        ("count", true) | ("approx_distinct", _) if of_visitors() => Some(Estimate::Multiplied),
        ("avg", false) => Some(Estimate::AsItIs),
        _ => None,
    }
}

/// `aggregate`, which can be sampled, over a tenth of the visitors.
pub(super) fn sampled(aggregate: &Aggregate, shape: &Shape, lake: &ScopedLake) -> Result<LogicalPlan> {
    let of_sample = column(VISITOR_COLUMN).lt_eq(lit(last_hash(SHARE)));
    let mut plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(lake.events()), None)?;
    if let Some(filter) = conjunction(shape.filters.iter().cloned().chain([of_sample])) {
        plan = plan.filter(filter)?;
    }
    let found = plan.aggregate(shape.keys.clone(), shape.aggregates.clone())?.build()?;
    let schema = found.schema();
    if schema.fields().len() != aggregate.schema.fields().len() {
        return internal_err!("a sampled aggregate has {} columns", schema.fields().len());
    }
    let keys = schema.fields().len() - shape.aggregates.len();
    let columns = schema.iter().zip(aggregate.schema.iter()).enumerate();
    let columns = columns.map(|(nth, (found, (qualifier, field)))| {
        let value = Expr::Column(found.into());
        let aggregate = nth.checked_sub(keys).and_then(|nth| shape.aggregates.get(nth));
        let value = match aggregate.and_then(|aggregate| estimate(aggregate, true)) {
            Some(Estimate::Multiplied) => multiplied(value, field.data_type())?,
            Some(Estimate::AsItIs) | None => value,
        };
        Ok(value.alias_qualified(qualifier.cloned(), field.name()))
    });
    let columns: Vec<_> = columns.collect::<Result<_>>()?;
    LogicalPlanBuilder::from(found).project(columns)?.build()
}

/// Types are final already, so that nothing reconciles those of the factors.
fn multiplied(value: Expr, kind: &DataType) -> Result<Expr> {
    let weight = match kind {
        DataType::Decimal128(..) => ScalarValue::Decimal128(Some(WEIGHT.into()), 2, 0),
        other => ScalarValue::Int64(Some(WEIGHT)).cast_to(other)?,
    };
    Ok(cast(value * lit(weight), kind.clone()))
}
