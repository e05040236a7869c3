//! The `events` table, as [`crate::field`] declares its columns.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::field::EventField;
use crate::table::COMMENT;

/// The partition column: its value names the table's folders.
pub const PARTITION_COLUMN: &str = "event_date";

/// Every file is sorted by these columns, ascending; none of them is ever null.
pub const SORT_COLUMNS: [&str; 3] = ["tracking_id", "client_hash", "event_timestamp"];

/// Every commit records minimum, maximum and number of nulls of these columns for each file.
pub const STATISTICS_COLUMNS: [&str; 4] = ["tracking_id", "client_hash", "event_timestamp", "created_at"];

/// The version of the table's columns, incremented with each change.
pub(crate) const VERSION: u32 = 1;

/// Decimal digits of `revenue` after the point.
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

/// The columns of a Parquet file of `events`: all but the partition column.
pub fn event_file() -> SchemaRef {
    static FILE: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(file_fields())));
    Arc::clone(&FILE)
}

/// The fields that are columns of a file, in the order of the file.
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
    fn sort_columns_come_first_and_are_required() {
        let file = event_file();
        for (index, name) in SORT_COLUMNS.iter().enumerate() {
            assert_eq!(file.field(index).name(), name);
            assert!(!file.field(index).is_nullable());
        }
    }

    #[test]
    fn events_are_file_columns_and_partition() {
        let (table, file) = (events(), event_file());
        assert_eq!(table.fields()[..file.fields().len()], file.fields()[..]);
        assert_eq!(table.fields().last().map(|f| f.name().as_str()), Some(PARTITION_COLUMN));
    }
}
