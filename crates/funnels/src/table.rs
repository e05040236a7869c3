//! The table of step rows, and the columns of entries.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use footfall_model::schema;
use footfall_model::table::{SITE_COLUMN, TableColumns, TableSpec};

/// What an entry takes from the event of its first step.
pub const DIMENSIONS: [&str; 9] = [
    "country",
    "device",
    "browser",
    "os",
    "source",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "channel",
];

pub(crate) const CLIENT_ID: &str = "client_id";

/// The columns that a step row takes from its event.
pub(crate) const EVENT_COLUMNS: [&str; 5] = [SITE_COLUMN, VISITOR, "event_timestamp", "created_at", CLIENT_ID];

/// XXH3 of the event's id, by which repeated events are told.
pub(crate) const EVENT_HASH: &str = "event_hash";

/// The order in which entries are found in step rows: those of a visitor and a funnel by time and arrival. Of events that
/// are equal in both, which came first is not known: they take their steps in order.
pub const PROGRESS_ORDER: [&str; 6] = [VISITOR, REVISION, "event_timestamp", "created_at", STEPS, EVENT_HASH];

/// Bit i: the event matches step i.
pub const STEPS: &str = "steps";

/// The definition that `steps` follows. It is that of one funnel alone.
pub const REVISION: &str = "revision";

/// The column that says whose rows they are. Two sites' visitors may have one hash, but no funnel in common.
pub const VISITOR: &str = "client_hash";

/// The table of step rows: one for each event and each funnel of which it matches a step. Its files are segments, in the
/// order of their events files.
#[expect(clippy::expect_used, reason = "a constant, and a test makes it")]
pub fn funnel_steps() -> &'static Arc<TableSpec> {
    static TABLE: LazyLock<Arc<TableSpec>> = LazyLock::new(|| {
        let events = schema::event_file();
        let of_events = |names: &[&str]| {
            let fields = events
                .fields()
                .iter()
                .filter(|field| names.contains(&field.name().as_str()));
            fields.map(|field| field.as_ref().clone()).collect::<Vec<_>>()
        };
        let mut file = of_events(&EVENT_COLUMNS);
        file.push(Field::new(EVENT_HASH, DataType::Int64, false));
        file.push(Field::new("funnel_id", DataType::Utf8, false));
        file.push(Field::new(REVISION, DataType::Int64, false));
        file.push(Field::new(STEPS, DataType::Int32, false));
        // Null where the event does not match the first step.
        file.extend(of_events(&DIMENSIONS));
        let spec = TableSpec::new(
            "funnel_steps",
            "funnel_steps",
            1,
            TableColumns {
                file,
                partition: Field::new(schema::PARTITION_COLUMN, DataType::Date32, false),
                sort: &schema::SORT_COLUMNS,
                statistics: &[SITE_COLUMN, VISITOR, "event_timestamp", REVISION],
            },
        );
        Arc::new(spec.expect("funnel_steps is declared right"))
    });
    &TABLE
}

pub(crate) fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns of entries.
pub fn progress() -> SchemaRef {
    static PROGRESS: LazyLock<SchemaRef> = LazyLock::new(|| {
        let mut fields = vec![
            Field::new(SITE_COLUMN, DataType::Utf8, false),
            Field::new("funnel_id", DataType::Utf8, false),
            Field::new("client_id", DataType::Utf8, false),
            Field::new("client_hash", DataType::Int64, false),
            Field::new("date", DataType::Date32, false),
            Field::new("entered_at", utc(), false),
            Field::new("steps_completed", DataType::Int32, false),
            Field::new(
                "step_times",
                DataType::List(Arc::new(Field::new_list_field(utc(), true))),
                false,
            ),
            Field::new("fully_converted", DataType::Boolean, false),
            Field::new("time_to_convert", DataType::Int64, true),
            Field::new("deepest_of_day", DataType::Boolean, false),
        ];
        fields.extend(DIMENSIONS.iter().map(|name| Field::new(*name, DataType::Utf8, true)));
        Arc::new(Schema::new(fields))
    });
    Arc::clone(&PROGRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_events_come_first_in_their_order() {
        let file = funnel_steps().file_schema();
        let names: Vec<_> = file.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names[..3], schema::SORT_COLUMNS);
        assert_eq!(names.len(), EVENT_COLUMNS.len() + 4 + DIMENSIONS.len());
        assert!(
            PROGRESS_ORDER
                .iter()
                .all(|name| !file.field_with_name(name).unwrap().is_nullable())
        );
        assert!(
            DIMENSIONS
                .iter()
                .all(|name| file.field_with_name(name).unwrap().is_nullable())
        );
    }
}
