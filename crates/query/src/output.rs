//! The schema that clients see, and batches brought to it.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The schema of a result: plain types that every client knows, no metadata.
///
/// All columns are nullable, because DataFusion decides nullability anew in each phase of planning and a client is
/// given the schema before the last of them.
pub(crate) fn schema_of(plan: &Schema) -> SchemaRef {
    let fields = plan.fields().iter().map(|field| plain_field(field));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// `batch` with exactly the column types of `schema`.
pub(crate) fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(Arc::clone(column))
        } else {
            cast(column, field.data_type())
        }
    });
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_, _>>()?, &rows)
}

fn plain_field(field: &Field) -> FieldRef {
    Arc::new(Field::new(field.name(), plain(field.data_type()), true))
}

fn plain(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::List(item) | DataType::ListView(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain_field(field)).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef, DictionaryArray, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn views_and_dictionaries_become_plain_text() {
        let view: ArrayRef = Arc::new(StringViewArray::from(vec![
            Some("a text longer than twelve bytes"),
            None,
        ]));
        let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("x"), Some("x")]));
        let batch = RecordBatch::try_from_iter([("v", view), ("d", dictionary)]).unwrap();
        let schema = schema_of(&batch.schema());
        let plain = adapt(&batch, &schema).unwrap();
        assert_eq!(plain.schema(), schema);
        for column in plain.columns() {
            assert_eq!(column.data_type(), &DataType::Utf8);
        }
        let values = plain.column(1).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(values.value(1), "x");
        assert!(plain.column(0).is_null(1));
    }

    #[test]
    fn zero_column_batch_keeps_row_count() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let empty = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(Arc::clone(&empty), vec![], &options).unwrap();
        assert_eq!(adapt(&batch, &empty).unwrap().num_rows(), 3);
    }
}
