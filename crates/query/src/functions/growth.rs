//! How long a function's results can be, before it is called.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

/// How a function's result grows with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// The second argument is a length, or how often the first is repeated.
    Length,
    /// All arguments, one after the other.
    Sum,
    /// Between any two characters of the first argument can stand the longest of the others.
    Product,
    /// As many steps as the lengths of the two arguments multiplied; the result is a number.
    Steps,
}

/// For the functions whose results can be much longer than their arguments, or take much longer.
pub(super) fn of(function: &str) -> Option<Growth> {
    match function {
        "repeat" | "lpad" | "rpad" | "array_repeat" | "array_resize" => Some(Growth::Length),
        "concat" | "concat_ws" | "make_array" | "array_concat" | "array_append" | "array_prepend" | "map"
        | "struct" | "named_struct" | "overlay" => Some(Growth::Sum),
        "replace" | "regexp_replace" | "translate" | "array_to_string" | "to_char" => Some(Growth::Product),
        "levenshtein" | "array_has_all" | "array_has_any" => Some(Growth::Steps),
        _ => None,
    }
}

impl Growth {
    /// An upper bound of the bytes that `rows` rows of the result take, or of the steps that they cost.
    pub(super) fn bound(self, arguments: &[ColumnarValue], rows: usize) -> Result<u64> {
        let rows = rows as u64;
        let Some((first, others)) = arguments.split_first() else {
            return Ok(0);
        };
        match self {
            Self::Length => {
                let Some(lengths) = others.first() else { return Ok(0) };
                let lengths = cast(&lengths.to_array(1)?, &DataType::Int64)?;
                let greatest = arrow::compute::max(lengths.as_primitive::<Int64Type>()).unwrap_or(0);
                let items = u64::try_from(greatest).unwrap_or(0).saturating_mul(rows);
                Ok(items.saturating_mul(item_bytes(first)?))
            }
            Self::Sum => arguments.iter().try_fold(0, |sum: u64, argument| {
                Ok(sum.saturating_add(total_bytes(argument, rows)?))
            }),
            Self::Product => {
                let total = total_bytes(first, rows)?.saturating_add(rows);
                let longest = others.iter().map(longest_bytes).collect::<Result<Vec<_>>>()?;
                Ok(total.saturating_mul(longest.into_iter().max().unwrap_or(1).max(1)))
            }
            Self::Steps => {
                let Some(second) = others.first() else { return Ok(0) };
                let steps = longest_bytes(first)?.saturating_mul(longest_bytes(second)?);
                Ok(steps.saturating_mul(rows))
            }
        }
    }
}

/// What all rows of an argument take.
fn total_bytes(argument: &ColumnarValue, rows: u64) -> Result<u64> {
    Ok(match argument {
        ColumnarValue::Scalar(_) => longest_bytes(argument)?.saturating_mul(rows),
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Utf8 => slice_bytes(array.as_string::<i32>().value_offsets()),
            DataType::LargeUtf8 => slice_bytes(array.as_string::<i64>().value_offsets()),
            DataType::Utf8View => array.as_string_view().lengths().map(u64::from).sum(),
            _ => array.to_data().get_slice_memory_size().unwrap_or(0) as u64,
        },
    })
}

/// The longest text, or an average list.
fn longest_bytes(argument: &ColumnarValue) -> Result<u64> {
    let array = argument.to_array(1)?;
    Ok(match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(&array, &DataType::Utf8View)?;
            u64::from(texts.as_string_view().lengths().max().unwrap_or(0))
        }
        _ => (array.to_data().get_slice_memory_size().unwrap_or(0) / array.len().max(1)) as u64,
    })
}

/// What one more unit of length costs at most: a copy of the longest text or of an average list, or a character.
fn item_bytes(first: &ColumnarValue) -> Result<u64> {
    const CHARACTER: u64 = 4;
    Ok(longest_bytes(first)?.max(CHARACTER))
}

fn slice_bytes<O: arrow::array::OffsetSizeTrait>(offsets: &[O]) -> u64 {
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => (*last - *first).as_usize() as u64,
        _ => 0,
    }
}
