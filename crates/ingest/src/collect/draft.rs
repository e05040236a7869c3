//! An event during parsing: its fields so far, and the first error.

use std::borrow::Cow;

use footfall_model::clock::Micros;
use footfall_model::field::EventField;
use footfall_model::proto::Event;
use serde::de::IgnoredAny;

use super::decimal::{self, DecimalError};
use super::field::{Field, Target};
use super::options::PropertyLimits;
use super::properties::{self, PropertyError};
use super::reject::Reject;
use super::time;

/// An event that is not yet validated.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Boxed, because an event is some 600 bytes and is moved often.
    pub(super) event: Box<Event>,
    /// From the client; `None`: the time of receipt.
    pub(super) timestamp: Option<Micros>,
    /// The client's time of sending.
    pub(super) sent_at: Option<Micros>,
    /// `custom_properties.revenue`, used if there is no `revenue`.
    properties_revenue: Option<i64>,
    problem: Option<Reject>,
    /// One bit for each field.
    seen: u64,
}

/// An event with the client's `timestamp` and `sent_at`.
type Finished = (Box<Event>, Option<Micros>, Option<Micros>);

/// A JSON value that should be a string or a number.
enum Scalar<'a> {
    Null,
    String(Cow<'a, str>),
    Number(&'a str),
    Other(&'static str),
}

impl Draft {
    /// A draft of a protobuf event.
    pub(super) fn of_proto(event: Event, limits: &PropertyLimits) -> Self {
        let mut draft = Self {
            timestamp: (event.event_timestamp != 0).then_some(event.event_timestamp),
            event: Box::new(event),
            ..Self::default()
        };
        if let Some(json) = draft.event.custom_properties.take() {
            draft.properties_text(&json, limits);
        }
        if draft
            .event
            .revenue
            .is_some_and(|units| units.unsigned_abs() >= decimal::LIMIT.unsigned_abs())
        {
            draft.blame(out_of_range(EventField::Revenue.into()));
        }
        draft
    }

    /// A query parameter. Empty counts as absent.
    pub(super) fn parameter(&mut self, name: &str, value: &str, limits: &PropertyLimits) {
        let target = Target::of_parameter(name);
        let Some(field) = target.field().filter(|_| !value.is_empty()) else {
            return;
        };
        if !self.is_first(field) {
            return;
        }
        match (target, field) {
            (Target::Text(field), _) => self.text(field, value),
            (_, Field::Stored(EventField::Revenue)) => self.event.revenue = self.amount_text(field, value),
            (_, Field::Stored(EventField::CustomProperties)) => self.properties_text(value, limits),
            _ => self.time_text(field, value),
        }
    }

    /// Whether this is the field's first occurrence; a second one is recorded as the problem.
    pub(super) fn is_first(&mut self, field: Field) -> bool {
        let first = self.seen & field.bit() == 0;
        self.seen |= field.bit();
        if !first {
            self.blame(Reject::invalid(field, "is there more than once"));
        }
        first
    }

    /// Records the first problem.
    pub(super) fn blame(&mut self, problem: Reject) {
        self.problem.get_or_insert(problem);
    }

    pub(super) fn text(&mut self, field: EventField, value: &str) {
        if let Some(slot) = field.text_mut(&mut self.event) {
            slot.set(value.to_owned());
        }
    }

    /// A value of a field whose type varies, as raw JSON text.
    pub(super) fn raw(&mut self, field: Field, json: &str, limits: &PropertyLimits) {
        match field {
            Field::Stored(EventField::EventTimestamp) | Field::SentAt => match scalar(json) {
                Scalar::Null => {}
                Scalar::String(text) => self.time_text(field, &text),
                Scalar::Number(text) => self.time_text(field, text),
                Scalar::Other(found) => self.blame(wrong_type(field, time::EXPECTED, found)),
            },
            Field::Stored(EventField::Revenue) => self.event.revenue = self.amount(field, json),
            Field::Stored(EventField::CustomProperties) if json.starts_with('{') => self.properties(json, limits),
            Field::Stored(EventField::CustomProperties) if json == "null" => {}
            _ => self.blame(wrong_type(field, "an object", kind(json))),
        }
    }

    /// The event, or its first problem.
    pub(super) fn finish(mut self) -> Result<Finished, Reject> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.event.revenue = self.event.revenue.or(self.properties_revenue);
        Ok((self.event, self.timestamp, self.sent_at))
    }

    fn time_text(&mut self, field: Field, text: &str) {
        let time = time::parse(text);
        if time.is_none() {
            self.blame(Reject::invalid(field, format!("{} is not a timestamp", quoted(text))).expected(time::EXPECTED));
        }
        match field {
            Field::SentAt => self.sent_at = time,
            _ => self.timestamp = time,
        }
    }

    fn amount(&mut self, field: Field, json: &str) -> Option<i64> {
        match scalar(json) {
            Scalar::Null => None,
            Scalar::String(text) => self.amount_text(field, &text),
            Scalar::Number(text) => self.amount_text(field, text),
            Scalar::Other(found) => {
                self.blame(wrong_type(field, AMOUNT, found));
                None
            }
        }
    }

    fn amount_text(&mut self, field: Field, text: &str) -> Option<i64> {
        match decimal::parse(text) {
            Ok(units) => return Some(units),
            Err(DecimalError::OutOfRange) => self.blame(out_of_range(field)),
            Err(DecimalError::NotANumber) => {
                self.blame(Reject::invalid(field, format!("{} is not a number", quoted(text))).expected(AMOUNT));
            }
        }
        None
    }

    /// Properties whose syntax is not yet checked.
    fn properties_text(&mut self, json: &str, limits: &PropertyLimits) {
        let json = json.trim_ascii();
        if let Err(error) = serde_json::from_str::<IgnoredAny>(json) {
            self.blame(Reject::invalid(PROPERTIES, format!("malformed JSON: {error}")).expected("a JSON object"));
        } else {
            self.raw(PROPERTIES, json, limits);
        }
    }

    fn properties(&mut self, json: &str, limits: &PropertyLimits) {
        let field = PROPERTIES;
        match properties::scan(json, limits) {
            Ok(revenue) => {
                if let Some(revenue) = revenue {
                    self.properties_revenue = self.amount(Field::PropertiesRevenue, revenue);
                }
                self.event.custom_properties = Some(json.to_owned());
            }
            Err(PropertyError::TooDeep) => {
                let expected = format!("at most {} levels", limits.depth);
                self.blame(Reject::invalid(field, "is nested too deep").expected(expected));
            }
            Err(PropertyError::TooManyKeys) => {
                let expected = format!("at most {} keys on all levels together", limits.keys);
                self.blame(Reject::invalid(field, "has too many keys").expected(expected));
            }
            Err(PropertyError::Nul) => self.blame(Reject::invalid(field, "contains a NUL character (\\u0000)")),
            Err(PropertyError::LoneSurrogate) => {
                self.blame(Reject::invalid(
                    field,
                    "contains half of a surrogate pair (\\ud800 to \\udfff)",
                ));
            }
        }
    }
}

const PROPERTIES: Field = Field::Stored(EventField::CustomProperties);

const AMOUNT: &str = "a number, or a decimal number in a string, as 99.99";

/// The rejection of a value of the wrong type.
pub(super) fn wrong_type(field: Field, expected: &'static str, found: &str) -> Reject {
    Reject::invalid(field, format!("is {found}")).expected(expected)
}

fn out_of_range(field: Field) -> Reject {
    Reject::invalid(field, "is too large").expected("less than 100000000000000, either side of zero")
}

/// The beginning of a client's value, to keep replies short.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn scalar(json: &str) -> Scalar<'_> {
    match json.as_bytes().first() {
        Some(b'"') if json.contains('\\') => match serde_json::from_str(json) {
            Ok(text) => Scalar::String(Cow::Owned(text)),
            Err(_) => Scalar::Other("a string with a broken escape"),
        },
        Some(b'"') => Scalar::String(Cow::Borrowed(json.trim_matches('"'))),
        Some(b'-' | b'0'..=b'9') => Scalar::Number(json),
        Some(b'n') => Scalar::Null,
        _ => Scalar::Other(kind(json)),
    }
}

/// The kind of a JSON value, in words.
pub(super) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
