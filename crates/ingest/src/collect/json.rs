//! The JSON form of events: `{tracking_id, client_id, event_type, page: {url, ...}, ...}`, one or an array.
//!
//! Parsed from the body directly into the event, without a tree: each field's value is a slice of the body, which the
//! rules make a value of. A value of the wrong type is not a parse error but a [`Draft`]'s problem, so that the reply
//! can name the field. Unknown fields are ignored.
//!
//! Nearly all bodies are read by [`well_formed`] alone. The parser here is for the rest, of which the reply must say what
//! is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::draft::Draft;
use super::field::{Field, Group, Target};
use super::options::CollectOptions;
use super::reject::Reject;
use super::well_formed;
use crate::rules::{Problem, PropertyLimits, Scalar, kind, scalar};

/// Why a body as a whole could not be parsed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JsonError {
    #[error("the body is empty; expected an event (a JSON object) or an array of events")]
    Empty,
    #[error("the body is not UTF-8: byte {0} is wrong")]
    NotUtf8(usize),
    #[error("malformed JSON: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the body is {0}; expected an event (a JSON object) or an array of events")]
    NotAnEvent(&'static str),
    #[error("the array is empty; expected at least one event")]
    NoEvents,
    #[error("the array has {found} events; at most {limit} are taken at once: send them in several requests")]
    TooMany { found: usize, limit: usize },
}

/// Parses a body: one event, or an array of them, each with its own result. A byte order mark is skipped.
pub(super) fn parse(body: &[u8], options: &CollectOptions) -> Result<Vec<Result<Draft, Reject>>, JsonError> {
    let text = std::str::from_utf8(body).map_err(|error| JsonError::NotUtf8(error.valid_up_to()))?;
    let text = text.trim_start_matches('\u{feff}').trim_ascii();
    match well_formed::events(text, options) {
        Some(drafts) => Ok(drafts.into_iter().map(Ok).collect()),
        None => parse_any(text, options),
    }
}

/// Parses a body without white space around it.
fn parse_any(text: &str, options: &CollectOptions) -> Result<Vec<Result<Draft, Reject>>, JsonError> {
    match text.as_bytes().first() {
        None => Err(JsonError::Empty),
        Some(b'{') if text.len() > options.event_bytes => {
            // Still parsed, so that malformed JSON is reported as such.
            serde_json::from_str::<IgnoredAny>(text)?;
            Ok(vec![Err(Reject::too_big(text.len(), options.event_bytes))])
        }
        Some(b'{') => Ok(vec![Ok(parse_event(text, &options.properties)?)]),
        Some(b'[') => {
            let mut json = serde_json::Deserializer::from_str(text);
            let elements = Elements {
                limit: options.batch_events,
            }
            .deserialize(&mut json)?;
            json.end()?;
            match elements.found {
                0 => return Err(JsonError::NoEvents),
                found if found > options.batch_events => {
                    return Err(JsonError::TooMany {
                        found,
                        limit: options.batch_events,
                    });
                }
                _ => {}
            }
            Ok(elements
                .first
                .iter()
                .map(|element| parse_element(element.get(), options))
                .collect())
        }
        Some(_) => {
            serde_json::from_str::<IgnoredAny>(text)?;
            Err(JsonError::NotAnEvent(kind(text)))
        }
    }
}

fn parse_element(json: &str, options: &CollectOptions) -> Result<Draft, Reject> {
    if !json.starts_with('{') {
        let problem = Problem::wrong_type(kind(json), "an event (a JSON object)");
        return Err(Reject::of(Field::EVENT, problem));
    }
    if json.len() > options.event_bytes {
        return Err(Reject::too_big(json.len(), options.event_bytes));
    }
    // The syntax is known to be valid; a number out of range in place of a group can still fail.
    parse_event(json, &options.properties)
        .map_err(|error| Reject::invalid(Field::EVENT, format!("cannot be read: {error}")))
}

fn parse_event(json: &str, limits: &PropertyLimits) -> Result<Draft, serde_json::Error> {
    let mut draft = Draft::default();
    let mut reader = serde_json::Deserializer::from_str(json);
    let group = GroupReader {
        group: Group::Top,
        draft: &mut draft,
        limits,
    };
    group.deserialize(&mut reader)?;
    reader.end()?;
    Ok(draft)
}

/// Parses one object of an event into its fields.
struct GroupReader<'d> {
    group: Group,
    draft: &'d mut Draft,
    limits: &'d PropertyLimits,
}

impl GroupReader<'_> {
    fn wrong<E>(self, found: &str) -> Result<(), E> {
        let problem = Problem::wrong_type(found, "an object");
        self.draft.blame(Reject::of(Field::Group(self.group), problem));
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for GroupReader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for GroupReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Raw, because the parser refuses a key with half of a surrogate pair, and with it the body.
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let target = target(self.group, key.get());
            let known = target.field().is_some_and(|field| self.draft.is_first(field));
            match target {
                Target::Value(field) if known => {
                    let value = map.next_value::<&'de RawValue>()?;
                    self.draft.json(field, value.get(), self.limits);
                }
                Target::Group(group) if known => map.next_value_seed(GroupReader {
                    group,
                    draft: &mut *self.draft,
                    limits: self.limits,
                })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.wrong("a string")
    }

    /// `null` is the same as absent.
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.wrong("a boolean")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.wrong("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.wrong("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.wrong("a number")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        self.wrong("an array")
    }
}

/// What a key means, as JSON text with its quotes.
fn target(group: Group, key: &str) -> Target {
    match scalar(key) {
        Scalar::Text { text, .. } => Target::of(group, &text),
        _ => Target::Unknown,
    }
}

/// The first elements of an array as raw text; those beyond the limit are only counted.
struct Elements {
    limit: usize,
}

struct Found<'de> {
    first: Vec<&'de RawValue>,
    found: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Found<'de>, A::Error> {
        let mut first = Vec::new();
        while first.len() < self.limit {
            match elements.next_element::<&'de RawValue>()? {
                Some(element) => first.push(element),
                None => break,
            }
        }
        let mut found = first.len();
        while elements.next_element::<IgnoredAny>()?.is_some() {
            found += 1;
        }
        Ok(Found { first, found })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Objects with fields of all kinds, in groups and outside, some of them twice, malformed or of the wrong type.
    fn event() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "tracking_id",
            "client_id",
            "event_type",
            "user_id",
            "messageId",
            "timestamp",
            "sent_at",
            "revenue",
            "custom_properties",
            "page",
            "user",
            "utm",
            "url",
            "title",
            "country",
            "source",
            "is_bot",
            "other",
            "\\u0061",
        ]);
        let leaf = prop_oneof![
            r#""[a-z/ü😀 ]{0,12}""#,
            r#""(x|\\u00fc|\\ud83d|\\u0000|\\/|\\n){0,3}""#,
            r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,2})?",
            Just("\"2026-01-02T03:04:05Z\"".to_owned()),
            prop::sample::select(vec!["true", "null", "nul", "01", "[1,{}]", "{}", "\"\u{1}\"", ""])
                .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(2, 12, 5, move |inner| {
            let entry =
                (key.clone(), " ?", inner).prop_map(|(key, space, value)| format!("\"{key}\"{space}:{space}{value}"));
            prop::collection::vec(entry, 0..5).prop_map(|entries| format!("{{{}}}", entries.join(",")))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn well_formed_body_is_read_as_any(events in prop::collection::vec(event(), 0..4), alone: bool, tail in "|,|]| |x") {
            let body = match events.first() {
                Some(event) if alone => format!("{event}{tail}"),
                _ => format!("[{}]{tail}", events.join(", ")),
            };
            let options = CollectOptions { event_bytes: 150, batch_events: 2, ..CollectOptions::default() };
            let body = body.trim_ascii();
            if let Some(drafts) = well_formed::events(body, &options) {
                let drafts: Vec<Result<Draft, Reject>> = drafts.into_iter().map(Ok).collect();
                prop_assert_eq!(format!("{:?}", drafts), format!("{:?}", parse_any(body, &options).unwrap()), "{}", body);
            }
        }
    }

    #[test]
    fn usual_body_is_well_formed() {
        let options = CollectOptions::default();
        for body in [
            r#"{"tracking_id":"s","client_id":"c","event_type":"pageview"}"#,
            r#"[ {"event_type":"a","page":{"url":"https://x.example/ü","title":null},"user":null,"utm":{}} , {"other":[{"a":1.5e3}]} ]"#,
            r#"[{"timestamp":1760000000000,"custom_properties":{"a":"\u00fc","b":[1]},"page":{"title":"a \"b\""}}]"#,
        ] {
            assert!(well_formed::events(body, &options).is_some(), "{body}");
        }
    }
}
