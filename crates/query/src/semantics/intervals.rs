//! Intervals by their length, as PostgreSQL compares them: a month is 30 days, a day 24 hours.
//!
//! Arrow compares months, then days, then nanoseconds. So an interval is brought into the form where that is the order
//! of lengths, wherever it is compared, sorted or grouped.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Distinct, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::QueryError;
use crate::functions::strict_field;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

const NANOS_PER_DAY: i128 = 86_400_000_000_000;
const DAYS_PER_MONTH: i128 = 30;

/// Their arguments are compared.
const COMPARING: [&str; 3] = ["greatest", "least", "nullif"];

/// DISTINCT over intervals is refused: the rows that remain would have to be rewritten.
pub(super) fn refuse_distinct(plan: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Distinct(distinct) = plan else {
        return Ok(());
    };
    let schema = match distinct {
        Distinct::All(input) => input.schema(),
        Distinct::On(on) => on.input.schema(),
    };
    match schema.fields().iter().find(|field| is_interval(field.data_type())) {
        None => Ok(()),
        Some(field) => Err(refused(format!(
            "DISTINCT, UNION, INTERSECT and EXCEPT of intervals, as in {}, are not supported: write \
             EXTRACT(EPOCH FROM {0}), or UNION ALL and GROUP BY",
            field.name()
        ))),
    }
}

/// Whether expressions of the plan's operator are sort, group or join keys.
pub(super) fn has_keys(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Sort(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Join(_)
    )
}

#[derive(Debug)]
pub(super) struct Intervals {
    justify: Arc<ScalarUDF>,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            justify: justify_interval(),
        }
    }
}

impl Intervals {
    pub(super) fn comparison(&self, binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        if !compares(binary.op) || !self.applies(&binary.right, schema)? {
            return Ok(Transformed::no(Expr::BinaryExpr(binary)));
        }
        let BinaryExpr { left, op, right } = binary;
        let left = Box::new(self.justified(*left, schema)?);
        let right = Box::new(self.justified(*right, schema)?);
        Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })))
    }

    pub(super) fn call(&self, mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
        if !COMPARING.contains(&call.name()) {
            return Ok(Transformed::no(Expr::ScalarFunction(call)));
        }
        call.args = self.all(call.args, schema)?;
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }

    pub(super) fn other(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        match expr {
            Expr::Between(mut between) if self.applies(&between.expr, schema)? => {
                for side in [&mut between.expr, &mut between.low, &mut between.high] {
                    **side = self.justified(std::mem::take(side), schema)?;
                }
                Ok(Transformed::yes(Expr::Between(between)))
            }
            Expr::InList(mut list) if self.applies(&list.expr, schema)? => {
                *list.expr = self.justified(std::mem::take(&mut list.expr), schema)?;
                list.list = self.all(list.list, schema)?;
                Ok(Transformed::yes(Expr::InList(list)))
            }
            Expr::Case(mut case) => {
                let Some(operand) = &mut case.expr else {
                    return Ok(Transformed::no(Expr::Case(case)));
                };
                if !self.applies(operand, schema)? {
                    return Ok(Transformed::no(Expr::Case(case)));
                }
                **operand = self.justified(std::mem::take(operand), schema)?;
                for (when, _) in &mut case.when_then_expr {
                    **when = self.justified(std::mem::take(when), schema)?;
                }
                Ok(Transformed::yes(Expr::Case(case)))
            }
            Expr::AggregateFunction(mut call) => {
                let compares = call.params.distinct || matches!(call.func.name(), "min" | "max");
                if compares {
                    call.params.args = self.all(call.params.args, schema)?;
                }
                for key in &mut call.params.order_by {
                    key.expr = self.justified(std::mem::take(&mut key.expr), schema)?;
                }
                Ok(Transformed::yes(Expr::AggregateFunction(call)))
            }
            Expr::WindowFunction(mut call) => {
                if matches!(call.fun.name(), "min" | "max") || call.params.distinct {
                    call.params.args = self.all(call.params.args, schema)?;
                }
                call.params.partition_by = self.all(call.params.partition_by, schema)?;
                for key in &mut call.params.order_by {
                    key.expr = self.justified(std::mem::take(&mut key.expr), schema)?;
                }
                Ok(Transformed::yes(Expr::WindowFunction(call)))
            }
            Expr::InSubquery(within) if self.applies(&within.expr, schema)? => Err(refused(
                "IN and a subquery of intervals is not supported: compare EXTRACT(EPOCH FROM …) on both sides".into(),
            )),
            other => Ok(Transformed::no(other)),
        }
    }

    /// A sort, group or join key.
    pub(super) fn key(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        if let Expr::AggregateFunction(_) | Expr::GroupingSet(_) = expr {
            return Ok(Transformed::no(expr));
        }
        if !self.applies(&expr, schema)? {
            return Ok(Transformed::no(expr));
        }
        self.justified(expr, schema).map(Transformed::yes)
    }

    fn applies(&self, expr: &Expr, schema: &DFSchema) -> Result<bool> {
        match expr {
            Expr::Literal(value, _) => Ok(is_interval(&value.data_type())),
            Expr::Alias(alias) if matches!(*alias.expr, Expr::AggregateFunction(_)) => Ok(false),
            other => Ok(is_interval(&other.get_type(schema)?)),
        }
    }

    fn all(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.justified(expr, schema)).collect()
    }

    /// `expr`, by its length if it is an interval.
    fn justified(&self, expr: Expr, schema: &DFSchema) -> Result<Expr> {
        if !self.applies(&expr, schema)? {
            return Ok(expr);
        }
        let expr = expr.cast_to(&INTERVAL, schema)?;
        let call = ScalarFunction::new_udf(Arc::clone(&self.justify), vec![expr]);
        Ok(Expr::ScalarFunction(call))
    }
}

fn compares(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        operator,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

fn refused(text: String) -> DataFusionError {
    DataFusionError::External(Box::new(QueryError::Unsupported(text)))
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_))
}

/// PostgreSQL's function of this name: days below 30, hours below 24.
pub(super) fn justify_interval() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(JustifyInterval {
        signature: Signature::exact(vec![INTERVAL], Volatility::Immutable),
    }))
}

/// The form in which months, days and nanoseconds order as lengths do. The months alone can be negative.
fn justified(interval: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    let days = i128::from(interval.months) * DAYS_PER_MONTH + i128::from(interval.days);
    let nanos = days * NANOS_PER_DAY + i128::from(interval.nanoseconds);
    let (days, nanos) = (nanos.div_euclid(NANOS_PER_DAY), nanos.rem_euclid(NANOS_PER_DAY));
    let (months, days) = (days.div_euclid(DAYS_PER_MONTH), days.rem_euclid(DAYS_PER_MONTH));
    match (i32::try_from(months), i32::try_from(days), i64::try_from(nanos)) {
        (Ok(months), Ok(days), Ok(nanos)) => Ok(IntervalMonthDayNano::new(months, days, nanos)),
        _ => Err(DataFusionError::External(Box::new(QueryError::Invalid(
            "the interval is longer than 178 million years, and can't be compared".into(),
        )))),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JustifyInterval {
    signature: Signature,
}

impl ScalarUDFImpl for JustifyInterval {
    fn name(&self) -> &'static str {
        "justify_interval"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(INTERVAL)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        strict_field(self, &arguments)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(interval))] => {
                let interval = interval.map(justified).transpose()?;
                Ok(ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(interval)))
            }
            [ColumnarValue::Array(intervals)] => {
                let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
                let made: IntervalMonthDayNanoArray = intervals.try_unary(justified)?;
                Ok(ColumnarValue::Array(Arc::new(made) as ArrayRef))
            }
            _ => internal_err!("justify_interval takes an interval"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(interval: IntervalMonthDayNano) -> i128 {
        let days = i128::from(interval.months) * 30 + i128::from(interval.days);
        days * 86_400_000_000_000 + i128::from(interval.nanoseconds)
    }

    proptest! {
        #[test]
        fn order_is_that_of_lengths(a in any::<(i16, i32, i64)>(), b in any::<(i16, i32, i64)>()) {
            let [a, b] = [a, b].map(|(months, days, nanos)| IntervalMonthDayNano::new(months.into(), days, nanos));
            let (x, y) = (justified(a).unwrap(), justified(b).unwrap());
            prop_assert_eq!(nanos(a), nanos(x));
            prop_assert_eq!(nanos(a).cmp(&nanos(b)), x.cmp(&y));
        }
    }
}
