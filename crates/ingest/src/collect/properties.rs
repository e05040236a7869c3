//! Checks `custom_properties` and finds its `revenue`, in one pass over the text. No tree is built: the text is stored
//! as received.

use super::elements::quote_or_escape;
use super::options::PropertyLimits;

/// Why the properties were rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PropertyError {
    TooDeep,
    TooManyKeys,
    Nul,
    LoneSurrogate,
}

/// Scans a JSON object whose syntax is known to be valid. Returns the text of its top-level `revenue`, if any; the last
/// one if there are several.
pub(super) fn scan<'a>(json: &'a str, limits: &PropertyLimits) -> Result<Option<&'a str>, PropertyError> {
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
                at = string_end(bytes, at)?;
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
fn string_end(bytes: &[u8], mut at: usize) -> Result<usize, PropertyError> {
    while let Some(found) = bytes.get(at..).and_then(quote_or_escape) {
        at += found;
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'"'), _) => return Ok(at + 1),
            (_, Some(b'u')) => at = escape_end(bytes, at)?,
            _ => at += 2,
        }
    }
    Ok(bytes.len())
}

/// The offset after the `\uXXXX` at `at`, or after both of a surrogate pair.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, PropertyError> {
    match code_unit(bytes, at) {
        Some(0) => Err(PropertyError::Nul),
        Some(0xD800..=0xDBFF) => match code_unit(bytes, at + 6) {
            Some(0xDC00..=0xDFFF) => Ok(at + 12),
            _ => Err(PropertyError::LoneSurrogate),
        },
        Some(0xDC00..=0xDFFF) => Err(PropertyError::LoneSurrogate),
        _ => Ok(at + 6),
    }
}

fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
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

    #[test]
    fn invalid_escapes_are_rejected() {
        assert_eq!(scan_default(r#"{"a":"\ud83d\ude00 \\ud800 \n"}"#), Ok(None));
        assert_eq!(scan_default(r#"{"a":"x\u0000"}"#), Err(PropertyError::Nul));
        assert_eq!(scan_default(r#"{"a":"\ud83d"}"#), Err(PropertyError::LoneSurrogate));
        assert_eq!(scan_default(r#"{"\udc00":1}"#), Err(PropertyError::LoneSurrogate));
        assert_eq!(
            scan_default(r#"{"a":"\ud83d\u0041"}"#),
            Err(PropertyError::LoneSurrogate)
        );
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in r#"[{}\[\]:,"\\u0-9a-f]{0,60}"#) {
            let _ = scan_default(&text);
        }
    }
}
