//! The `events` table, as [`crate::field`] declares its columns.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::field::EventField;
use crate::table::COMMENT;

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

/// The `events` table as SQL sees it, `event_date` last: the columns of [`EventField`].
pub fn events() -> SchemaRef {
    static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = file_fields();
        fields.push(EventField::EventDate.spec().arrow());
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&EVENTS)
}

/// What a Parquet file of `events` holds: all but the partition column.
pub fn event_file() -> SchemaRef {
    static FILE: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(file_fields())));
    Arc::clone(&FILE)
}

/// The fields that are columns of a file, in its order.
pub fn file_columns() -> impl Iterator<Item = EventField> {
    let fields = EventField::ALL.iter().copied();
    fields.filter(|field| field.name() != PARTITION_COLUMN)
}

/// A column with its comment.
pub(crate) fn commented(field: EventField) -> Field {
    let comment = (COMMENT.to_owned(), field.spec().description.to_owned());
    field.spec().arrow().with_metadata([comment].into())
}

fn file_fields() -> Vec<Field> {
    file_columns().map(|field| field.spec().arrow()).collect()
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
