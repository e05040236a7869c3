//! `n * INTERVAL '1 day'`, which DataFusion refuses.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::types::{NativeType, logical_int64};
use datafusion::common::{DFSchema, DataFusionError, Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    Coercion, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignatureClass, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::QueryError;
use crate::functions::strict_field;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Plans products of whole numbers and intervals.
#[derive(Debug)]
pub(crate) struct IntervalProducts {
    product: Arc<ScalarUDF>,
}

impl Default for IntervalProducts {
    fn default() -> Self {
        Self {
            product: Arc::new(ScalarUDF::new_from_impl(Product {
                signature: Signature::coercible(
                    vec![
                        Coercion::new_exact(TypeSignatureClass::Interval),
                        Coercion::new_implicit(
                            TypeSignatureClass::Native(logical_int64()),
                            vec![TypeSignatureClass::Integer],
                            NativeType::Int64,
                        ),
                    ],
                    Volatility::Immutable,
                ),
            })),
        }
    }
}

impl ExprPlanner for IntervalProducts {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::Multiply {
            return Ok(PlannerResult::Original(expr));
        }
        let of = |expr: &Expr| expr.get_type(schema);
        let (interval, number) = match (of(&expr.left), of(&expr.right)) {
            (Ok(INTERVAL), Ok(number)) if number.is_integer() => (expr.left, expr.right),
            (Ok(number), Ok(INTERVAL)) if number.is_integer() => (expr.right, expr.left),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let call = ScalarFunction::new_udf(Arc::clone(&self.product), vec![interval, number]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Product {
    signature: Signature,
}

fn too_large() -> DataFusionError {
    DataFusionError::External(Box::new(QueryError::Invalid(
        "the product of a number and an interval is too large for an interval".into(),
    )))
}

impl ScalarUDFImpl for Product {
    fn name(&self) -> &'static str {
        "interval_product"
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
        let [interval, number] = arguments.args.as_slice() else {
            return internal_err!("a product has two factors");
        };
        let constant = matches!((interval, number), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { arguments.number_rows };
        let (intervals, numbers) = (interval.to_array(rows)?, number.to_array(rows)?);
        let product: ArrayRef = Arc::new(products(&intervals, &numbers)?);
        Ok(match constant {
            true => ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&product, 0)?),
            false => ColumnarValue::Array(product),
        })
    }
}

fn products(intervals: &ArrayRef, numbers: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>().iter();
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    let product = |(interval, number): (Option<_>, Option<i64>)| {
        let (Some(interval), Some(number)) = (interval, number) else {
            return Ok(None);
        };
        let (months, days, nanoseconds) = IntervalMonthDayNanoType::to_parts(interval);
        let short = |part: i32| i32::try_from(i64::from(part).checked_mul(number)?).ok();
        match (short(months), short(days), nanoseconds.checked_mul(number)) {
            (Some(months), Some(days), Some(nanoseconds)) => {
                Ok(Some(IntervalMonthDayNanoType::make_value(months, days, nanoseconds)))
            }
            _ => Err(too_large()),
        }
    };
    intervals.zip(numbers).map(product).collect()
}
