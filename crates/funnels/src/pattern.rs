//! Patterns such as `/products/*`.

/// A text in which each `*` stands for any characters, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    first: String,
    /// What follows each `*`.
    others: Vec<String>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = text.split('*').map(str::to_owned);
        Self {
            first: parts.next().unwrap_or_default(),
            others: parts.collect(),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((last, middle)) = self.others.split_last() else {
            return text == self.first;
        };
        let Some(mut rest) = text.strip_prefix(self.first.as_str()) else {
            return false;
        };
        // The leftmost place for each part leaves the most text to those that follow.
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_characters() {
        let cases = [
            ("/checkout", &["/checkout"][..], &["/checkout/", "/Checkout", ""][..]),
            (
                "/products/*",
                &["/products/", "/products/a/b"],
                &["/products", "/x/products/"],
            ),
            ("*.pdf", &[".pdf", "/a.pdf"], &["/a.pdf?", "pdf"]),
            ("/*/cart/*", &["/en/cart/", "/a/b/cart/x"], &["/cart/", "/en/cart"]),
            ("a*ab", &["aab", "abab"], &["ab", "aabb"]),
            ("*", &["", "x"], &[]),
            ("**", &["", "x"], &[]),
            ("", &[""], &["x"]),
        ];
        for (pattern, matched, others) in cases {
            let compiled = Pattern::new(pattern);
            for text in matched {
                assert!(compiled.matches(text), "{pattern} {text}");
            }
            for text in others {
                assert!(!compiled.matches(text), "{pattern} {text}");
            }
        }
    }

    /// The definition of a match, without any cleverness.
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
            Some((byte, rest)) => text.first() == Some(byte) && matches(rest, &text[1..]),
        }
    }

    proptest::proptest! {
        #[test]
        fn match_equals_its_definition(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            proptest::prop_assert_eq!(
                Pattern::new(&pattern).matches(&text),
                matches(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
