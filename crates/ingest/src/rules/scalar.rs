//! JSON values that should be a text or a number.

use std::borrow::Cow;

use footfall_model::json;

/// A JSON value by what can be made of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    Null,
    /// A string. `mended`: NUL or halves of surrogate pairs became U+FFFD.
    Text {
        text: Cow<'a, str>,
        mended: bool,
    },
    /// The digits as sent.
    Number(&'a str),
    /// `true` or `false`.
    Flag(&'a str),
    /// Something else, in words.
    Other(&'static str),
}

/// Reads a JSON value whose syntax is known to be valid.
pub(crate) fn scalar(json: &str) -> Scalar<'_> {
    match json.as_bytes().first() {
        Some(b'"') => string(json).unwrap_or(Scalar::Other("a string with a broken escape")),
        Some(b'-' | b'0'..=b'9') => Scalar::Number(json),
        Some(b't' | b'f') => Scalar::Flag(json),
        Some(b'n') => Scalar::Null,
        _ => Scalar::Other(kind(json)),
    }
}

fn string(json: &str) -> Option<Scalar<'_>> {
    let inside = json.get(1..json.len().checked_sub(1)?)?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Scalar::Text {
            text: Cow::Borrowed(inside),
            mended: false,
        });
    }
    let parse = |json: &str| serde_json::from_str::<String>(json).ok();
    if let Some(text) = parse(json) {
        return Some(Scalar::Text {
            text: text.into(),
            mended: false,
        });
    }
    // Half of a surrogate pair, which the parser refuses.
    let text = parse(&json::normalize(json).ok()?)?;
    Some(Scalar::Text {
        text: text.into(),
        mended: true,
    })
}

/// The kind of a JSON value, in words.
pub(crate) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
