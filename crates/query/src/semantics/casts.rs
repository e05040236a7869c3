//! Casts that lose something in DataFusion without a word, or refuse what PostgreSQL reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float32Type, Float64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::functions::datetime::to_local_time;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::dates::has_offset;
use crate::functions::strict_field;

#[derive(Debug)]
pub(super) struct Casts {
    round: Arc<ScalarUDF>,
}

impl Default for Casts {
    fn default() -> Self {
        Self {
            round: Arc::new(ScalarUDF::new_from_impl(RoundForCast {
                signature: Signature::any(1, Volatility::Immutable),
            })),
        }
    }
}

impl Casts {
    pub(super) fn cast(&self, mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let (inner, to) = match &mut expr {
            Expr::Cast(cast) => (&mut cast.expr, cast.field.data_type().clone()),
            Expr::TryCast(cast) => (&mut cast.expr, cast.field.data_type().clone()),
            _ => return Ok(Transformed::no(expr)),
        };
        let rewritten = match to {
            integer if integer.is_integer() => self.rounded(inner, schema)?,
            DataType::Timestamp(_, None) if has_offset(&inner.get_type(schema)?) => {
                let call = ScalarFunction::new_udf(to_local_time(), vec![std::mem::take(&mut **inner)]);
                Some(Expr::ScalarFunction(call))
            }
            DataType::Timestamp(..) => completed(inner),
            _ => None,
        };
        Ok(match rewritten {
            Some(rewritten) => {
                **inner = rewritten;
                Transformed::yes(expr)
            }
            None => Transformed::no(expr),
        })
    }

    /// The nearest whole number.
    fn rounded(&self, inner: &mut Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        match inner.get_type(schema)? {
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, 1..) => {
                let call = ScalarFunction::new_udf(Arc::clone(&self.round), vec![std::mem::take(inner)]);
                Ok(Some(Expr::ScalarFunction(call)))
            }
            _ => Ok(None),
        }
    }
}

/// A constant time without seconds, with them.
fn completed(inner: &Expr) -> Option<Expr> {
    match inner {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
            Some(Expr::Literal(ScalarValue::from(with_seconds(text)?), None))
        }
        _ => None,
    }
}

/// `2026-11-25 10:00` with seconds, whatever follows it; `None` if `text` is another.
pub(crate) fn with_seconds(text: &str) -> Option<String> {
    const MINUTES: &[u8] = b"0000-00-00 00:00";
    let (minutes, rest) = text.split_at_checked(MINUTES.len())?;
    let fits = minutes.bytes().zip(MINUTES).all(|(byte, like)| match like {
        b'0' => byte.is_ascii_digit(),
        b' ' => matches!(byte, b' ' | b'T' | b't'),
        exact => byte == *exact,
    });
    let ends = rest.is_empty() || rest.starts_with(['+', '-', 'Z', 'z', ' ']);
    (fits && ends).then(|| format!("{minutes}:00{rest}"))
}

/// What is cast to an integer, as PostgreSQL rounds it: floating-point numbers to the nearest, halves to the even one;
/// decimals to the nearest, halves away from zero.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundForCast {
    signature: Signature,
}

impl ScalarUDFImpl for RoundForCast {
    fn name(&self) -> &'static str {
        "round_for_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::Decimal128(..)] => Ok(DataType::Decimal128(38, 0)),
            [float] => Ok(float.clone()),
            _ => internal_err!("round_for_cast takes a number"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        strict_field(self, &arguments)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [number] = arguments.args.as_slice() else {
            return internal_err!("round_for_cast takes a number");
        };
        let array = number.to_array(1)?;
        let rounded: ArrayRef = match array.data_type() {
            DataType::Float32 => {
                let made: Float32Array = array.as_primitive::<Float32Type>().unary(f32::round_ties_even);
                Arc::new(made)
            }
            DataType::Float64 => {
                let made: Float64Array = array.as_primitive::<Float64Type>().unary(f64::round_ties_even);
                Arc::new(made)
            }
            DataType::Decimal128(_, scale) => {
                let unit = 10_i128.pow(u32::from(scale.unsigned_abs()));
                let made: Decimal128Array = array
                    .as_primitive::<Decimal128Type>()
                    .unary(|value| nearest(value, unit));
                Arc::new(made.with_precision_and_scale(38, 0)?)
            }
            other => return internal_err!("round_for_cast of {other}"),
        };
        Ok(match number {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&rounded, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(rounded),
        })
    }
}

fn nearest(value: i128, unit: i128) -> i128 {
    let (whole, rest) = (value / unit, value % unit);
    if rest.abs() >= unit - rest.abs() {
        whole + rest.signum()
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_added_to_minutes() {
        for (text, expected) in [
            ("2026-11-25 10:00", Some("2026-11-25 10:00:00")),
            ("2026-11-25T10:00", Some("2026-11-25T10:00:00")),
            ("2026-11-25 10:00Z", Some("2026-11-25 10:00:00Z")),
            ("2026-11-25 10:00+02:00", Some("2026-11-25 10:00:00+02:00")),
            ("2026-11-25 10:00:00", None),
            ("2026-11-25", None),
            ("2026-11-25 10:0x", None),
            ("äöü", None),
        ] {
            assert_eq!(with_seconds(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn decimal_halves_round_away_from_zero() {
        for (value, expected) in [
            (249, 2),
            (250, 3),
            (-250, -3),
            (-249, -2),
            (99, 1),
            (49, 0),
            (-50, -1),
            (0, 0),
        ] {
            assert_eq!(nearest(value, 100), expected, "{value}");
        }
    }
}
