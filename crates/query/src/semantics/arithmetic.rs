//! `+`, `-` and `*` of integers that fail where DataFusion's wrap around.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use crate::QueryError;
use crate::functions::strict_field;

const TYPES: [DataType; 8] = [
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::UInt8,
    DataType::UInt16,
    DataType::UInt32,
    DataType::UInt64,
];

/// One function for each operator and type.
#[derive(Debug)]
pub(super) struct Arithmetic {
    functions: Vec<(Operator, DataType, Arc<ScalarUDF>)>,
}

impl Default for Arithmetic {
    fn default() -> Self {
        let operators = [Operator::Plus, Operator::Minus, Operator::Multiply];
        let functions = operators.into_iter().flat_map(|operator| {
            TYPES.into_iter().map(move |data_type| {
                let function = Checked::new(operator, data_type.clone());
                (operator, data_type, Arc::new(ScalarUDF::new_from_impl(function)))
            })
        });
        Self {
            functions: functions.collect(),
        }
    }
}

impl Arithmetic {
    pub(super) fn binary(&self, binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let BinaryExpr { left, op, right } = binary;
        if let Some(function) = self.function(op, &right, schema)?
            && type_of(&left, schema)? == type_of(&right, schema)?
        {
            return Ok(Transformed::yes(call(function, *left, *right)));
        }
        Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })))
    }

    /// `-x` as `0 - x`.
    pub(super) fn negative(&self, inner: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        if !matches!(inner, Expr::Literal(..))
            && let Some(function) = self.function(Operator::Minus, &inner, schema)?
        {
            let zero = ScalarValue::new_zero(&type_of(&inner, schema)?)?;
            return Ok(Transformed::yes(call(function, Expr::Literal(zero, None), inner)));
        }
        Ok(Transformed::no(Expr::Negative(Box::new(inner))))
    }

    fn function(&self, operator: Operator, operand: &Expr, schema: &DFSchema) -> Result<Option<&Arc<ScalarUDF>>> {
        if !matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply) {
            return Ok(None);
        }
        let data_type = type_of(operand, schema)?;
        let function = self
            .functions
            .iter()
            .find(|(op, of, _)| *op == operator && *of == data_type);
        Ok(function.map(|(_, _, function)| function))
    }
}

/// The product of two numbers of type `Int64`.
pub(crate) fn product(left: Expr, right: Expr) -> Expr {
    static PRODUCT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(Checked::new(
            Operator::Multiply,
            DataType::Int64,
        )))
    });
    call(&PRODUCT, left, right)
}

fn call(function: &Arc<ScalarUDF>, left: Expr, right: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), vec![left, right]))
}

/// Without a walk down a chain of these functions.
fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    match expr {
        Expr::Literal(value, _) => Ok(value.data_type()),
        Expr::ScalarFunction(call) => {
            match (call.func.inner().as_ref() as &dyn std::any::Any).downcast_ref::<Checked>() {
                Some(checked) => Ok(checked.data_type.clone()),
                None => expr.get_type(schema),
            }
        }
        other => other.get_type(schema),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    data_type: DataType,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator, data_type: DataType) -> Self {
        Self {
            operator,
            signature: Signature::exact(vec![data_type.clone(); 2], Volatility::Immutable),
            data_type,
        }
    }

    fn kernel(&self) -> fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
        match self.operator {
            Operator::Plus => add,
            Operator::Minus => sub,
            _ => mul,
        }
    }

    fn overflow(&self, error: DataFusionError) -> DataFusionError {
        match error {
            DataFusionError::ArrowError(inner, _) if matches!(*inner, ArrowError::ArithmeticOverflow(_)) => {
                let ArrowError::ArithmeticOverflow(text) = *inner else {
                    return DataFusionError::ArrowError(inner, None);
                };
                DataFusionError::External(Box::new(QueryError::Invalid(format!(
                    "{text}, which does not fit into {}; cast to a wider type first, such as DECIMAL(38, 0)",
                    self.data_type
                ))))
            }
            other => other,
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_subtract",
            _ => "checked_multiply",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        strict_field(self, &arguments)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else {
            return internal_err!("{} has two sides", self.name());
        };
        apply(left, right, self.kernel()).map_err(|error| self.overflow(error))
    }
}
