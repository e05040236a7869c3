//! The identity of an event that has no id of its own.

use std::sync::LazyLock;

use footfall_model::clock::Micros;
use footfall_model::field::{EventField, FieldOrigin};
use footfall_model::hash::{ContentHash, DedupeBy, derived_event_id};

/// When an event happened, as far as its identity is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// By the client's own clock, before any correction: the same in a retry.
    Sent(Micros),
    /// The client gave no time.
    Received {
        at: Micros,
        /// Tells events apart that were received at one time.
        ordinal: u64,
    },
}

/// A value of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

/// The fields that make up the identity, by their number on the wire: all that a client can send, except the id itself
/// and the time, which [`Moment`] gives.
static FIELDS: LazyLock<Vec<(u32, EventField)>> = LazyLock::new(|| {
    let sent = |field: &EventField| {
        !matches!(field, EventField::EventId | EventField::EventTimestamp)
            && matches!(field.spec().origin, FieldOrigin::Client | FieldOrigin::ClientOrServer)
    };
    let fields = EventField::ALL.iter().copied().filter(sent);
    let mut fields: Vec<_> = fields.filter_map(|field| Some((field.spec().tag?, field))).collect();
    fields.sort_unstable_by_key(|(tag, _)| *tag);
    fields
});

/// The id of an event that has none: a hash of what was sent, the same by every way in.
///
/// `value` gives the values as the rules left them and before enrichment; `None`: absent. A flag is 1 or absent.
pub(crate) fn event_id<'a>(by: DedupeBy, moment: Moment, value: impl Fn(EventField) -> Option<Value<'a>>) -> String {
    match by {
        DedupeBy::Content => content_id(moment, value),
        DedupeBy::Key => key_id(moment, value),
    }
}

fn content_id<'a>(moment: Moment, value: impl Fn(EventField) -> Option<Value<'a>>) -> String {
    let mut hash = ContentHash::default();
    match moment {
        Moment::Sent(at) => hash.sent(at),
        Moment::Received { at, ordinal } => hash.received(at, ordinal),
    }
    for (tag, field) in FIELDS.iter() {
        match value(*field) {
            Some(Value::Text(text)) => hash.text(*tag, text),
            Some(Value::Number(number)) => hash.number(*tag, number),
            None => {}
        }
    }
    hash.finish()
}

/// The specification's key and nothing else.
fn key_id<'a>(moment: Moment, value: impl Fn(EventField) -> Option<Value<'a>>) -> String {
    let text = |field| match value(field) {
        Some(Value::Text(text)) => text,
        _ => "",
    };
    let (Moment::Sent(at) | Moment::Received { at, .. }) = moment;
    derived_event_id(
        text(EventField::TrackingId),
        text(EventField::ClientId),
        text(EventField::SessionId),
        at,
        text(EventField::EventType),
    )
}
