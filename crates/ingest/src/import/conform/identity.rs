//! Ids of events that have none: the same that HTTP gives.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use footfall_model::field::{EventField, FieldType};
use footfall_model::hash::DedupeBy;
use footfall_model::schema;

use super::{Sites, amounts, text, times, wrong_type};
use crate::rules::{Moment, Value, event_id};

/// A column that may be part of an identity.
enum Column<'a> {
    Text(&'a StringArray),
    Amount(&'a Decimal128Array),
    Flag(&'a BooleanArray),
    /// It is not, or it has no values.
    Absent,
}

impl<'a> Column<'a> {
    fn of(rows: &'a RecordBatch, field: EventField) -> Result<Self, ArrowError> {
        let column = rows.column(field as usize);
        if column.null_count() == column.len() {
            return Ok(Self::Absent);
        }
        Ok(match field.spec().field_type {
            FieldType::Text | FieldType::Json => Self::Text(text(rows, field)?),
            FieldType::Amount => Self::Amount(amounts(rows, field)?),
            FieldType::Flag => Self::Flag(column.as_boolean_opt().ok_or_else(|| wrong_type(field))?),
            FieldType::Time | FieldType::Hash | FieldType::Day => Self::Absent,
        })
    }

    fn value(&self, row: usize) -> Option<Value<'a>> {
        match self {
            Self::Text(texts) if texts.is_valid(row) => Some(Value::Text(texts.value(row))),
            // Amounts are below 18 digits.
            Self::Amount(amounts) if amounts.is_valid(row) => i64::try_from(amounts.value(row)).ok().map(Value::Number),
            Self::Flag(flags) if flags.is_valid(row) && flags.value(row) => Some(Value::Number(1)),
            _ => None,
        }
    }
}

/// As given; where not, from what the file says of the event, before anything is derived.
pub(super) fn event_ids(rows: &RecordBatch, sites: &Sites, otherwise: DedupeBy) -> Result<ArrayRef, ArrowError> {
    let given = text(rows, EventField::EventId)?;
    if given.null_count() == 0 {
        return Ok(Arc::new(given.clone()));
    }
    let columns = schema::file_columns().map(|field| Column::of(rows, field));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let (tracking_ids, times) = (
        text(rows, EventField::TrackingId)?,
        times(rows, EventField::EventTimestamp)?,
    );
    let mut site = ("", otherwise);
    let ids = (0..rows.num_rows()).map(|row| {
        if given.is_valid(row) {
            return Some(given.value(row).to_owned());
        }
        let tracking_id = tracking_ids.value(row);
        if site.0 != tracking_id {
            site = (
                tracking_id,
                sites.get(tracking_id).copied().flatten().unwrap_or(otherwise),
            );
        }
        let value = |field: EventField| columns.get(field as usize)?.value(row);
        Some(event_id(site.1, Moment::Sent(times.value(row)), value))
    });
    Ok(Arc::new(ids.collect::<StringArray>()))
}
