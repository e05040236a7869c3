//! Casts a bound value to the type that the statement expects, or keeps its own type where the cast would lose
//! something.
//!
//! Clients bind what they have: a driver that knows only milliseconds, text, a number of another width. A value is cast
//! if the cast can be undone. A number or time for which it can't keeps its type, and is compared as the same value
//! written into the SQL would be. Everything else is refused.

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ScalarValue;

use super::LIKELY;
use crate::QueryError;
use crate::semantics::with_seconds;

/// From here on, not every integer can be represented as `f64`.
const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;

pub(super) fn fit(field: &Field, value: &ScalarValue) -> Result<ScalarValue, QueryError> {
    let expected = match field.metadata().contains_key(LIKELY) {
        true => &DataType::Null,
        false => field.data_type(),
    };
    let wanted = match (expected, value.data_type()) {
        (DataType::Null, DataType::Utf8View | DataType::LargeUtf8) => DataType::Utf8,
        (DataType::Null, DataType::BinaryView | DataType::LargeBinary) => DataType::Binary,
        (DataType::Null, given) => given,
        (wanted, _) => wanted.clone(),
    };
    if value.data_type() == wanted {
        return Ok(value.clone());
    }
    if value.is_null() {
        return Ok(ScalarValue::try_new_null(&wanted)?);
    }
    let fitted = match value.try_as_str() {
        Some(Some(text)) => from_text(text, &wanted),
        _ => from_typed(value, &wanted),
    };
    fitted.map_err(|reason| {
        QueryError::Invalid(format!(
            "parameter {} is {value} of type {}, but the statement wants {wanted}{reason}",
            field.name(),
            value.data_type()
        ))
    })
}

/// Text is parsed as SQL would parse it, but no digit of it is dropped.
fn from_text(text: &str, wanted: &DataType) -> Result<ScalarValue, &'static str> {
    let given = match with_seconds(text) {
        Some(complete) if matches!(wanted, DataType::Timestamp(..)) => ScalarValue::from(complete),
        _ => ScalarValue::from(text),
    };
    let read = || given.cast_to(wanted).map_err(|_| "");
    match wanted {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let finest = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
            match given.cast_to(&finest) {
                Ok(time) => from_typed(&time, wanted),
                // Before 1677 or after 2262, or not a time.
                Err(_) => read(),
            }
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let finest = DataType::Decimal256(76, 38);
            let value = read()?;
            if value.cast_to(&finest).ok() == given.cast_to(&finest).ok() {
                Ok(value)
            } else {
                Err(", which has fewer digits")
            }
        }
        _ => read(),
    }
}

fn from_typed(value: &ScalarValue, wanted: &DataType) -> Result<ScalarValue, &'static str> {
    let given = value.data_type();
    if let (ScalarValue::Float64(Some(float)), DataType::Decimal128(_, scale)) = (value, wanted)
        && float.abs() * 10_f64.powi(i32::from(*scale)) >= EXACT_IN_F64
    {
        return Err(
            ", and a floating-point number of that size does not hold all its digits; write \
             CAST(CAST(? AS VARCHAR) AS DECIMAL(38, 4)) and bind text",
        );
    }
    // A number can be cast to a date and back, but that is never intended.
    if given.is_temporal() != wanted.is_temporal() && !wanted.is_string() {
        return Err("");
    }
    match value.cast_to(wanted) {
        Ok(cast) if cast.cast_to(&given).is_ok_and(|back| back == *value) => Ok(cast),
        _ if (given.is_numeric() && wanted.is_numeric()) || (is_time(&given) && is_time(wanted)) => Ok(value.clone()),
        _ => Err(""),
    }
}

/// Whether it is a point in time, which is comparable with every other.
fn is_time(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}
