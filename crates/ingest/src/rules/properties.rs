//! `custom_properties`: their normal form, their limits and the `revenue` in them. No tree is built.

use std::borrow::Cow;

use footfall_model::field::EventField;
use footfall_model::json;

use super::changes::{Changes, What};
use super::scalar::{Scalar, kind, scalar};
use super::{Problem, amount};

/// Limits of `custom_properties`, which also counts towards the size of the event.
#[derive(Debug, Clone)]
pub struct PropertyLimits {
    /// Nesting of objects and arrays; `{"a": 1}` has depth 1.
    pub depth: usize,
    /// Keys on all levels in total.
    pub keys: usize,
}

impl Default for PropertyLimits {
    fn default() -> Self {
        Self { depth: 8, keys: 256 }
    }
}

/// The properties of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Properties<'a> {
    /// In the normal form of [`json::normalize`].
    pub(crate) json: Cow<'a, str>,
    /// Their `revenue` in units of 1/10,000, if it is an amount.
    pub(crate) revenue: Option<i64>,
}

/// The properties in a JSON text; `None`: it is blank or `null`. A `revenue` that is no amount stays a property like
/// any other.
pub(crate) fn properties<'a>(
    text: &'a str,
    limits: &PropertyLimits,
    changes: &mut Changes,
) -> Result<Option<Properties<'a>>, Problem> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let json = json::normalize(text).map_err(|error| match scan(text, limits) {
        Err(PropertyError::TooDeep) => too_deep(limits),
        _ => Problem::new(format!("malformed JSON: {error}")).expected("a JSON object"),
    })?;
    if json == "null" {
        return Ok(None);
    }
    if !json.starts_with('{') {
        return Err(Problem::wrong_type(kind(&json), "an object"));
    }
    normal_properties(text, json, limits, changes).map(Some)
}

/// The properties in a JSON object, of which `json` is the normal form.
pub(crate) fn normal_properties<'a>(
    text: &str,
    json: Cow<'a, str>,
    limits: &PropertyLimits,
    changes: &mut Changes,
) -> Result<Properties<'a>, Problem> {
    let revenue = scan(&json, limits).map_err(|error| match error {
        PropertyError::TooDeep => too_deep(limits),
        PropertyError::TooManyKeys => {
            Problem::new("has too many keys").expected(format!("at most {} keys on all levels together", limits.keys))
        }
    })?;
    let revenue = revenue.and_then(|revenue| amount_in(revenue, changes));
    if is_mended(text, &json) {
        changes.record(EventField::CustomProperties, What::Replaced, text, &json);
    }
    Ok(Properties { json, revenue })
}

fn too_deep(limits: &PropertyLimits) -> Problem {
    Problem::new("is nested too deep").expected(format!("at most {} levels", limits.depth))
}

fn amount_in(json: &str, changes: &mut Changes) -> Option<i64> {
    let amount = match scalar(json) {
        Scalar::Null => Ok(None),
        Scalar::Text { text, .. } => amount::amount(&text),
        Scalar::Number(text) => amount::amount(text),
        Scalar::Flag(_) | Scalar::Other(_) => Err(Problem::new("is no amount")),
    };
    amount.unwrap_or_else(|_| {
        changes.record(EventField::Revenue, What::Ignored, json, "");
        None
    })
}

/// Whether the normal form has replaced characters that the text did not have.
fn is_mended(text: &str, normal: &str) -> bool {
    let sent = || text.matches('\u{fffd}').count() + text.to_ascii_lowercase().matches("\\ufffd").count();
    normal.contains('\u{fffd}') && normal.matches('\u{fffd}').count() > sent()
}

/// Why the properties were rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PropertyError {
    TooDeep,
    TooManyKeys,
}

/// Scans a JSON object whose syntax is known to be valid. Returns the text of its top-level `revenue`, if any; the last
/// one if there are several.
fn scan<'a>(json: &'a str, limits: &PropertyLimits) -> Result<Option<&'a str>, PropertyError> {
    let bytes = json.as_bytes();
    let (mut depth, mut keys, mut at) = (0, 0, 0);
    // The last string on the first level, and the offset of the value of `revenue`.
    let (mut last_string, mut value_start): (&[u8], Option<usize>) = (&[], None);
    let mut revenue = None;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let start = at;
                at = string_end(bytes, at);
                if depth == 1 {
                    last_string = bytes.get(start..at - 1).unwrap_or_default();
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > limits.depth {
                    return Err(PropertyError::TooDeep);
                }
            }
            // Outside strings, each colon marks one key.
            b':' => {
                keys += 1;
                if keys > limits.keys {
                    return Err(PropertyError::TooManyKeys);
                }
                if depth == 1 && last_string == b"revenue" {
                    value_start = Some(at);
                }
            }
            b',' | b'}' | b']' => {
                if depth == 1
                    && let Some(start) = value_start.take()
                {
                    revenue = json.get(start..at - 1).map(str::trim);
                }
                if byte != b',' {
                    depth = usize::saturating_sub(depth, 1);
                }
            }
            _ => {}
        }
    }
    Ok(revenue)
}

/// The offset after the quote that closes the string whose text begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            _ => at += 2,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_default(json: &str) -> Result<Option<&str>, PropertyError> {
        scan(json, &PropertyLimits { depth: 3, keys: 4 })
    }

    #[test]
    fn revenue_only_at_top_level() {
        for (json, revenue) in [
            (r#"{}"#, None),
            (r#"{"revenue":9.5}"#, Some("9.5")),
            (r#"{ "a":1, "revenue" : "12.00" , "b":2 }"#, Some(r#""12.00""#)),
            (r#"{"a":{"revenue":1},"b":["revenue",2]}"#, None),
            (r#"{"a":"revenue","b":3}"#, None),
            (r#"{"a":"\"revenue\":4"}"#, None),
            (r#"{"revenue":{"x":[1,2]},"b":1}"#, Some(r#"{"x":[1,2]}"#)),
            (r#"{"revenue":1,"revenue":2}"#, Some("2")),
        ] {
            assert_eq!(scan_default(json), Ok(revenue), "{json}");
        }
    }

    #[test]
    fn depth_and_keys_ignore_strings() {
        assert_eq!(scan_default(r#"{"a":[{"b":"[[[{{{::::"}]}"#), Ok(None));
        assert_eq!(scan_default(r#"{"a":[[[1]]]}"#), Err(PropertyError::TooDeep));
        assert_eq!(scan_default(r#"{"a":1,"b":{"c":1,"d":2}}"#), Ok(None));
        assert_eq!(
            scan_default(r#"{"a":1,"b":{"c":1,"d":2,"e":3}}"#),
            Err(PropertyError::TooManyKeys)
        );
    }

    /// Text, revenue, and what was changed of which path.
    type Ruled = (String, Option<i64>, Vec<(&'static str, What)>);

    fn ruled(text: &str) -> Result<Ruled, String> {
        let mut changes = Changes::default();
        match properties(text, &PropertyLimits { depth: 3, keys: 4 }, &mut changes) {
            Ok(Some(Properties { json, revenue })) => {
                let changes = changes.iter().map(|change| (change.path(), change.what)).collect();
                Ok((json.into_owned(), revenue, changes))
            }
            Ok(None) => Err("absent".into()),
            Err(problem) => Err(problem.reason.into_owned()),
        }
    }

    #[test]
    fn properties_are_stored_in_normal_form() {
        let (json, revenue, changes) = ruled(r#" { "b" : 1.10, "\u0061" : "\u00fc\/" } "#).unwrap();
        assert_eq!(
            (json.as_str(), revenue, changes),
            (r#"{"b":1.10,"a":"ü/"}"#, None, vec![])
        );
        assert_eq!(ruled(r#"{"\u0072evenue":"2.5"}"#).unwrap().1, Some(25_000));
    }

    #[test]
    fn revenue_that_is_no_amount_stays_a_property() {
        const IGNORED: &[(&str, What)] = &[("custom_properties.revenue", What::Ignored)];
        for (json, expected) in [
            (r#"{"revenue":"high"}"#, IGNORED),
            (r#"{"revenue":true}"#, IGNORED),
            (r#"{"revenue":{"a":1}}"#, IGNORED),
            (r#"{"revenue":[5]}"#, IGNORED),
            (r#"{"revenue":1e400}"#, IGNORED),
            (r#"{"revenue":"12,50"}"#, IGNORED),
            (r#"{"revenue":""}"#, &[]),
            (r#"{"revenue":" "}"#, &[]),
            (r#"{"revenue":null}"#, &[]),
        ] {
            let (stored, revenue, changes) = ruled(json).unwrap();
            assert_eq!((stored.as_str(), revenue, changes.as_slice()), (json, None, expected));
        }
    }

    #[test]
    fn characters_that_no_text_holds_are_replaced() {
        for (sent, stored) in [
            (r#"{"a":"x\u0000"}"#, "{\"a\":\"x\u{fffd}\"}"),
            (r#"{"a":"\ud83d"}"#, "{\"a\":\"\u{fffd}\"}"),
            (r#"{"\udc00":1}"#, "{\"\u{fffd}\":1}"),
        ] {
            let expected = (stored.to_owned(), None, vec![("custom_properties", What::Replaced)]);
            assert_eq!(ruled(sent), Ok(expected), "{sent}");
        }
        let unchanged = "{\"a\":\"\u{fffd}😀\"}".to_owned();
        assert_eq!(
            ruled("{\"a\":\"\\uFFFD\\ud83d\\ude00\"}"),
            Ok((unchanged, None, vec![]))
        );
    }

    #[test]
    fn what_is_no_object_is_absent_or_rejected() {
        for absent in ["", "  ", "null", " null "] {
            assert_eq!(ruled(absent), Err("absent".into()), "{absent:?}");
        }
        for (text, reason) in [
            ("[1]", "is an array"),
            ("\"{}\"", "is a string"),
            ("7", "is a number"),
            (r#"{"a":[[[1]]]}"#, "is nested too deep"),
            (r#"{"a":{"b":1,"c":1,"d":1,"e":1}}"#, "has too many keys"),
        ] {
            assert_eq!(ruled(text), Err(reason.into()), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
        assert_eq!(ruled(&deep), Err("is nested too deep".into()));
        assert!(ruled("{\"a\"").unwrap_err().starts_with("malformed JSON: "));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in r#"[{}\[\]:,"\\u0-9a-f]{0,60}"#) {
            let _ = scan_default(&text);
        }
    }
}
