//! Aggregate functions over events, as functions over rows of segments and rows of events together.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{AggregateUDF, BinaryExpr, Case, Expr, ExprSchemable, Operator, cast, lit};
use footfall_model::rollup::Function;

use crate::functions::{estimate_of, sketch_of};

use super::segment::{
    CLIENT_ID, Segment, Unfit, event_columns, hash_of_event, hashed, if_then, never_null, stored_hash, widest,
};

/// A function over a column of both kinds of rows.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    pub(super) function: MergeFunction,
    pub(super) distinct: bool,
    pub(super) over_segments: Expr,
    pub(super) over_events: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum MergeFunction {
    /// A function of Footfall's, by its name: `sum` fails where DataFusion's wraps around.
    Named(&'static str),
    Same(Arc<AggregateUDF>),
}

/// What becomes of the merged columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finish {
    /// The only one, as this type.
    Cast(DataType),
    /// The only one, or zero where no row counted.
    OrZero,
    /// The estimate of the only one, a sketch, as this type; zero without values.
    Estimate(DataType),
    /// The first divided by the second, as this type.
    Ratio(DataType),
}

/// An aggregate that segments can answer.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) parts: Vec<Merge>,
    pub(super) finish: Finish,
}

impl Merged {
    /// Whether both are merged alike, and with the same rows of events.
    pub(super) fn merges_with(&self, other: &Self) -> bool {
        let alike = |a: &Merge, b: &Merge| {
            a.function == b.function && a.distinct == b.distinct && a.over_events == b.over_events
        };
        self.finish == other.finish
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(a, b)| alike(a, b))
    }
}

/// Whether repeated values and nulls leave the function's result as it is, and their order does.
fn ignores_repetition(name: &str, distinct: bool) -> bool {
    (distinct && matches!(name, "count" | "sum" | "avg"))
        || matches!(
            name,
            "min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or" | "approx_distinct" | "hll_sketch"
        )
}

/// `aggregate` over the segments and over events, if both together give exactly what it gives over events alone.
/// `one_site` says that all rows of a group are of one site.
pub(super) fn merged(aggregate: &Expr, segment: &Segment<'_>, one_site: bool) -> Result<Merged, Unfit> {
    let unfit = || Unfit::Aggregate(aggregate.to_string());
    let Expr::AggregateFunction(AggregateFunction { func, params }) = aggregate else {
        return Err(unfit());
    };
    if let Some(counted) = count_of_type(func, params, segment) {
        return Ok(counted);
    }
    let filter = match &params.filter {
        None => None,
        Some(filter) => Some((segment.key(filter)?, filter.as_ref().clone())),
    };
    let call = Call {
        func,
        params,
        segment,
        one_site,
        filter,
    };
    call.merged().ok_or_else(|| call.obstacle().unwrap_or_else(unfit))
}

/// `count(*) FILTER (WHERE event_type = 'pageview')`, of rows that count pageviews without telling types apart.
fn count_of_type(func: &AggregateUDF, params: &AggregateFunctionParams, segment: &Segment<'_>) -> Option<Merged> {
    let ([argument], Some(filter)) = (params.args.as_slice(), &params.filter) else {
        return None;
    };
    let counts = func.name() == "count" && !params.distinct && never_null(argument);
    if !counts || segment.key(filter).is_ok() {
        return None;
    }
    let part = Merge {
        function: MergeFunction::Named("sum"),
        distinct: false,
        over_segments: segment.count_of_type(filter)?,
        over_events: if_then(filter.as_ref().clone(), lit(1_i64), lit(0_i64)),
    };
    Some(Merged {
        parts: vec![part],
        finish: Finish::OrZero,
    })
}

struct Call<'a> {
    func: &'a Arc<AggregateUDF>,
    params: &'a AggregateFunctionParams,
    segment: &'a Segment<'a>,
    one_site: bool,
    /// The filter over segments and over events.
    filter: Option<(Expr, Expr)>,
}

impl Call<'_> {
    fn merged(&self) -> Option<Merged> {
        let [argument] = self.params.args.as_slice() else {
            return None;
        };
        if !self.params.order_by.is_empty() || self.params.null_treatment.is_some() {
            return None;
        }
        let name = self.func.name();
        let (of_type, argument_type) = self.of(argument)?;
        // Sums of floating-point numbers depend on their order.
        let depends_on_order = matches!(name, "sum" | "avg") && argument_type.is_floating();
        if ignores_repetition(name, self.params.distinct)
            && !depends_on_order
            && let Some((over_segments, over_events)) = self.same(argument)
        {
            let part = self.part(MergeFunction::Same(Arc::clone(self.func)), over_segments, over_events);
            return Some(Merged {
                parts: vec![part],
                finish: Finish::Cast(of_type),
            });
        }
        match name {
            _ if self.params.distinct => None,
            "hll_sketch" | "approx_distinct" => Some(Merged {
                parts: vec![self.sketch(argument)?],
                finish: match of_type {
                    DataType::Binary => Finish::Cast(of_type),
                    of_type => Finish::Estimate(of_type),
                },
            }),
            "count" => Some(Merged {
                parts: vec![self.count(argument)?],
                finish: Finish::OrZero,
            }),
            "sum" => Some(Merged {
                parts: vec![self.sum(argument)?],
                finish: Finish::Cast(of_type),
            }),
            "avg" => {
                let argument = whole_number(argument).unwrap_or(argument);
                // A sum of large integers may fail where their average does not.
                if argument_type.is_integer() && !is_small(argument) {
                    return None;
                }
                let parts = vec![self.sum(argument)?, self.count(argument)?];
                Some(Merged {
                    parts,
                    finish: Finish::Ratio(of_type),
                })
            }
            _ => None,
        }
    }

    /// The result's type and the argument's.
    fn of(&self, argument: &Expr) -> Option<(DataType, DataType)> {
        let columns = event_columns().ok()?;
        let argument = argument.get_type(columns).ok()?;
        let result = self.func.return_type(std::slice::from_ref(&argument)).ok()?;
        Some((result, argument))
    }

    /// Where the filter doesn't hold, the argument is not evaluated: it may fail there.
    fn part(&self, function: MergeFunction, over_segments: Expr, over_events: Expr) -> Merge {
        let (over_segments, over_events) = match self.filter.clone() {
            None => (over_segments, over_events),
            Some((of_segments, of_events)) => (then(of_segments, over_segments), then(of_events, over_events)),
        };
        Merge {
            distinct: matches!(function, MergeFunction::Same(_)) && self.params.distinct,
            function,
            over_segments,
            over_events,
        }
    }

    /// The argument over both, where repetition does not matter.
    fn same(&self, argument: &Expr) -> Option<(Expr, Expr)> {
        if let Ok(key) = self.segment.key(argument) {
            return Some((key, argument.clone()));
        }
        let extreme = match self.func.name() {
            "min" => self.segment.extreme(argument, Function::Min),
            "max" => self.segment.extreme(argument, Function::Max),
            "count" if self.one_site => {
                let over_segments = self.segment.key(&hashed(argument, stored_hash)?).ok()?;
                return Some((over_segments, hashed(argument, hash_of_event)?));
            }
            _ => None,
        };
        Some((extreme?, argument.clone()))
    }

    fn count(&self, argument: &Expr) -> Option<Merge> {
        let over_segments = self.segment.count(argument)?;
        let over_events = match argument {
            Expr::Literal(value, _) if !value.is_null() => lit(1_i64),
            other => if_then(other.clone().is_not_null(), lit(1_i64), lit(0_i64)),
        };
        Some(self.part(MergeFunction::Named("sum"), over_segments, over_events))
    }

    /// The sketch of a column that segments have sketches of.
    fn sketch(&self, argument: &Expr) -> Option<Merge> {
        let Expr::Column(column) = argument else { return None };
        let over_segments = self.segment.measure(&Function::Sketch(column.name.clone()))?;
        Some(self.part(
            MergeFunction::Named("hll_union"),
            over_segments,
            sketch_of(argument.clone()),
        ))
    }

    fn sum(&self, argument: &Expr) -> Option<Merge> {
        let (_, of) = self.of(argument)?;
        let over_segments = self.segment.sum(argument)?;
        let over_events = cast(argument.clone(), widest(&of)?);
        Some(self.part(MergeFunction::Named("sum"), over_segments, over_events))
    }

    /// What of the arguments the rollup lacks.
    fn obstacle(&self) -> Option<Unfit> {
        let mut arguments = self.params.args.iter();
        arguments.find_map(|argument| match self.segment.key(argument) {
            Err(Unfit::Column(name)) if name == CLIENT_ID || name == "revenue" || self.segment.id(&name).is_some() => {
                None
            }
            Err(Unfit::Column(name)) => Some(Unfit::Column(name)),
            _ => None,
        })
    }
}

/// `x` of `CAST(x AS DOUBLE)`, if it is one of a few small numbers: sums of these are exact, in any order.
fn whole_number(argument: &Expr) -> Option<&Expr> {
    match argument {
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Float64 && is_small(&cast.expr) => Some(&cast.expr),
        _ => None,
    }
}

/// Whether it gives no other numbers than small ones that it names.
fn is_small(expr: &Expr) -> bool {
    const LARGEST: u64 = 1_000_000;
    match expr {
        Expr::Literal(ScalarValue::Int64(value), _) => value.is_none_or(|value| value.unsigned_abs() <= LARGEST),
        Expr::Case(case) => {
            let mut results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            case.expr.is_none() && results.all(|result| is_small(result))
        }
        _ => false,
    }
}

/// `CASE WHEN condition THEN value END`.
fn then(condition: Expr, value: Expr) -> Expr {
    let when = vec![(Box::new(condition), Box::new(value))];
    Expr::Case(Case::new(None, when, None))
}

impl Finish {
    /// The aggregate's value from its merged columns.
    pub(super) fn over(&self, mut columns: impl Iterator<Item = Expr>) -> Option<Expr> {
        let first = columns.next()?;
        Some(match self {
            Self::Cast(to) => cast(first, to.clone()),
            Self::Estimate(to) => {
                let estimate = if_then(first.clone().is_not_null(), estimate_of(first), lit(0_i64));
                cast(estimate, to.clone())
            }
            Self::OrZero => if_then(first.clone().is_not_null(), first, lit(0_i64)),
            Self::Ratio(to) => {
                let count = columns.next()?;
                if_then(
                    count.clone().gt(lit(0_i64)),
                    quotient(first, count, to),
                    lit(ScalarValue::try_from(to).ok()?),
                )
            }
        })
    }
}

/// As `avg` divides: floating-point numbers; decimals with four more digits, cut off.
fn quotient(sum: Expr, count: Expr, to: &DataType) -> Expr {
    let (sum, count) = match to {
        DataType::Decimal128(_, scale) => (
            cast(sum, DataType::Decimal128(28, scale - 4)),
            cast(count, DataType::Decimal128(19, 0)),
        ),
        other => (cast(sum, other.clone()), cast(count, other.clone())),
    };
    let divided = Expr::BinaryExpr(BinaryExpr::new(Box::new(sum), Operator::Divide, Box::new(count)));
    cast(divided, to.clone())
}
