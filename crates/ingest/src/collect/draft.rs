//! An event during parsing: its fields so far, and the first error.

use std::borrow::Cow;

use footfall_model::clock::Micros;
use footfall_model::field::{EventField, FieldType};
use footfall_model::proto::Event;

use super::field::{Field, Target};
use super::reject::Reject;
use crate::rules::{self, AMOUNT, Changes, Problem, Properties, PropertyLimits, Scalar, TIME, What};

/// An event that is not yet validated.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Boxed, because an event is some 600 bytes and is moved often.
    pub(super) event: Box<Event>,
    /// From the client; `None`: the time of receipt.
    pub(super) timestamp: Option<Micros>,
    /// The client's time of sending.
    pub(super) sent_at: Option<Micros>,
    /// What the rules changed.
    pub(super) changes: Changes,
    /// `custom_properties.revenue`, used if there is no `revenue`.
    properties_revenue: Option<i64>,
    problem: Option<Reject>,
    /// One bit for each field.
    seen: u64,
}

impl Draft {
    /// A draft of a protobuf event.
    pub(super) fn of_proto(event: Event, limits: &PropertyLimits) -> Self {
        let mut draft = Self {
            timestamp: (event.event_timestamp != 0).then_some(event.event_timestamp),
            event: Box::new(event),
            ..Self::default()
        };
        for field in EventField::ALL {
            draft.rule_text(*field);
        }
        if let Some(json) = draft.event.custom_properties.take() {
            draft.properties(&json, limits);
        }
        if let Some(units) = draft.event.revenue {
            draft.event.revenue = draft.kept(EventField::Revenue.into(), rules::checked_amount(units));
        }
        draft
    }

    /// A query parameter. Blank counts as absent; of a repeated one the first counts, as in a page's address.
    pub(super) fn parameter(&mut self, name: &str, value: &str, limits: &PropertyLimits) {
        let Some(field) = Target::of_parameter(name).field() else {
            return;
        };
        if value.trim_start().is_empty() || !self.mark_seen(field) {
            return;
        }
        match field {
            Field::Stored(EventField::CustomProperties) => self.properties(value, limits),
            _ => self.scalar_text(field, value),
        }
    }

    /// Whether this is the field's first occurrence; a second one is recorded as the problem.
    pub(super) fn is_first(&mut self, field: Field) -> bool {
        let first = self.mark_seen(field);
        if !first {
            self.blame(Reject::invalid(field, "is there more than once"));
        }
        first
    }

    /// Records the first problem.
    pub(super) fn blame(&mut self, problem: Reject) {
        self.problem.get_or_insert(problem);
    }

    /// A field's value as JSON text whose syntax is valid.
    pub(super) fn json(&mut self, field: Field, json: &str, limits: &PropertyLimits) {
        if field == Field::Stored(EventField::CustomProperties) {
            return match json.starts_with('"') {
                true => self.blame(Reject::of(field, Problem::wrong_type("a string", "an object"))),
                false => self.properties(json, limits),
            };
        }
        match (rules::scalar(json), field.is_text()) {
            (Scalar::Null, _) => {}
            (Scalar::Text { text, mended }, _) => {
                if mended && let Field::Stored(stored) = field {
                    self.changes.record(stored, What::Replaced, &text, &text);
                }
                self.scalar_text(field, &text);
            }
            (Scalar::Number(text), _) | (Scalar::Flag(text), true) => self.scalar_text(field, text),
            (Scalar::Flag(_), false) => self.wrong_type(field, "a boolean"),
            (Scalar::Other(found), _) => self.wrong_type(field, found),
        }
    }

    /// The value of a field other than `custom_properties`: a JSON string without escapes, without its quotes.
    pub(super) fn text(&mut self, field: Field, text: &str) {
        self.scalar_text(field, text);
    }

    /// `custom_properties`, a JSON object, as it was sent and in the normal form.
    pub(super) fn object(&mut self, sent: &str, normal: Cow<'_, str>, limits: &PropertyLimits) {
        let ruled = rules::normal_properties(sent, normal, limits, &mut self.changes);
        self.keep_properties(ruled.map(Some));
    }

    /// The event, or its first problem.
    pub(super) fn finish(mut self) -> Result<Self, Reject> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.event.revenue = self.event.revenue.or(self.properties_revenue);
        Ok(self)
    }

    fn mark_seen(&mut self, field: Field) -> bool {
        let first = self.seen & field.bit() == 0;
        self.seen |= field.bit();
        first
    }

    fn scalar_text(&mut self, field: Field, text: &str) {
        match field {
            Field::SentAt => self.sent_at = self.kept(field, rules::time(text)).flatten(),
            Field::Stored(EventField::EventTimestamp) => {
                self.timestamp = self.kept(field, rules::time(text)).flatten();
            }
            Field::Stored(EventField::Revenue) => {
                self.event.revenue = self.kept(field, rules::amount(text)).flatten();
            }
            Field::Stored(stored) => {
                if let Some(slot) = stored.text_mut(&mut self.event)
                    && let Some(text) = rules::text(stored, text, &mut self.changes)
                {
                    slot.set(text.into_owned());
                }
            }
            Field::Group(_) => {}
        }
    }

    /// Applies the rules to a text that the event has already.
    fn rule_text(&mut self, field: EventField) {
        let Some(sent) = field
            .text(&self.event)
            .filter(|_| field.spec().field_type == FieldType::Text)
        else {
            return;
        };
        let ruled = match rules::text(field, sent, &mut self.changes) {
            Some(Cow::Borrowed(text)) if text.len() == sent.len() => return,
            ruled => ruled.map(Cow::into_owned),
        };
        match (field.text_mut(&mut self.event), ruled) {
            (Some(slot), Some(text)) => slot.set(text),
            (Some(slot), None) => slot.clear(),
            (None, _) => {}
        }
    }

    fn properties(&mut self, json: &str, limits: &PropertyLimits) {
        let ruled = rules::properties(json, limits, &mut self.changes);
        self.keep_properties(ruled);
    }

    fn keep_properties(&mut self, ruled: Result<Option<Properties<'_>>, Problem>) {
        if let Some(properties) = self.kept(EventField::CustomProperties.into(), ruled).flatten() {
            self.properties_revenue = properties.revenue;
            self.event.custom_properties = Some(properties.json.into_owned());
        }
    }

    /// The value, or its problem recorded.
    fn kept<T>(&mut self, field: Field, value: Result<T, Problem>) -> Option<T> {
        value.map_err(|problem| self.blame(Reject::of(field, problem))).ok()
    }

    fn wrong_type(&mut self, field: Field, found: &str) {
        let expected = match field {
            Field::SentAt | Field::Stored(EventField::EventTimestamp) => TIME,
            Field::Stored(EventField::Revenue) => AMOUNT,
            _ => "a string",
        };
        self.blame(Reject::of(field, Problem::wrong_type(found, expected)));
    }
}
