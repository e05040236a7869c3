//! A function whose results are bounded: what expressions allocate is outside the memory pool.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::growth::Growth;
use crate::QueryError;
use crate::control::{checkpoint, planning};

/// What one call on one batch may make.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What a call may make for one row, or of constants: one row is the least that is computed without a pause, and a
/// statement may have hundreds of calls.
const MAX_VALUE_BYTES: u64 = 1024 * 1024;

/// What a call may make of constants that becomes part of the plan.
const MAX_PLANNED_BYTES: u64 = 4 * 1024;

/// What may be made without looking whether the statement was stopped meanwhile.
const STEP_BYTES: u64 = 16 * 1024 * 1024;

/// Steps of a function whose work is not in its result: a fraction of a second of them.
const MAX_STEPS: u64 = 200_000_000;

/// Calls `function` on as many rows at once as are sure to stay small.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl Bounded {
    pub(super) fn new(function: Arc<ScalarUDF>, growth: Growth) -> Self {
        Self { function, growth }
    }

    fn refused(&self, wanted: u64, allowed: u64) -> DataFusionError {
        let unit = if self.growth == Growth::Steps { "steps" } else { "bytes" };
        DataFusionError::External(Box::new(QueryError::Limit(format!(
            "{}: the result would take {wanted} {unit}; {allowed} are allowed",
            self.name()
        ))))
    }

    /// The results of all rows, appended to `made`.
    fn invoke(&self, arguments: ScalarFunctionArgs, made: &mut Vec<ArrayRef>, bytes: &mut u64) -> Result<()> {
        checkpoint()?;
        let rows = arguments.number_rows;
        let bound = self.growth.bound(&arguments.args, rows)?;
        let (step, most) = match self.growth {
            Growth::Steps => (MAX_STEPS, MAX_STEPS),
            _ => (STEP_BYTES, if rows > 1 { MAX_BYTES } else { MAX_VALUE_BYTES }),
        };
        if rows > 1 && bound > step {
            let half = rows / 2;
            self.invoke(rows_of(&arguments, 0, half), made, bytes)?;
            return self.invoke(rows_of(&arguments, half, rows - half), made, bytes);
        }
        if bound > most {
            return Err(self.refused(bound, most));
        }
        let result = self.function.invoke_with_args(arguments)?.into_array(rows)?;
        *bytes += result.get_array_memory_size() as u64;
        if *bytes > MAX_BYTES {
            return Err(self.refused(*bytes, MAX_BYTES));
        }
        made.push(result);
        Ok(())
    }
}

/// `arguments` for some of the rows.
fn rows_of(arguments: &ScalarFunctionArgs, offset: usize, rows: usize) -> ScalarFunctionArgs {
    let slice = |argument: &ColumnarValue| match argument {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(offset, rows)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs {
        args: arguments.args.iter().map(slice).collect(),
        arg_fields: arguments.arg_fields.clone(),
        number_rows: rows,
        return_field: Arc::clone(&arguments.return_field),
        config_options: Arc::clone(&arguments.config_options),
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        self.function.inner().schema_name(arguments)
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.function.inner().return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.inner().return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.function.inner().coerce_types(arguments)
    }

    fn is_strict(&self) -> bool {
        self.function.inner().is_strict()
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.function.inner().simplify(arguments, context)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.function.inner().evaluate_bounds(inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.inner().output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        checkpoint()?;
        let bound = self.growth.bound(&arguments.args, arguments.number_rows)?;
        // A constant that is not folded is computed when the statement runs.
        if planning() && bound > MAX_PLANNED_BYTES {
            return Err(self.refused(bound, MAX_PLANNED_BYTES));
        }
        let constant = arguments
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        if constant {
            // It is copied for each row.
            let most = if self.growth == Growth::Steps {
                MAX_STEPS
            } else {
                MAX_VALUE_BYTES
            };
            if bound > most {
                return Err(self.refused(bound, most));
            }
            return self.function.invoke_with_args(arguments);
        }
        let (mut made, mut bytes) = (Vec::new(), 0);
        self.invoke(arguments, &mut made, &mut bytes)?;
        if let [only] = made.as_slice() {
            return Ok(ColumnarValue::Array(Arc::clone(only)));
        }
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
    }
}
