//! Texts that a spreadsheet would take for formulas: titles of pages, campaigns and properties come from strangers, and
//! whoever opens the CSV would run them. They get an apostrophe in front, which a spreadsheet takes for "this is text"
//! (OWASP, "CSV Injection"). Numbers, dates and times are as they are.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

/// What a formula begins with, also in the wide forms that some spreadsheets read alike.
const FIRST: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// The rows and the names of their columns, with no formulas.
pub(super) fn escaped(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields = batch.schema_ref().fields().iter().zip(batch.columns());
    let columns = fields.map(|(field, column)| {
        let column = column_of(column)?;
        let field = Field::new(text(field.name()), column.data_type().clone(), field.is_nullable());
        Ok((field, column))
    });
    let (fields, columns): (Vec<_>, Vec<_>) = columns.collect::<Result<Vec<_>, ArrowError>>()?.into_iter().unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn column_of(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !is_text(column.data_type()) {
        return Ok(Arc::clone(column));
    }
    let texts = cast(column, &DataType::Utf8)?;
    let values = texts.as_string::<i32>();
    if !values.iter().flatten().any(is_formula) {
        return Ok(texts);
    }
    Ok(Arc::new(
        values.iter().map(|value| value.map(text)).collect::<StringArray>(),
    ))
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn text(value: &str) -> Cow<'_, str> {
    match is_formula(value) {
        true => format!("'{value}").into(),
        false => value.into(),
    }
}

fn is_formula(value: &str) -> bool {
    value.starts_with(FIRST)
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, StringViewArray};
    use arrow::datatypes::Int32Type;
    use arrow::util::display::array_value_to_string;

    use super::*;

    #[test]
    fn texts_that_would_be_formulas_are_escaped() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\u{ff1d}1"] {
            assert_eq!(text(formula), format!("'{formula}"));
        }
        for plain in ["", "a=1", "'=1", " =1", "1-1", "/shoes", "\u{2212}1"] {
            assert_eq!(text(plain), plain);
        }
    }

    #[test]
    fn columns_of_text_are_escaped_and_numbers_are_not() {
        let texts = [Some("=x"), None, Some("y")];
        let batch = RecordBatch::try_from_iter([
            ("plain", Arc::new(StringArray::from_iter(texts)) as ArrayRef),
            ("view", Arc::new(StringViewArray::from_iter(texts))),
            ("dictionary", Arc::new(DictionaryArray::<Int32Type>::from_iter(texts))),
            ("-number", Arc::new(Int64Array::from(vec![Some(-1), None, Some(1)]))),
        ])
        .unwrap();
        let escaped = escaped(&batch).unwrap();
        let schema = escaped.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["plain", "view", "dictionary", "'-number"]);
        for (column, expected) in [(0, "'=x"), (1, "'=x"), (2, "'=x"), (3, "-1")] {
            assert_eq!(array_value_to_string(escaped.column(column), 0).unwrap(), expected);
            assert!(escaped.column(column).is_null(1));
        }
    }
}
