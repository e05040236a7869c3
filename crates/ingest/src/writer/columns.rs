//! Events into Arrow columns of the schema [`schema::event_file`].

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, NullBufferBuilder, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::error::ArrowError;
use footfall_model::field::{EventField, FieldType};
use footfall_model::schema;

use super::wire::{Fields, NUMBERS, TEXTS, index};
use crate::enrich::Page;

/// Column builders that grow by one event at a time.
#[derive(Debug)]
pub(crate) struct Columns {
    texts: [Text; TEXTS],
    numbers: [Numbers; NUMBERS],
    client_hash: Vec<i64>,
}

/// The capacity of columns, so that they need not grow: growing copies, and takes twice the memory for a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    pub(super) rows: usize,
    /// Bytes of each column of text.
    pub(super) texts: [usize; TEXTS],
}

/// A column of text. All values are validated together when the column is finished.
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

/// A column of numbers of any type.
#[derive(Debug)]
struct Numbers {
    values: Vec<i64>,
    nulls: NullBufferBuilder,
}

impl Numbers {
    fn new(rows: usize) -> Self {
        Self {
            values: Vec::with_capacity(rows),
            nulls: NullBufferBuilder::new(rows),
        }
    }

    fn push(&mut self, value: Option<i64>) {
        self.values.push(value.unwrap_or_default());
        self.nulls.append(value.is_some());
    }

    fn finish(mut self, field_type: FieldType) -> Result<ArrayRef, ArrowError> {
        array(field_type, self.values, self.nulls.finish())
    }
}

/// Numbers as a column of `field_type`.
fn array(field_type: FieldType, values: Vec<i64>, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    Ok(match field_type {
        FieldType::Time => {
            let times = TimestampMicrosecondArray::try_new(values.into(), nulls)?;
            Arc::new(times.with_data_type(field_type.arrow()))
        }
        FieldType::Amount => {
            let units = values.into_iter().map(i128::from).collect::<Vec<_>>();
            let amounts = Decimal128Array::try_new(units.into(), nulls)?;
            Arc::new(amounts.with_data_type(field_type.arrow()))
        }
        FieldType::Flag => {
            let flags = values.into_iter().map(|value| value != 0).collect();
            Arc::new(BooleanArray::new(flags, nulls))
        }
        FieldType::Hash => Arc::new(Int64Array::try_new(values.into(), nulls)?),
        FieldType::Text | FieldType::Json | FieldType::Day => {
            return Err(ArrowError::SchemaError(format!("{field_type:?} is not a number")));
        }
    })
}

const PAGE_HOST: usize = index(EventField::PageHost);
const PAGE_PATH: usize = index(EventField::PagePath);

impl Columns {
    pub(super) fn new(room: &Room) -> Self {
        let rows = room.rows;
        Self {
            texts: room.texts.map(|bytes| Text::new(rows, bytes)),
            numbers: std::array::from_fn(|_| Numbers::new(rows)),
            client_hash: Vec::with_capacity(rows),
        }
    }

    /// Adds one row, with the fields that are derived.
    pub(super) fn push(&mut self, event: &Fields<'_>, client_hash: i64) -> Result<(), ArrowError> {
        // The texts were validated when the event was read from the WAL.
        let page = event
            .page_url()
            .and_then(|url| std::str::from_utf8(url).ok())
            .map(Page::of)
            .unwrap_or_default();
        let mut texts = event.texts;
        texts[PAGE_HOST] = page.host.as_deref().map(str::as_bytes);
        texts[PAGE_PATH] = page.path.as_deref().map(str::as_bytes);
        for (column, value) in self.texts.iter_mut().zip(texts) {
            column.push(value)?;
        }
        for (column, value) in self.numbers.iter_mut().zip(event.numbers) {
            column.push(value);
        }
        self.client_hash.push(client_hash);
        Ok(())
    }

    /// The rows.
    pub(super) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let (mut texts, mut numbers) = (self.texts.into_iter(), self.numbers.into_iter());
        let mut hashes = Some(self.client_hash);
        let columns = schema::file_columns().map(|field| {
            let field_type = field.spec().field_type;
            let column = match field_type {
                FieldType::Text | FieldType::Json => texts.next().map(|text| Ok(Arc::new(text.finish()?) as ArrayRef)),
                FieldType::Hash => hashes.take().map(|hashes| array(field_type, hashes, None)),
                _ => numbers.next().map(|numbers| numbers.finish(field_type)),
            };
            column.unwrap_or_else(|| Err(ArrowError::SchemaError(format!("no values for {}", field.name()))))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
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

    /// Every field of an event; each text is its column's name.
    fn full() -> Event {
        let mut event = Event {
            event_timestamp: 7,
            revenue: Some(12_3456),
            is_bot: true,
            created_at: 8,
            ..Event::default()
        };
        for field in EventField::ALL {
            if let Some(slot) = field.text_mut(&mut event) {
                slot.set(field.name().to_owned());
            }
        }
        event.page_url = Some("https://page_host/page_path/?page_url".into());
        event
    }

    #[test]
    fn field_lands_in_its_own_column() {
        let batch = rows(&[full(), Event::default()]);
        assert_eq!(batch.num_rows(), 2);
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(text) = column.as_string_opt::<i32>() {
                let expected = match field.name().as_str() {
                    "page_url" => "https://page_host/page_path/?page_url",
                    "page_path" => "/page_path",
                    name => name,
                };
                assert_eq!(text.value(0), expected);
                assert_eq!(text.is_null(1), field.is_nullable(), "{}", field.name());
            }
        }
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let times = |name| column(name).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(
            (times("event_timestamp").value(0), times("created_at").value(0)),
            (7, 8)
        );
        assert_eq!(
            (times("event_timestamp").value(1), times("created_at").null_count()),
            (0, 0)
        );
        assert_eq!(column("revenue").as_primitive::<Decimal128Type>().value(0), 12_3456);
        assert!(column("revenue").is_null(1));
        assert!(column("is_bot").as_boolean().value(0) && !column("is_bot").as_boolean().value(1));
        assert_eq!(
            column("client_hash").as_primitive::<Int64Type>().value(0),
            client_hash("tracking_id", "client_id").cast_signed()
        );
    }

    #[test]
    fn split_utf8_character_is_refused() {
        let mut text = Text::new(0, 0);
        text.push(Some(&"ä".as_bytes()[..1])).unwrap();
        text.push(Some(&"ä".as_bytes()[1..])).unwrap();
        assert!(text.finish().is_err());
    }
}
