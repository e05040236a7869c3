//! Sessions, as far as a server without any can have them: there is one catalog and one schema to be in.
//!
//! arrow-flight 59 has no types for these messages of Flight.proto.

use std::collections::HashMap;

use prost::{Enumeration, Message, Oneof};

use crate::handle::Malformed;

/// A value of an option.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// `SetSessionOptionsRequest` and `GetSessionOptionsResult`, which look the same.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Options {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// `SetSessionOptionsResult`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Refusals {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, Refusal>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Refusal {
    #[prost(enumeration = "Reason", tag = "1")]
    pub(crate) value: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(crate) enum Reason {
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

/// Where names without a catalog or a schema are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) catalog: String,
    pub(crate) schema: String,
}

/// Answers `SetSessionOptions`: the place that everybody is in may be set, nothing else.
pub(crate) fn set(body: &[u8], index: &Place) -> Result<Refusals, Malformed> {
    let request = Options::decode(body).map_err(|error| Malformed(format!("not session options: {error}")))?;
    let mut errors = HashMap::new();
    for (name, value) in request.options {
        let only = match name.as_str() {
            "catalog" => Some(&index.catalog),
            "schema" => Some(&index.schema),
            _ => None,
        };
        let reason = match (only, value.value) {
            (None, _) => Reason::InvalidName,
            (Some(only), Some(Value::Text(text))) if text == *only => continue,
            (Some(_), None) => continue, // unset: back to the only one
            _ => Reason::InvalidValue,
        };
        errors.insert(name, Refusal { value: reason.into() });
    }
    Ok(Refusals { errors })
}

/// Answers `GetSessionOptions`.
pub(crate) fn get(index: &Place) -> Options {
    let text = |text: &str| OptionValue {
        value: Some(Value::Text(text.to_owned())),
    };
    let options = [("catalog", text(&index.catalog)), ("schema", text(&index.schema))];
    Options {
        options: options.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// Answers `CloseSession`: nothing was kept.
pub(crate) fn close() -> Closed {
    Closed {
        status: CloseStatus::Closed.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Place {
        Place {
            catalog: "footfall".into(),
            schema: "public".into(),
        }
    }

    #[test]
    fn only_the_place_that_everybody_is_in_can_be_set() {
        let text = |value: &str| Some(Value::Text(value.into()));
        let cases = [
            ("catalog", text("footfall"), None),
            ("schema", text("public"), None),
            ("schema", None, None),
            ("catalog", text("other"), Some(Reason::InvalidValue)),
            ("schema", Some(Value::Integer(1)), Some(Reason::InvalidValue)),
            ("timezone", text("UTC"), Some(Reason::InvalidName)),
        ];
        for (name, value, refused) in cases {
            let options = HashMap::from([(name.to_owned(), OptionValue { value })]);
            let reply = set(&Options { options }.encode_to_vec(), &index()).unwrap();
            let reason = reply.errors.get(name).map(super::Refusal::value);
            assert_eq!(reason, refused, "{name}");
        }
        assert!(set(b"\xff\xff", &index()).is_err());
    }

    #[test]
    fn what_is_set_is_what_is_got() {
        let got = get(&index());
        assert_eq!(set(&got.encode_to_vec(), &index()).unwrap(), Refusals::default());
        assert_eq!(got.options.len(), 2);
    }
}
