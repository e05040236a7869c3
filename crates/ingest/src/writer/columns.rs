//! Events into Arrow columns of the schema [`schema::event_file`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use footfall_model::hash::client_hash;
use footfall_model::proto::Event;
use footfall_model::schema;

/// Columns that grow by an event at a time.
#[derive(Debug)]
pub(crate) struct Columns {
    text: [StringBuilder; TEXTS],
    client_hash: Int64Builder,
    event_timestamp: TimestampMicrosecondBuilder,
    created_at: TimestampMicrosecondBuilder,
    is_bot: BooleanBuilder,
    revenue: Decimal128Builder,
    rows: usize,
    bytes: usize,
}

/// Columns of text: [`texts`] gives an event's values in the order of the schema.
const TEXTS: usize = 22;

/// What the columns that hold no text take, a row.
const FIXED_BYTES: usize = 3 * 8 + 16 + 1 + TEXTS * 4;

fn texts(event: &Event) -> [Option<&str>; TEXTS] {
    [
        Some(&event.tracking_id),
        Some(&event.event_id),
        Some(&event.client_id),
        Some(&event.session_id),
        event.user_id.as_deref(),
        Some(&event.event_type),
        event.page_url.as_deref(),
        event.page_title.as_deref(),
        event.referrer.as_deref(),
        event.utm_source.as_deref(),
        event.utm_medium.as_deref(),
        event.utm_campaign.as_deref(),
        event.utm_term.as_deref(),
        event.utm_content.as_deref(),
        event.country.as_deref(),
        event.city.as_deref(),
        event.device.as_deref(),
        event.browser.as_deref(),
        event.os.as_deref(),
        event.source.as_deref(),
        event.channel.as_deref(),
        event.custom_properties.as_deref(),
    ]
}

impl Default for Columns {
    fn default() -> Self {
        let utc = Some(Arc::from("UTC"));
        Self {
            text: Default::default(),
            client_hash: Int64Builder::new(),
            event_timestamp: TimestampMicrosecondBuilder::new().with_timezone_opt(utc.clone()),
            created_at: TimestampMicrosecondBuilder::new().with_timezone_opt(utc),
            is_bot: BooleanBuilder::new(),
            revenue: Decimal128Builder::new().with_data_type(DataType::Decimal128(18, schema::REVENUE_SCALE)),
            rows: 0,
            bytes: 0,
        }
    }
}

impl Columns {
    /// Adds one row. `client_hash` is computed here, the rest is as the event says.
    pub(crate) fn push(&mut self, event: &Event) {
        for (column, value) in self.text.iter_mut().zip(texts(event)) {
            column.append_option(value);
            self.bytes += value.map_or(0, str::len);
        }
        self.client_hash
            .append_value(client_hash(&event.tracking_id, &event.client_id).cast_signed());
        self.event_timestamp.append_value(event.event_timestamp);
        self.created_at.append_value(event.created_at);
        self.is_bot.append_value(event.is_bot);
        self.revenue.append_option(event.revenue.map(i128::from));
        self.rows += 1;
        self.bytes += FIXED_BYTES;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Memory that the values take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows so far; the columns are empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut text = self.text.iter_mut();
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
                    Some(column) => Ok(Arc::new(column.finish()) as ArrayRef),
                    None => Err(ArrowError::SchemaError(format!("no values for the column {name}"))),
                },
            })
            .collect::<Result<Vec<_>, _>>()?;
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(schema::event_file(), columns)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};

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
        let mut columns = Columns::default();
        columns.push(&full());
        columns.push(&Event::default());
        assert_eq!(columns.rows(), 2);
        let batch = columns.finish().unwrap();
        assert_eq!(columns.rows(), 0);
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
}
