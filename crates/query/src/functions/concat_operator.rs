//! `a || b` with the bounds of a function: chains of it double a value with each level of subqueries.

use std::sync::Arc;

use arrow::compute::kernels::concat_elements::concat_elements_dyn;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::bounded::Bounded;
use super::growth::Growth;
use super::strict_field;

/// Replaces the operator with [`ConcatOperator`], once types are reconciled.
#[derive(Debug)]
pub(crate) struct ConcatOperators {
    function: Arc<ScalarUDF>,
}

impl Default for ConcatOperators {
    fn default() -> Self {
        let operator = Arc::new(ScalarUDF::new_from_impl(ConcatOperator {
            signature: Signature::any(2, Volatility::Immutable),
        }));
        Self {
            function: Arc::new(ScalarUDF::new_from_impl(Bounded::new(operator, Growth::Sum))),
        }
    }
}

impl ConcatOperators {
    pub(crate) fn replace(&self, binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let BinaryExpr { left, op, right } = binary;
        if op != Operator::StringConcat {
            return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
        }
        let (is, other) = (left.get_type(schema)?, right.get_type(schema)?);
        if is != other || !is.is_string() {
            return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.function), vec![*left, *right]);
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

/// The operator on two texts of one type. Unlike `concat`, it makes null of null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ConcatOperator {
    signature: Signature,
}

impl ScalarUDFImpl for ConcatOperator {
    fn name(&self) -> &'static str {
        "concat_operator"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [text, _] => Ok(text.clone()),
            _ => internal_err!("|| has two sides"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        strict_field(self, &arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = arguments
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let [left, right] = ColumnarValue::values_to_arrays(&arguments.args)?
            .try_into()
            .or_else(|_| internal_err!("|| has two sides"))?;
        let made = concat_elements_dyn(left.as_ref(), right.as_ref())?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
    }
}
