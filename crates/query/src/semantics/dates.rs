//! Dates and times.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::QueryError;

/// Whether the type is of a time in a zone whose local time is not UTC.
pub(super) fn has_offset(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => !matches!(zone.as_ref(), "UTC" | "Z" | "+00:00" | "Etc/UTC"),
        _ => false,
    }
}

/// Refuses date_bin in a time zone: DataFusion counts its bins from 1970 in UTC.
pub(super) fn refuse_zone(call: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    if call.name() != "date_bin" {
        return Ok(());
    }
    let Some(DataType::Timestamp(_, Some(zone))) = (match call.args.get(1) {
        Some(source) => Some(source.get_type(schema)?).filter(has_offset),
        None => None,
    }) else {
        return Ok(());
    };
    Err(DataFusionError::External(Box::new(QueryError::Unsupported(format!(
        "date_bin counts in UTC, so its edges would not be those of {zone}: write date_trunc('day', … AT TIME ZONE \
         '{zone}') for days, or date_bin(…, to_local_time(… AT TIME ZONE '{zone}')) for bins of local time"
    )))))
}

/// `DATE '2026-11-25' + INTERVAL '1 hour'` is a time: DataFusion drops the hour.
#[derive(Debug)]
pub(crate) struct DateArithmetic;

impl ExprPlanner for DateArithmetic {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let date = match expr.op {
            BinaryOperator::Plus | BinaryOperator::Minus if has_hours(&expr.right) => &mut expr.left,
            BinaryOperator::Plus if has_hours(&expr.left) => &mut expr.right,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        if matches!(date.get_type(schema), Ok(DataType::Date32 | DataType::Date64)) {
            let time = DataType::Timestamp(TimeUnit::Microsecond, None);
            *date = datafusion::logical_expr::cast(std::mem::take(date), time);
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// A constant interval that is not of whole days.
fn has_hours(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) if interval.nanoseconds != 0)
}
