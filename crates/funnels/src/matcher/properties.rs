//! Values of custom properties.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of `keys` in a JSON object, as `->>` shows them in SQL: a text, or a number, `true` or `false` as written.
/// Lists, objects and null are no values; of equal keys the first counts.
pub(super) fn read(json: Option<&str>, keys: &[String]) -> Vec<Option<String>> {
    let read = |json| {
        Keys(keys)
            .deserialize(&mut serde_json::Deserializer::from_str(json))
            .ok()
    };
    let found = json.and_then(read).unwrap_or_default();
    found.into_iter().map(Option::flatten).collect()
}

struct Keys<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = Vec<Option<Option<String>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = Vec<Option<Option<String>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.0.len()];
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().position(|wanted| *wanted == key) {
                Some(index) if found[index].is_none() => found[index] = Some(text(map.next_value::<&RawValue>()?)),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

fn text(value: &RawValue) -> Option<String> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(json.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_text() {
        let keys = ["s", "n", "b", "o", "z", "twice", "none"].map(str::to_owned);
        let json = r#"{"x":[{"s":1}],"s":"a\"b","n":1.50,"b":true,"o":{"s":1},"z":null,"twice":null,"twice":"2"}"#;
        let values = read(Some(json), &keys);
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(
            values,
            [Some("a\"b"), Some("1.50"), Some("true"), None, None, None, None]
        );
        assert!(read(None, &keys).is_empty());
        assert!(read(Some("[1]"), &keys).is_empty());
    }
}
