//! Session options of a server without sessions: there is one catalog and one schema.
//!
//! arrow-flight 59 has no types for these messages of Flight.proto.

use std::collections::HashMap;

use footfall_model::access::Principal;
use footfall_query::{CATALOG, Caller, SCHEMA};
use prost::{Enumeration, Message, Oneof};
use tonic::metadata::MetadataMap;

use crate::handle::Malformed;

/// A value of an option.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionValue {
    #[prost(oneof = "OptionContent", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<OptionContent>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum OptionContent {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    TextList(TextList),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TextList {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// `SetSessionOptionsRequest` and `GetSessionOptionsResult`, which have the same form.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Options {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// `SetSessionOptionsResult`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, OptionError>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct OptionError {
    #[prost(enumeration = "OptionErrorCode", tag = "1")]
    pub(crate) value: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(crate) enum OptionErrorCode {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// `CloseSessionResult`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Closed {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub(crate) status: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(crate) enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

/// The options, each with the only value that it can have.
const OPTIONS: [(&str, &str); 2] = [("catalog", CATALOG), ("schema", SCHEMA)];

/// Headers by which clients ask for a different session: JDBC and ODBC send every property of a connection that they do
/// not know. `timeZone` is the zone in which JDBC interprets `setTimestamp` and `getTimestamp`.
const HEADERS: [(&str, &[&str]); 7] = [
    (ROUTING, &["on", "off"]),
    (CACHE, &["on", "off"]),
    (SAMPLING, &["off", "auto"]),
    ("catalog", &[CATALOG]),
    ("database", &[CATALOG]),
    ("schema", &[SCHEMA]),
    ("timezone", &["UTC", "Etc/UTC", "GMT", "Z"]),
];

/// Whether aggregates over events may be answered from rollups: `off` reads events alone, for comparing.
const ROUTING: &str = "footfall.routing";

/// Whether results that are kept may be returned.
const CACHE: &str = "footfall.cache";

/// Whether a report over very many events may read a sample of the visitors.
const SAMPLING: &str = "footfall.sampling";

/// The caller, as the connection wants its statements answered.
pub(crate) fn caller(principal: &Principal, headers: &MetadataMap) -> Caller {
    let is_on = |option| headers.get(option).is_none_or(|value| value != "off");
    Caller::from(principal)
        .with_routing(is_on(ROUTING))
        .with_cache(is_on(CACHE))
        .with_sampling(headers.get(SAMPLING).is_some_and(|value| value == "auto"))
}

/// Checks that the headers ask for no other session than the only one.
///
/// # Errors
/// INVALID_ARGUMENT for another catalog, schema or time zone, or another value of an option.
pub(crate) fn check(headers: &MetadataMap) -> Result<(), Malformed> {
    for (name, values) in HEADERS {
        for value in headers.get_all(name) {
            let asked = value.to_str().unwrap_or("(not text)");
            if !values.contains(&asked) {
                return Err(Malformed(format!(
                    "the connection asks for {name} {asked:?}, but there is only {}; leave the property out",
                    values.join(", ")
                )));
            }
        }
    }
    Ok(())
}

/// Answers `SetSessionOptions`: only the values that every session has are accepted.
pub(crate) fn set(body: &[u8]) -> Result<SetOptionsResult, Malformed> {
    let request = Options::decode(body).map_err(|error| Malformed(format!("not session options: {error}")))?;
    let mut errors = HashMap::new();
    for (name, value) in request.options {
        let only = OPTIONS.iter().find(|(known, _)| *known == name);
        let reason = match (only, value.value) {
            (None, _) => OptionErrorCode::InvalidName,
            (Some((_, only)), Some(OptionContent::Text(text))) if text == *only => continue,
            (Some(_), None) => continue, // unset: back to the only one
            _ => OptionErrorCode::InvalidValue,
        };
        errors.insert(name, OptionError { value: reason.into() });
    }
    Ok(SetOptionsResult { errors })
}

/// Answers `GetSessionOptions`.
pub(crate) fn get() -> Options {
    let text = |text: &str| OptionValue {
        value: Some(OptionContent::Text(text.to_owned())),
    };
    Options {
        options: OPTIONS.map(|(name, only)| (name.to_owned(), text(only))).into(),
    }
}

/// Answers `CloseSession`: there is nothing to close.
pub(crate) fn close() -> Closed {
    Closed {
        status: CloseStatus::Closed.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_options_accept_only_defaults() {
        let text = |value: &str| Some(OptionContent::Text(value.into()));
        let cases = [
            ("catalog", text("footfall"), None),
            ("schema", text("public"), None),
            ("schema", None, None),
            ("catalog", text("other"), Some(OptionErrorCode::InvalidValue)),
            (
                "schema",
                Some(OptionContent::Integer(1)),
                Some(OptionErrorCode::InvalidValue),
            ),
            ("timezone", text("UTC"), Some(OptionErrorCode::InvalidName)),
        ];
        for (name, value, refused) in cases {
            let options = HashMap::from([(name.to_owned(), OptionValue { value })]);
            let reply = set(&Options { options }.encode_to_vec()).unwrap();
            let reason = reply.errors.get(name).map(super::OptionError::value);
            assert_eq!(reason, refused, "{name}");
        }
        assert!(set(b"\xff\xff").is_err());
    }

    #[test]
    fn session_options_round_trip() {
        let got = get();
        assert_eq!(set(&got.encode_to_vec()).unwrap(), SetOptionsResult::default());
        assert_eq!(got.options.len(), 2);
    }

    #[test]
    fn other_session_headers_are_refused() {
        for (name, value, fits) in [
            ("database", "footfall", true),
            ("catalog", "footfall", true),
            ("schema", "public", true),
            ("timezone", "UTC", true),
            ("database", "other", false),
            ("database", "", false),
            ("catalog", "other", false),
            ("schema", "information_schema", false),
            ("timezone", "Asia/Kathmandu", false),
            ("footfall.routing", "off", true),
            ("footfall.routing", "on", true),
            ("footfall.routing", "maybe", false),
            ("footfall.cache", "off", true),
            ("footfall.cache", "false", false),
            ("footfall.sampling", "auto", true),
            ("footfall.sampling", "on", false),
            ("x-anything", "else", true),
        ] {
            let mut headers = MetadataMap::new();
            headers.insert(name, value.parse().unwrap());
            let checked = check(&headers);
            assert_eq!(checked.is_ok(), fits, "{name}: {value}");
            if let Err(Malformed(text)) = checked {
                assert!(text.contains(name) && text.contains("there is only"), "{text}");
            }
        }
        let mut twice = MetadataMap::new();
        twice.append("database", "footfall".parse().unwrap());
        twice.append("database", "other".parse().unwrap());
        assert!(check(&twice).is_err());
    }
}
