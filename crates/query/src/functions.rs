//! The scalar functions that SQL may call: DataFusion's, less what one row can make arbitrarily large unchecked.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::QueryError;

/// Lists of numbers and times as values; `FROM generate_series(...)` makes the same as rows, in bounded memory.
const LEFT_OUT: [&str; 2] = ["range", "generate_series"];

/// Functions whose second argument says how long the result is.
const LENGTHENING: [&str; 5] = ["repeat", "lpad", "rpad", "array_repeat", "array_resize"];

/// What one call on one batch may make, in items times the size of an item.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .filter(|function| !LEFT_OUT.contains(&function.name()))
        .map(|function| {
            if LENGTHENING.contains(&function.name()) {
                Arc::new(ScalarUDF::new_from_impl(Bounded(function)))
            } else {
                function
            }
        })
        .collect()
}

/// A function that refuses to make too much: what expressions allocate is outside the memory pool.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded(Arc<ScalarUDF>);

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.inner().return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.0.inner().return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.0.inner().coerce_types(arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let made = size(&arguments)?;
        if made > MAX_BYTES {
            return Err(DataFusionError::External(Box::new(QueryError::Limit(format!(
                "{}: the result would take {made} bytes; {MAX_BYTES} are allowed",
                self.name()
            )))));
        }
        self.0.invoke_with_args(arguments)
    }
}

/// An upper bound of what the call makes: the greatest length that is asked for, for every row.
fn size(arguments: &ScalarFunctionArgs) -> Result<u64> {
    let [first, lengths, ..] = arguments.args.as_slice() else {
        return Ok(0);
    };
    let constant = matches!((first, lengths), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { arguments.number_rows as u64 };
    let lengths = cast(&lengths.to_array(1)?, &DataType::Int64)?;
    let greatest = arrow::compute::max(lengths.as_primitive::<Int64Type>()).unwrap_or(0);
    let items = u64::try_from(greatest).unwrap_or(0).saturating_mul(rows);
    Ok(items.saturating_mul(item_bytes(first)?))
}

/// What one more unit of length costs at most: a copy of the longest text or of an average list, or a character.
fn item_bytes(first: &ColumnarValue) -> Result<u64> {
    const CHARACTER: usize = 4;
    let array = first.to_array(1)?;
    let bytes = match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(&array, &DataType::Utf8View)?;
            let longest = texts.as_string_view().lengths().max().unwrap_or(0);
            CHARACTER.max(longest as usize)
        }
        _ => array.get_array_memory_size() / array.len().max(1),
    };
    Ok(bytes as u64)
}
