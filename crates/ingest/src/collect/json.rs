//! The JSON form of events: `{tracking_id, client_id, event_type, page: {url, ...}, ...}`, one or an array.
//!
//! Parsed from the body directly into the event, without a tree. A value of the wrong type is not a parse error but a
//! [`Draft`]'s problem, so that the reply can name the field. Unknown fields are ignored.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::draft::{Draft, kind, wrong_type};
use super::elements;
use super::field::{Field, Group, Target};
use super::options::{CollectOptions, PropertyLimits};
use super::reject::Reject;

/// Why a body as a whole could not be parsed.
#[derive(Debug, thiserror::Error)]
pub(super) enum JsonError {
    #[error("the body is empty; expected an event (a JSON object) or an array of events")]
    Empty,
    #[error("the body is not UTF-8: byte {0} is wrong")]
    NotUtf8(usize),
    #[error("the body begins with a byte order mark; send UTF-8 without one")]
    ByteOrderMark,
    #[error("malformed JSON: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the body is {0}; expected an event (a JSON object) or an array of events")]
    NotAnEvent(&'static str),
    #[error("the array is empty; expected at least one event")]
    NoEvents,
    #[error("the array has {found} events; at most {limit} are taken at once: send them in several requests")]
    TooMany { found: usize, limit: usize },
}

/// Parses a body: one event, or an array of them, each with its own result.
pub(super) fn parse(body: &[u8], options: &CollectOptions) -> Result<Vec<Result<Draft, Reject>>, JsonError> {
    let text = std::str::from_utf8(body).map_err(|error| JsonError::NotUtf8(error.valid_up_to()))?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let text = text.trim_ascii();
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
        return Err(wrong_type(Field::EVENT, "an event (a JSON object)", kind(json)));
    }
    if json.len() > options.event_bytes {
        return Err(Reject::too_big(json.len(), options.event_bytes));
    }
    // The syntax is known to be valid; a lone surrogate or a number out of range can still fail.
    parse_event(json, &options.properties)
        .map_err(|error| Reject::invalid(Field::EVENT, format!("cannot be read: {error}")))
}

fn parse_event(json: &str, limits: &PropertyLimits) -> Result<Draft, serde_json::Error> {
    let mut draft = Draft::default();
    let mut reader = serde_json::Deserializer::from_str(json);
    let node = Node {
        target: Target::Group(Group::Top),
        draft: &mut draft,
        limits,
    };
    node.deserialize(&mut reader)?;
    reader.end()?;
    Ok(draft)
}

/// Parses one value of an event into its field.
struct Node<'d> {
    target: Target,
    draft: &'d mut Draft,
    limits: &'d PropertyLimits,
}

impl Node<'_> {
    fn wrong<E>(self, found: &str) -> Result<(), E> {
        match self.target {
            Target::Group(group) => self.draft.blame(wrong_type(Field::Group(group), "an object", found)),
            Target::Text(field) => self.draft.blame(wrong_type(field.into(), "a string", found)),
            Target::Raw(_) | Target::Unknown => {}
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let Target::Text(field) = self.target else {
            return self.wrong("a string");
        };
        self.draft.text(field, value);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Target::Group(group) = self.target else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.wrong("an object");
        };
        while let Some(target) = map.next_key_seed(Key(group))? {
            let known = target.field().is_some_and(|field| self.draft.is_first(field));
            match target {
                Target::Raw(field) if known => {
                    let value = map.next_value::<&'de RawValue>()?;
                    self.draft.raw(field, value.get(), self.limits);
                }
                Target::Group(_) | Target::Text(_) if known => map.next_value_seed(Node {
                    target,
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

/// A key of an object, resolved without a copy.
struct Key(Group);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Target;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Target, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Target, E> {
        Ok(Target::of(self.0, key))
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
