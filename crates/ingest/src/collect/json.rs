//! The JSON form of events: `{tracking_id, client_id, event_type, page: {url, ...}, ...}`, one or an array.
//!
//! Parsed from the body directly into the event, without a tree: each field's value is a slice of the body, which the
//! rules make a value of. A value of the wrong type is not a parse error but a [`Draft`]'s problem, so that the reply
//! can name the field. Unknown fields are ignored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::draft::Draft;
use super::elements;
use super::field::{Field, Group, Target};
use super::options::CollectOptions;
use super::reject::Reject;
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
    match text.as_bytes().first() {
        None => Err(JsonError::Empty),
        Some(b'{') if text.len() > options.event_bytes => {
            // Still parsed, so that malformed JSON is reported as such.
            serde_json::from_str::<IgnoredAny>(text)?;
            Ok(vec![Err(Reject::too_big(text.len(), options.event_bytes))])
        }
        Some(b'{') => Ok(vec![Ok(parse_event(text, &options.properties)?)]),
        Some(b'[') => {
            if let Some(drafts) = parse_objects(text, options) {
                return Ok(drafts);
            }
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

/// The fast path of nearly all bodies: only objects, each well-formed and not too big. For anything else it returns
/// `None`, and the slow path finds out what is wrong.
fn parse_objects(array: &str, options: &CollectOptions) -> Option<Vec<Result<Draft, Reject>>> {
    let objects = elements::objects(array, options.batch_events)?;
    let drafts = objects.into_iter().map(|object| {
        let fits = object.len() <= options.event_bytes;
        let draft = fits.then(|| parse_event(object, &options.properties).ok())?;
        draft.map(Ok)
    });
    drafts.collect()
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
