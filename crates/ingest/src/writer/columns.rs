//! Events into Arrow columns of the schema [`schema::event_file`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Int64Builder, NullBufferBuilder, RecordBatch, StringArray,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use footfall_model::schema;

use super::wire::{Fields, TEXTS};

/// Columns that grow by an event at a time.
#[derive(Debug)]
pub(crate) struct Columns {
    text: [Text; TEXTS],
    client_hash: Int64Builder,
    event_timestamp: TimestampMicrosecondBuilder,
    created_at: TimestampMicrosecondBuilder,
    is_bot: BooleanBuilder,
    revenue: Decimal128Builder,
}

/// What columns are to hold, so that they need not grow: growing copies, and takes twice the memory for a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    pub(super) rows: usize,
    /// Bytes of each column of text.
    pub(super) text: [usize; TEXTS],
}

/// A column of text. The values are looked into once, all together, when the column is finished.
#[derive(Debug)]
struct Text {
    values: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Text {
    fn new(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            values: Vec::with_capacity(bytes),
            ends,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    fn push(&mut self, value: Option<&[u8]>) -> Result<(), ArrowError> {
        match value {
            Some(value) => {
                self.values.extend_from_slice(value);
                self.nulls.append_non_null();
            }
            None => self.nulls.append_null(),
        }
        let end = self.values.len();
        self.ends
            .push(i32::try_from(end).map_err(|_| ArrowError::OffsetOverflowError(end))?);
        Ok(())
    }

    fn finish(mut self) -> Result<StringArray, ArrowError> {
        let ends = OffsetBuffer::new(self.ends.into());
        StringArray::try_new(ends, Buffer::from_vec(self.values), self.nulls.finish())
    }
}

impl Columns {
    pub(super) fn new(room: &Room) -> Self {
        let (rows, utc) = (room.rows, Some(Arc::from("UTC")));
        let revenue = DataType::Decimal128(18, schema::REVENUE_SCALE);
        Self {
            text: room.text.map(|bytes| Text::new(rows, bytes)),
            client_hash: Int64Builder::with_capacity(rows),
            event_timestamp: TimestampMicrosecondBuilder::with_capacity(rows).with_timezone_opt(utc.clone()),
            created_at: TimestampMicrosecondBuilder::with_capacity(rows).with_timezone_opt(utc),
            is_bot: BooleanBuilder::with_capacity(rows),
            revenue: Decimal128Builder::with_capacity(rows).with_data_type(revenue),
        }
    }

    /// Adds one row.
    pub(super) fn push(&mut self, event: &Fields<'_>, client_hash: i64) -> Result<(), ArrowError> {
        for (column, value) in self.text.iter_mut().zip(event.texts) {
            column.push(value)?;
        }
        self.client_hash.append_value(client_hash);
        self.event_timestamp.append_value(event.event_timestamp);
        self.created_at.append_value(event.created_at);
        self.is_bot.append_value(event.is_bot);
        self.revenue.append_option(event.revenue.map(i128::from));
        Ok(())
    }

    /// The rows.
    pub(super) fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let mut text = self.text.into_iter();
        let columns = schema::event_file()
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                "client_hash" => Ok(Arc::new(self.client_hash.finish()) as ArrayRef),
                "event_timestamp" => Ok(Arc::new(self.event_timestamp.finish()) as ArrayRef),
                "created_at" => Ok(Arc::new(self.created_at.finish()) as ArrayRef),
                "is_bot" => Ok(Arc::new(self.is_bot.finish()) as ArrayRef),
                "revenue" => Ok(Arc::new(self.revenue.finish()) as ArrayRef),
                name => match text.next() {
                    Some(column) => Ok(Arc::new(column.finish()?) as ArrayRef),
                    None => Err(ArrowError::SchemaError(format!("no values for the column {name}"))),
                },
            })
            .collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(schema::event_file(), columns)
    }
}

/// Events as rows, in the order of the events.
#[cfg(test)]
pub(crate) fn rows(events: &[footfall_model::proto::Event]) -> RecordBatch {
    let mut columns = Columns::new(&Room::default());
    for event in events {
        let hash = footfall_model::hash::client_hash(&event.tracking_id, &event.client_id);
        columns.push(&Fields::from(event), hash.cast_signed()).unwrap();
    }
    columns.finish().unwrap()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
    use footfall_model::hash::client_hash;
    use footfall_model::proto::Event;

    use super::*;

    /// Every field of an event, each with a value of its own: the column's name.
    fn full() -> Event {
        let own = |name: &str| Some(name.to_owned());
        Event {
            tracking_id: "tracking_id".into(),
            event_id: "event_id".into(),
            client_id: "client_id".into(),
            session_id: "session_id".into(),
            user_id: own("user_id"),
            event_type: "event_type".into(),
            event_timestamp: 7,
            page_url: own("page_url"),
            page_title: own("page_title"),
            referrer: own("referrer"),
            revenue: Some(12_3456),
            custom_properties: own("custom_properties"),
            utm_source: own("utm_source"),
            utm_medium: own("utm_medium"),
            utm_campaign: own("utm_campaign"),
            utm_term: own("utm_term"),
            utm_content: own("utm_content"),
            country: own("country"),
            city: own("city"),
            device: own("device"),
            browser: own("browser"),
            os: own("os"),
            source: own("source"),
            channel: own("channel"),
            is_bot: true,
            created_at: 8,
        }
    }

    #[test]
    fn each_field_lands_in_its_own_column() {
        let batch = rows(&[full(), Event::default()]);
        assert_eq!(batch.num_rows(), 2);
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(text) = column.as_string_opt::<i32>() {
                assert_eq!(text.value(0), field.name());
                assert_eq!(text.is_null(1), field.is_nullable(), "{}", field.name());
            }
        }
        let column = |name: &str| batch.column_by_name(name).unwrap();
        assert_eq!(
            column("event_timestamp")
                .as_primitive::<TimestampMicrosecondType>()
                .value(0),
            7
        );
        assert_eq!(
            column("created_at").as_primitive::<TimestampMicrosecondType>().value(0),
            8
        );
        assert_eq!(column("revenue").as_primitive::<Decimal128Type>().value(0), 12_3456);
        assert!(column("revenue").is_null(1));
        assert!(column("is_bot").as_boolean().value(0));
        assert_eq!(
            column("client_hash").as_primitive::<Int64Type>().value(0),
            client_hash("tracking_id", "client_id").cast_signed()
        );
    }
    #[test]
    fn text_that_is_not_utf_8_makes_no_column_also_if_its_pieces_would_fit_together() {
        let mut text = Text::new(0, 0);
        text.push(Some(&"ä".as_bytes()[..1])).unwrap();
        text.push(Some(&"ä".as_bytes()[1..])).unwrap();
        assert!(text.finish().is_err());
    }
}
