//! Validation of an event. Pure: the time of receipt is an argument.

use footfall_model::clock::Micros;
use footfall_model::field::{EventField, FieldType};
use footfall_model::hash::DedupeBy;
use footfall_model::proto::Event;

use super::draft::Draft;
use super::options::CollectOptions;
use super::reject::Reject;
use crate::rules::{self, Changes, Moment, Value};

/// A valid event with its time and its time of receipt, not yet with its id.
#[derive(Debug)]
pub(super) struct Valid {
    pub(super) event: Box<Event>,
    /// When it happened, as far as its id is concerned.
    moment: Moment,
    pub(super) changes: Changes,
}

/// When an event was received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Receipt {
    pub(super) at: Micros,
    /// Tells events apart that were received at one time.
    pub(super) ordinal: u64,
}

/// Returns the valid event, or its rejection.
pub(super) fn check(draft: Draft, options: &CollectOptions, receipt: Receipt) -> Result<Valid, Reject> {
    let draft = draft.finish()?;
    let mut event = draft.event;
    for field in EventField::ALL.iter().filter(|field| field.spec().is_required()) {
        if field.text(&event).is_some_and(str::is_empty) {
            return Err(Reject::invalid(*field, "is missing").expected("a string that is not empty"));
        }
    }
    event.event_timestamp = rules::corrected_time(receipt.at, draft.timestamp, draft.sent_at);
    rules::check_time(event.event_timestamp, receipt.at, options.max_future, options.retention)
        .map_err(|problem| Reject::of(EventField::EventTimestamp, problem))?;
    event.created_at = receipt.at;
    let moment = draft.timestamp.map_or(
        Moment::Received {
            at: receipt.at,
            ordinal: receipt.ordinal,
        },
        Moment::Sent,
    );
    Ok(Valid {
        event,
        moment,
        changes: draft.changes,
    })
}

impl Valid {
    /// Gives the event an id if it has none of its own. To be called before the event is enriched.
    pub(super) fn identify(&mut self, by: DedupeBy) {
        if self.event.event_id.is_empty() {
            self.event.event_id = rules::event_id(by, self.moment, |field| value(&self.event, field));
        }
    }
}

fn value(event: &Event, field: EventField) -> Option<Value<'_>> {
    match field.spec().field_type {
        FieldType::Text | FieldType::Json => field.text(event).filter(|text| !text.is_empty()).map(Value::Text),
        FieldType::Amount => event.revenue.map(Value::Number),
        FieldType::Flag => event.is_bot.then_some(Value::Number(1)),
        FieldType::Time | FieldType::Hash | FieldType::Day => None,
    }
}
