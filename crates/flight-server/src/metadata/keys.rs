//! Keys: there are none. Tableau and DBeaver ask for them, and accept an empty answer but not an error.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn name(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

pub(super) fn no_primary_keys() -> RecordBatch {
    RecordBatch::new_empty(Arc::new(Schema::new(vec![
        text("catalog_name"),
        text("db_schema_name"),
        name("table_name"),
        name("column_name"),
        text("key_name"),
        Field::new("key_sequence", DataType::Int32, false),
    ])))
}

/// Exported keys, imported keys and cross references have the same columns.
pub(super) fn no_foreign_keys() -> RecordBatch {
    RecordBatch::new_empty(Arc::new(Schema::new(vec![
        text("pk_catalog_name"),
        text("pk_db_schema_name"),
        name("pk_table_name"),
        name("pk_column_name"),
        text("fk_catalog_name"),
        text("fk_db_schema_name"),
        name("fk_table_name"),
        name("fk_column_name"),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name"),
        text("pk_key_name"),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ])))
}
