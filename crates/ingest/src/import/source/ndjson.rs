//! NDJSON: an event a line, in the form of the HTTP API or flat, with the columns' names as keys. No tree is built: each
//! value is read from the line as it is written there.

use std::collections::BTreeSet;
use std::fmt;

use arrow::error::ArrowError;
use footfall_model::field::{EventField, FieldType};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rows::{Rows, TextRows, rejection};
use super::text::{LINE_BYTES, Line, TextBuffer};
use super::{OpenError, RowReader};
use crate::import::names::{Group, Name};
use crate::import::report::Rejection;
use crate::rules::{Problem, Scalar, What, kind, scalar};

/// Names that are kept until they are reported.
const NAMES: usize = 50;

pub(super) fn open(text: TextBuffer) -> Result<Box<dyn RowReader>, OpenError> {
    Ok(Box::new(Ndjson {
        text,
        ignored: BTreeSet::new(),
    }))
}

struct Ndjson {
    text: TextBuffer,
    ignored: BTreeSet<String>,
}

impl RowReader for Ndjson {
    fn next_rows(&mut self) -> Option<Result<Rows, ArrowError>> {
        let mut rows = TextRows::default();
        while !rows.is_full() {
            match self.text.line() {
                Err(error) => return Some(Err(error.into())),
                Ok(None) => break,
                Ok(Some(Line::Text(line))) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(Some(Line::Text(line))) => read_line(line, &mut rows, &mut self.ignored),
                Ok(Some(Line::TooLong)) => {
                    rows.reject(Rejection::new(format!("the line is longer than {LINE_BYTES} bytes")))
                }
            }
            rows.end_row();
        }
        (!rows.is_empty()).then(|| Ok(rows.finish()))
    }

    fn take_ignored(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.ignored)
    }
}

fn read_line(line: &[u8], rows: &mut TextRows, ignored: &mut BTreeSet<String>) {
    let Ok(line) = std::str::from_utf8(line) else {
        return rows.reject(Rejection::new("the line is not UTF-8"));
    };
    let line = line.trim_ascii();
    let mut values = Values {
        of_fields: [None; EventField::ALL.len()],
        problem: None,
        ignored,
    };
    match values.read(line, None) {
        Err(error) => rows.reject(Rejection {
            reason: "the line is not valid JSON".into(),
            detail: error.to_string(),
        }),
        Ok(()) => match values.problem {
            Some(rejection) => rows.reject(rejection),
            None => set_values(&values.of_fields, rows),
        },
    }
}

fn set_values(values: &[Option<(u8, &str)>], rows: &mut TextRows) {
    for (field, value) in EventField::ALL.iter().zip(values) {
        if let Some((_, json)) = value
            && let Err(problem) = set_value(*field, json, rows)
        {
            return rows.reject(rejection(*field, &problem));
        }
    }
}

/// Gives a field its text.
fn set_value(field: EventField, json: &str, rows: &mut TextRows) -> Result<(), Problem> {
    let field_type = field.spec().field_type;
    if field_type == FieldType::Json && !json.starts_with(['"', 'n']) {
        rows.set(field, json);
        return Ok(());
    }
    let wrong = |found: &str| {
        let expected = match field_type {
            FieldType::Time => crate::rules::TIME,
            FieldType::Amount => crate::rules::AMOUNT,
            FieldType::Flag => "true or false",
            _ => "a string",
        };
        Err(Problem::wrong_type(found, expected))
    };
    match scalar(json) {
        Scalar::Null => {}
        Scalar::Text { text, mended } => {
            if mended {
                rows.changes.record(field, What::Replaced, &text, &text);
            }
            rows.set(field, &text);
        }
        Scalar::Number(text) => rows.set(field, text),
        Scalar::Flag(_) if matches!(field_type, FieldType::Time | FieldType::Amount) => return wrong("a boolean"),
        Scalar::Flag(text) => rows.set(field, text),
        Scalar::Other(found) => return wrong(found),
    }
    Ok(())
}

/// The values of a line.
struct Values<'de, 'i> {
    /// By [`EventField`]: the rank of the name, and the JSON text.
    of_fields: [Option<(u8, &'de str)>; EventField::ALL.len()],
    problem: Option<Rejection>,
    ignored: &'i mut BTreeSet<String>,
}

impl<'de> Values<'de, '_> {
    /// Reads the keys and values of an object: the event, or one of its groups.
    fn read(&mut self, json: &'de str, group: Option<Group>) -> Result<(), serde_json::Error> {
        if !json.starts_with('{') {
            serde_json::from_str::<IgnoredAny>(json)?;
            let reason = match group {
                None => "the line is not a JSON object".to_owned(),
                Some(group) => format!("{} is {}; expected an object", group.name(), kind(json)),
            };
            self.problem.get_or_insert_with(|| Rejection::new(reason));
            return Ok(());
        }
        let mut reader = serde_json::Deserializer::from_str(json);
        reader.deserialize_map(Keys { values: self, group })?;
        reader.end()
    }

    fn give(&mut self, field: EventField, rank: u8, json: &'de str) {
        let Some(value) = self.of_fields.get_mut(field as usize) else {
            return;
        };
        match value {
            Some((known, _)) if *known < rank => {}
            Some((known, _)) if *known == rank => {
                let reason = format!("{} is there more than once", field.name());
                self.problem.get_or_insert_with(|| Rejection::new(reason));
            }
            _ => *value = Some((rank, json)),
        }
    }

    fn ignore(&mut self, group: Option<Group>, key: &str) {
        if self.ignored.len() < NAMES {
            self.ignored.insert(match group {
                None => key.to_owned(),
                Some(group) => format!("{}.{key}", group.name()),
            });
        }
    }
}

/// Visits an object.
struct Keys<'v, 'de, 'i> {
    values: &'v mut Values<'de, 'i>,
    group: Option<Group>,
}

impl<'de> Visitor<'de> for Keys<'_, 'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Raw, because the parser refuses a key with half of a surrogate pair, and with it the line.
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            let Scalar::Text { text: key, .. } = scalar(key.get()) else {
                continue;
            };
            let name = match self.group {
                None => Name::of_key(&key),
                Some(group) => Name::in_group(group, &key),
            };
            match name {
                Name::Field { field, rank } => self.values.give(field, rank, value),
                // `null` is the same as absent.
                Name::Group(_) if value == "null" => {}
                // The syntax is known to be valid.
                Name::Group(group) => self.values.read(value, Some(group)).map_err(serde::de::Error::custom)?,
                Name::Unused => {}
                Name::Unknown => self.values.ignore(self.group, &key),
            }
        }
        Ok(())
    }
}
