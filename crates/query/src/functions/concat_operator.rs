//! `a || b` with the bounds of a function: chains of it double a value with each level of subqueries.

use std::sync::Arc;

use arrow::compute::kernels::concat_elements::concat_elements_dyn;
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRewriter};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::bounded::Bounded;
use super::growth::Growth;

/// Replaces the operator with [`ConcatOperator`], once types are reconciled.
#[derive(Debug)]
pub(crate) struct BoundConcatOperator {
    function: Arc<ScalarUDF>,
}

impl Default for BoundConcatOperator {
    fn default() -> Self {
        let operator = Arc::new(ScalarUDF::new_from_impl(ConcatOperator {
            signature: Signature::any(2, Volatility::Immutable),
        }));
        Self {
            function: Arc::new(ScalarUDF::new_from_impl(Bounded::new(operator, Growth::Sum))),
        }
    }
}

impl AnalyzerRule for BoundConcatOperator {
    fn name(&self) -> &'static str {
        "bound_concat_operator"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let mut schema = merge_schema(&plan.inputs());
            schema.merge(plan.schema());
            let names = NamePreserver::new(&plan);
            let mut replace = Replace {
                function: &self.function,
                schema: &schema,
            };
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.rewrite(&mut replace)?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })?
            .map_data(LogicalPlan::recompute_schema)
        });
        Ok(rewritten?.data)
    }
}

struct Replace<'a> {
    function: &'a Arc<ScalarUDF>,
    schema: &'a DFSchema,
}

impl TreeNodeRewriter for Replace<'_> {
    type Node = Expr;

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::StringConcat,
            right,
        }) = expr
        else {
            return Ok(Transformed::no(expr));
        };
        let (is, other) = (left.get_type(self.schema)?, right.get_type(self.schema)?);
        if is != other || !matches!(is, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            let kept = BinaryExpr::new(left, Operator::StringConcat, right);
            return Ok(Transformed::no(Expr::BinaryExpr(kept)));
        }
        let call = ScalarFunction::new_udf(Arc::clone(self.function), vec![*left, *right]);
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
