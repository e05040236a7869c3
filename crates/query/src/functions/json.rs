//! `custom_properties` in SQL: `->`, `->>` and functions that read one value out of JSON text.
//!
//! They are those of `datafusion-functions-json` with types that every client knows: what that crate returns as a union
//! or as an unsigned number is JSON text or a BIGINT here, and JSON's null is SQL's.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::expr::{Alias, ScalarFunction};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion_functions_json::udfs;

use super::bounded::Bounded;
use super::growth::Growth;

/// Each with its further names, PostgreSQL's among them.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        get(),
        as_text(),
        property(udfs::json_get_str_udf(), "json_get_str", &[], DataType::Utf8),
        property(udfs::json_get_int_udf(), "json_get_int", &[], DataType::Int64),
        property(udfs::json_get_float_udf(), "json_get_float", &[], DataType::Float64),
        property(udfs::json_get_bool_udf(), "json_get_bool", &[], DataType::Boolean),
        property(udfs::json_contains_udf(), "json_contains", &[], DataType::Boolean),
        property(
            udfs::json_length_udf(),
            "json_length",
            &["json_len", "json_array_length", "jsonb_array_length"],
            DataType::Int64,
        ),
        property(
            udfs::json_object_keys_udf(),
            "json_object_keys",
            &["json_keys", "jsonb_object_keys"],
            DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        ),
    ]
}

fn get() -> Arc<ScalarUDF> {
    property(
        udfs::json_get_json_udf(),
        "json_get",
        &["json_get_json", "json_extract_path", "jsonb_extract_path"],
        DataType::Utf8,
    )
}

fn as_text() -> Arc<ScalarUDF> {
    property(
        udfs::json_as_text_udf(),
        "json_as_text",
        &["json_extract_path_text", "jsonb_extract_path_text"],
        DataType::Utf8,
    )
}

fn property(
    function: Arc<ScalarUDF>,
    name: &'static str,
    aliases: &[&'static str],
    returns: DataType,
) -> Arc<ScalarUDF> {
    let property = Arc::new(ScalarUDF::new_from_impl(Property {
        function,
        name,
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        returns,
        signature: Signature::user_defined(Volatility::Immutable),
    }));
    Arc::new(ScalarUDF::new_from_impl(Bounded::new(property, Growth::Sum)))
}

/// Reads the value to which keys and indices lead.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Property {
    function: Arc<ScalarUDF>,
    name: &'static str,
    aliases: Vec<String>,
    returns: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Property {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let Some((json, path)) = arguments.split_first() else {
            return plan_err!(
                "{} needs a JSON text, and the keys that lead to a value in it",
                self.name
            );
        };
        if !(json.is_string() || json.is_null()) {
            return plan_err!("{} reads JSON text, not {json}", self.name);
        }
        if path.is_empty() && self.name == "json_contains" {
            return plan_err!("json_contains needs the key to look for");
        }
        let path = path.iter().map(|key| self.key(key));
        [Ok(DataType::Utf8)].into_iter().chain(path).collect()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let found = self.function.inner().invoke_with_args(arguments)?;
        match &self.returns {
            DataType::Int64 => found.cast_to(&DataType::Int64, None),
            DataType::Utf8 if self.name == "json_get" => without_null(found),
            _ => Ok(found),
        }
    }
}

impl Property {
    /// The type that a key, an index or a list of them is read in.
    fn key(&self, given: &DataType) -> Result<DataType> {
        let item = |data_type: &DataType| match data_type {
            text if text.is_string() || text.is_null() => Some(DataType::Utf8),
            index if index.is_integer() => Some(DataType::Int64),
            _ => None,
        };
        let key = match given {
            DataType::List(field) => item(field.data_type()).map(|item| {
                let field = Field::new(field.name(), item, true);
                DataType::List(Arc::new(field))
            }),
            one => item(one),
        };
        match key {
            Some(key) => Ok(key),
            None => plan_err!("{} takes text as keys and integers as indices, not {given}", self.name),
        }
    }
}

/// JSON text, but SQL's null for JSON's.
fn without_null(json: ColumnarValue) -> Result<ColumnarValue> {
    match json {
        ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))) if text == "null" => {
            Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)))
        }
        ColumnarValue::Array(array) => {
            let Some(texts) = array.as_string_opt::<i32>() else {
                return internal_err!("JSON text of type {}", array.data_type());
            };
            let nulls = BooleanArray::from_iter(texts.iter().map(|text| Some(text == Some("null"))));
            Ok(ColumnarValue::Array(nullif(texts, &nulls)?))
        }
        other => Ok(other),
    }
}

/// Plans `->`, `->>`, `#>` and `#>>` as calls.
#[derive(Debug)]
pub(crate) struct PropertyOperators {
    get: Arc<ScalarUDF>,
    as_text: Arc<ScalarUDF>,
}

impl Default for PropertyOperators {
    fn default() -> Self {
        Self {
            get: get(),
            as_text: as_text(),
        }
    }
}

impl ExprPlanner for PropertyOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::Arrow | BinaryOperator::HashArrow => &self.get,
            BinaryOperator::LongArrow | BinaryOperator::HashLongArrow => &self.as_text,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let name = format!("{} {} {}", shown(&expr.left), expr.op, shown(&expr.right));
        let (mut arguments, is_chain) = self.path_so_far(expr.left);
        match expr.op {
            BinaryOperator::HashArrow | BinaryOperator::HashLongArrow => arguments.extend(path(expr.right)?),
            _ if is_chain && !is_constant(&expr.right) => {
                let inner = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.get), arguments));
                arguments = vec![inner, expr.right];
            }
            _ => arguments.push(expr.right),
        }
        let call = Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), arguments));
        Ok(PlannerResult::Planned(Expr::Alias(Alias::new(
            call,
            None::<&str>,
            name,
        ))))
    }
}

impl PropertyOperators {
    /// `a -> 'b'` is `a` and `'b'`, so that a chain is one look-up; true if it is such a chain.
    fn path_so_far(&self, left: Expr) -> (Vec<Expr>, bool) {
        match left {
            Expr::Alias(alias) if matches!(alias.expr.as_ref(), Expr::ScalarFunction(call) if self.is_chain(call)) => {
                self.path_so_far(*alias.expr)
            }
            Expr::ScalarFunction(call) if self.is_chain(&call) => (call.args, true),
            other => (vec![other], false),
        }
    }

    fn is_chain(&self, call: &ScalarFunction) -> bool {
        call.func == self.get && call.args.iter().skip(1).all(is_constant)
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..) | Expr::Placeholder(_))
}

/// The keys of `#>`: a list, or PostgreSQL's text form of one.
fn path(keys: Expr) -> Result<Vec<Expr>> {
    const ADVICE: &str = "write the path of #> or #>> as ARRAY['a', 'b'] or '{a,b}'";
    match &keys {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
            let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
                return plan_err!("{ADVICE}");
            };
            if inner.contains(['{', '}', '"', '\\']) {
                return plan_err!("{ADVICE}; keys with special characters need the first form");
            }
            let keys = inner.split(',').map(str::trim).filter(|key| !key.is_empty());
            Ok(keys.map(|key| Expr::Literal(ScalarValue::from(key), None)).collect())
        }
        Expr::ScalarFunction(call) if call.name() == "make_array" => Ok(vec![keys]),
        Expr::Cast(cast) if matches!(cast.field.data_type(), DataType::List(_)) => Ok(vec![keys]),
        _ => plan_err!("{ADVICE}"),
    }
}

/// As a column's title shows it.
fn shown(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => alias.name.clone(),
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => format!("'{text}'"),
        Expr::Literal(value, _) => value.to_string(),
        other => other.to_string(),
    }
}
