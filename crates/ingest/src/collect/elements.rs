//! Splits a JSON array into its objects without parsing them.
//!
//! It only has to be correct for well-formed text: each object is parsed afterwards, and if that fails, the whole body
//! is parsed again by the parser that reports the error.

/// The objects of `array`; `None` if it is anything but up to `limit` objects, or looks malformed.
pub(super) fn objects(array: &str, limit: usize) -> Option<Vec<&str>> {
    let bytes = array.as_bytes();
    let mut found = Vec::new();
    let mut at = space(bytes, 1);
    while *bytes.get(at)? == b'{' && found.len() < limit {
        let end = object_end(bytes, at)?;
        found.push(array.get(at..end)?);
        at = space(bytes, end);
        match bytes.get(at)? {
            b',' => at = space(bytes, at + 1),
            b']' if at + 1 == bytes.len() => return Some(found),
            _ => return None,
        }
    }
    None
}

/// The offset of the next byte from `at` on that is not white space.
fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The offset after the object whose first byte is at `at`.
fn object_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        match byte {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
}

/// The offset after the quote that closes the string whose text begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += quote_or_escape(bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// The index of the first `"` or `\`.
pub(super) fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(b'"', b'\\', bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn objects_with_brackets_in_strings() {
        let array = r#"[ {"a":"]}\"{","b":[{}]} ,{"\\":"\\"},	{}]"#;
        let found = objects(array, 3).unwrap();
        assert_eq!(found, [r#"{"a":"]}\"{","b":[{}]}"#, r#"{"\\":"\\"}"#, "{}"]);
    }

    #[test]
    fn other_arrays_are_left_to_parser() {
        for array in [
            "[", "[]", "[{}", "[{},]", "[{},1]", "[{}]]", "[{}] x", r#"[{"a]"#, r#"[{"a\"#, "[{}{}]",
        ] {
            assert_eq!(objects(array, 10), None, "{array}");
        }
        assert_eq!(objects("[{},{}]", 1), None);
    }

    proptest! {
        /// If all of them are well-formed, so is the array, and these are its elements.
        #[test]
        fn objects_equal_parsed_elements(text in r#"[{}\[\],:" \\a1]{0,24}"#) {
            let array = format!("[{{{text}]");
            let found = objects(&array, 10).unwrap_or_default();
            let sound = !found.is_empty() && found.iter().all(|object| serde_json::from_str::<&RawValue>(object).is_ok());
            if sound {
                let elements: Vec<&RawValue> = serde_json::from_str(&array).unwrap();
                let elements: Vec<&str> = elements.into_iter().map(RawValue::get).collect();
                prop_assert_eq!(found, elements);
            }
        }
    }
}
