//! The one definition of the `events` table.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The column by whose value the table's folders are named.
pub const PARTITION_COLUMN: &str = "event_date";

/// Every file is sorted by these, ascending, and no column of them is null.
pub const SORT_COLUMNS: [&str; 3] = ["tracking_id", "client_hash", "event_timestamp"];

/// A commit says minimum, maximum and number of nulls of these, for every file.
pub const STATISTICS_COLUMNS: [&str; 4] = ["tracking_id", "client_hash", "event_timestamp", "created_at"];

/// Counts the changes of the table's columns.
pub(crate) const VERSION: u32 = 1;

/// Digits after the point of `revenue`.
pub const REVENUE_SCALE: i8 = 4;

/// The `events` table as SQL sees it, `event_date` last.
///
/// `client_hash` holds the 64 bits of [`crate::hash::client_hash`] as a signed number, because Delta has no
/// unsigned type.
pub fn events() -> SchemaRef {
    static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = file_fields();
        fields.push(partition_field());
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&EVENTS)
}

/// What a Parquet file of `events` holds: all but the partition column.
pub fn event_file() -> SchemaRef {
    static FILE: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(file_fields())));
    Arc::clone(&FILE)
}

pub(crate) fn partition_field() -> Field {
    Field::new(PARTITION_COLUMN, DataType::Date32, false)
}

pub(crate) fn file_fields() -> Vec<Field> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let optional = |name: &str| Field::new(name, DataType::Utf8, true);
    vec![
        text("tracking_id"),
        Field::new("client_hash", DataType::Int64, false),
        Field::new("event_timestamp", utc.clone(), false),
        text("event_id"),
        text("client_id"),
        text("session_id"),
        optional("user_id"),
        text("event_type"),
        optional("page_url"),
        optional("page_title"),
        optional("referrer"),
        optional("utm_source"),
        optional("utm_medium"),
        optional("utm_campaign"),
        optional("utm_term"),
        optional("utm_content"),
        optional("country"),
        optional("city"),
        optional("device"),
        optional("browser"),
        optional("os"),
        optional("source"),
        optional("channel"),
        Field::new("is_bot", DataType::Boolean, false),
        Field::new("revenue", DataType::Decimal128(18, REVENUE_SCALE), true),
        optional("custom_properties"),
        Field::new("created_at", utc, false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sort_columns_lead_every_file_and_are_never_null() {
        let file = event_file();
        for (index, name) in SORT_COLUMNS.iter().enumerate() {
            assert_eq!(file.field(index).name(), name);
            assert!(!file.field(index).is_nullable());
        }
    }

    #[test]
    fn the_table_is_the_file_and_its_partition_column() {
        let (table, file) = (events(), event_file());
        assert_eq!(table.fields()[..file.fields().len()], file.fields()[..]);
        assert_eq!(table.fields().last().map(|f| f.name().as_str()), Some(PARTITION_COLUMN));
    }
}
