//! Values of Arrow as JSON. Times are shown in a zone; decimals are numbers; what is not finite is null.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use chrono::DateTime;
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::problem::Problem;
use crate::report::dates;

/// One value of a column.
pub(crate) fn value(column: &ArrayRef, row: usize, zone: Tz) -> Result<Value, Problem> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let one = column.slice(row, 1);
    let to = |data_type: &DataType| cast(&one, data_type).map_err(|error| Problem::internal(&error));
    Ok(match column.data_type() {
        DataType::Boolean => json!(one.as_boolean().value(0)),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt8 | DataType::UInt16 => {
            json!(to(&DataType::Int64)?.as_primitive::<Int64Type>().value(0))
        }
        DataType::UInt32 | DataType::UInt64 => json!(to(&DataType::UInt64)?.as_primitive::<UInt64Type>().value(0)),
        // By way of text: it is the nearest number to all of its digits.
        DataType::Decimal128(..) | DataType::Decimal256(..) => {
            let text = to(&DataType::Utf8)?;
            json!(text.as_string::<i32>().value(0).parse::<f64>().ok())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            json!(to(&DataType::Float64)?.as_primitive::<Float64Type>().value(0))
        }
        DataType::Date32 => {
            let days = one.as_primitive::<Date32Type>();
            json!(days.value_as_date(0).map(|date| date.to_string()))
        }
        DataType::Timestamp(..) => {
            let micros = to(&DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>().value(0);
            json!(DateTime::from_timestamp_micros(micros).map(|time| dates::local(time, zone)))
        }
        _ => json!(to(&DataType::Utf8)?.as_string::<i32>().value(0)),
    })
}
