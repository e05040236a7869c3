//! One normal form for JSON text, so that equal values are equal texts: events are grouped and compared by it.
//!
//! The normal form has no white space between tokens and escapes in text only what JSON demands, each in its shortest
//! form. The digits of numbers, the order of keys and repeated keys stay as they were sent.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Most arrays and objects inside one another.
pub const MAX_DEPTH: u32 = 128;

/// What stands for a character that no text may hold: NUL, or half of a surrogate pair.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Where a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Bytes before the fault.
    pub position: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.position)
    }
}

impl Error for JsonError {}

/// `text` in the normal form; borrowed if it is in that form already, white space around it aside. NUL and halves of
/// surrogate pairs become U+FFFD.
///
/// One pass, without recursion. Fails if `text` is not one JSON value or is nested deeper than [`MAX_DEPTH`].
pub fn normalize(text: &str) -> Result<Cow<'_, str>, JsonError> {
    Normalizer {
        text,
        at: 0,
        copied: 0,
        made: String::new(),
        containers: Containers::default(),
    }
    .run()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// The arrays and objects around the current position, one bit each.
#[derive(Debug, Default)]
struct Containers {
    objects: u128,
    depth: u32,
}

impl Containers {
    /// False if it would be too deep.
    fn enter(&mut self, container: Container) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        self.objects = self.objects << 1 | u128::from(container == Container::Object);
        self.depth += 1;
        true
    }

    fn leave(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn innermost(&self) -> Option<Container> {
        match (self.depth, self.objects & 1) {
            (0, _) => None,
            (_, 1) => Some(Container::Object),
            _ => Some(Container::Array),
        }
    }
}

struct Normalizer<'a> {
    text: &'a str,
    at: usize,
    /// All before it is in `made`, or is left out.
    copied: usize,
    made: String,
    containers: Containers,
}

impl<'a> Normalizer<'a> {
    fn run(mut self) -> Result<Cow<'a, str>, JsonError> {
        self.skip_space();
        loop {
            if self.begin_value()? {
                continue;
            }
            while self.containers.innermost().is_some() {
                self.skip_space();
                if self.after_item()? {
                    break;
                }
            }
            if self.containers.innermost().is_none() {
                return self.finish();
            }
        }
    }

    /// Reads a value, or the start of one that has values inside; then it is true.
    fn begin_value(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b'{') => self.begin_container(Container::Object, b'}'),
            Some(b'[') => self.begin_container(Container::Array, b']'),
            Some(b'"') => self.string().map(|()| false),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn begin_container(&mut self, container: Container, end: u8) -> Result<bool, JsonError> {
        if !self.containers.enter(container) {
            return Err(self.expected("a text that is nested less deeply"));
        }
        self.at += 1;
        self.skip_space();
        if self.eat(end) {
            self.containers.leave();
            return Ok(false);
        }
        if container == Container::Object {
            self.key()?;
        }
        Ok(true)
    }

    /// Reads what follows an item of the innermost container. True if another item follows; else the container, itself
    /// an item, has ended.
    fn after_item(&mut self) -> Result<bool, JsonError> {
        let object = self.containers.innermost() == Some(Container::Object);
        if self.eat(b',') {
            self.skip_space();
            if object {
                self.key()?;
            }
            return Ok(true);
        }
        if self.eat(if object { b'}' } else { b']' }) {
            self.containers.leave();
            return Ok(false);
        }
        Err(self.expected(if object { "a comma or }" } else { "a comma or ]" }))
    }

    fn finish(mut self) -> Result<Cow<'a, str>, JsonError> {
        let end = self.at;
        self.at += self.spaces();
        if self.at != self.text.len() {
            return Err(self.expected("the end"));
        }
        let rest = self.slice(self.copied, end);
        if self.made.is_empty() {
            return Ok(Cow::Borrowed(rest));
        }
        self.made.push_str(rest);
        Ok(Cow::Owned(self.made))
    }

    /// Reads a key and its colon, up to the value.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key"));
        }
        self.string()?;
        self.skip_space();
        if !self.eat(b':') {
            return Err(self.expected("a colon"));
        }
        self.skip_space();
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            self.at += self.count(|byte| byte != b'"' && byte != b'\\' && byte >= b' ');
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.expected("no control character, unless escaped,")),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.byte(self.at + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'/') => self.replace(2, "/"),
            Some(b'u') => self.unicode_escape()?,
            _ => return Err(self.expected("a known escape")),
        }
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<(), JsonError> {
        let Some(first) = self.code_unit(self.at) else {
            return Err(self.expected("four hexadecimal digits after \\u"));
        };
        let (length, character) = match self.code_unit(self.at + 6) {
            Some(second) if is_pair(first, second) => {
                let pair = char::decode_utf16([first, second]).next();
                (12, pair.and_then(Result::ok).unwrap_or(REPLACEMENT))
            }
            _ => (6, char::from_u32(u32::from(first)).unwrap_or(REPLACEMENT)),
        };
        let mut buffer = [0; 4];
        match character {
            '\0' => self.replace(length, REPLACEMENT.encode_utf8(&mut buffer)),
            '"' => self.replace(length, "\\\""),
            '\\' => self.replace(length, "\\\\"),
            '\u{8}' => self.replace(length, "\\b"),
            '\u{c}' => self.replace(length, "\\f"),
            '\n' => self.replace(length, "\\n"),
            '\r' => self.replace(length, "\\r"),
            '\t' => self.replace(length, "\\t"),
            ..' ' => self.control(first),
            other => self.replace(length, other.encode_utf8(&mut buffer)),
        }
        Ok(())
    }

    /// A control character without a short escape: its digits in lower case.
    fn control(&mut self, code: u16) {
        let normal = format!("\\u{code:04x}");
        if self.slice(self.at, self.at + 6) == normal {
            self.at += 6;
        } else {
            self.replace(6, &normal);
        }
    }

    /// The code unit of the `\uXXXX` at `at`, if there is one.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |code: u16, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(code << 4 | digit as u16)
        })
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _sign = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        match self.count(|byte| byte.is_ascii_digit()) {
            0 => Err(self.expected("a digit")),
            count => {
                self.at += count;
                Ok(())
            }
        }
    }

    /// No value is inside of it, so it is false.
    fn word(&mut self, word: &str) -> Result<bool, JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(false)
    }

    fn skip_space(&mut self) {
        match self.spaces() {
            0 => {}
            length => self.replace(length, ""),
        }
    }

    fn spaces(&self) -> usize {
        self.count(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    /// `with` instead of the next `length` bytes.
    fn replace(&mut self, length: usize, with: &str) {
        let kept = self.slice(self.copied, self.at);
        if self.made.is_empty() {
            self.made.reserve(if kept.is_empty() { 0 } else { self.text.len() });
        }
        self.made.push_str(kept);
        self.made.push_str(with);
        self.at += length;
        self.copied = self.at;
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// How many of the next bytes are such.
    fn count(&self, such: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest();
        rest.iter().position(|byte| !such(*byte)).unwrap_or(rest.len())
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        JsonError {
            position: self.at,
            expected,
        }
    }
}

fn is_pair(first: u16, second: u16) -> bool {
    matches!((first, second), (0xd800..=0xdbff, 0xdc00..=0xdfff))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;

    fn normal(text: &str) -> String {
        normalize(text).unwrap().into_owned()
    }

    #[test]
    fn whitespace_between_tokens_is_dropped() {
        for (text, expected) in [
            (
                " { \"a\" :\t[ 1 ,\r\n 2 ] , \"b\" : { } , \"c\" : [ ] } ",
                r#"{"a":[1,2],"b":{},"c":[]}"#,
            ),
            (" 1 ", "1"),
            ("\n\"a b\"\n", "\"a b\""),
            ("[[],{}, [{}]]", "[[],{},[{}]]"),
            (
                r#"{"a": true,"b": false ,"c":null}"#,
                r#"{"a":true,"b":false,"c":null}"#,
            ),
        ] {
            assert_eq!(normal(text), expected);
        }
    }

    #[test]
    fn escapes_become_shortest() {
        for (text, expected) in [
            (r#""\u00fc""#, "\"ü\""),
            (r#""\u00FC\u20ac""#, "\"ü€\""),
            (r#""\ud83d\ude00""#, "\"😀\""),
            (r#""\uD83D\uDE00""#, "\"😀\""),
            (r#""a\/b""#, "\"a/b\""),
            (r#""\u0022\u005c\u002f""#, r#""\"\\/""#),
            (r#""\u0008\u000c\u000a\u000D\u0009""#, r#""\b\f\n\r\t""#),
            (r#""\b\f\n\r\t\"\\""#, r#""\b\f\n\r\t\"\\""#),
            (r#""\u001F\u001f\u0001""#, r#""\u001f\u001f\u0001""#),
            (r#""\u007f\u2028""#, "\"\u{7f}\u{2028}\""),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }

    #[test]
    fn characters_that_no_text_holds_are_replaced() {
        for (text, expected) in [
            (r#""a\u0000b""#, "\"a\u{fffd}b\""),
            (r#""\ud83d""#, "\"\u{fffd}\""),
            (r#""\ude00""#, "\"\u{fffd}\""),
            (r#""\ude00\ud83d""#, "\"\u{fffd}\u{fffd}\""),
            (r#""\ud83dx""#, "\"\u{fffd}x\""),
            (r#""\ud83d\n""#, "\"\u{fffd}\\n\""),
            (r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}😀\""),
            (r#""\ud83d\u0041""#, "\"\u{fffd}A\""),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }

    #[test]
    fn digits_keys_and_their_order_are_kept() {
        for text in [
            r#"{"b":123456789012345678901234567890,"a":1.10,"b":-0,"c":1E+05,"d":0.0e-1}"#,
            r#"{"":"ü😀","a b":" x "}"#,
            "0",
            r#""""#,
        ] {
            let made = normalize(text).unwrap();
            assert_eq!(made, text);
            assert!(matches!(made, Cow::Borrowed(_)), "{text} is normal already");
        }
    }

    #[test]
    fn outer_whitespace_alone_costs_no_copy() {
        assert!(matches!(
            normalize(" {\"a\":1}\n").unwrap(),
            Cow::Borrowed(r#"{"a":1}"#)
        ));
    }

    #[test]
    fn faults_are_located() {
        for (text, position, expected) in [
            ("", 0, "a value"),
            (r#"{"a":1"#, 6, "a comma or }"),
            ("[1 2]", 3, "a comma or ]"),
            ("[1,]", 3, "a value"),
            ("{\"a\":1,}", 7, "a key"),
            ("{a:1}", 1, "a key"),
            (r#"{"a" 1}"#, 5, "a colon"),
            ("[1}", 2, "a comma or ]"),
            ("1 2", 2, "the end"),
            ("01", 1, "the end"),
            ("-", 1, "a digit"),
            ("1.", 2, "a digit"),
            ("1e+", 3, "a digit"),
            ("nul", 0, "a value"),
            ("NaN", 0, "a value"),
            (r#""a"#, 2, "a closing quote"),
            ("\"a\nb\"", 2, "no control character, unless escaped,"),
            (r#""\x""#, 1, "a known escape"),
            (r#""\u12g4""#, 1, "four hexadecimal digits after \\u"),
            (r#""\u12"#, 1, "four hexadecimal digits after \\u"),
            (r#""\u+123""#, 1, "four hexadecimal digits after \\u"),
            (r#""\ud83d\uzzzz""#, 7, "four hexadecimal digits after \\u"),
        ] {
            assert_eq!(normalize(text), Err(JsonError { position, expected }), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(normal(&nested(128)), nested(128));
        let too_deep = normalize(&nested(129)).unwrap_err();
        assert_eq!(too_deep.position, 128);
        let mixed = r#"{"a":["#.repeat(64);
        let closed = format!("{mixed}1{}", "]}".repeat(64));
        assert_eq!(normal(&closed), closed);
        assert!(normalize(&format!("{mixed}1{}", "}]".repeat(64))).is_err());
        assert!(normalize(&"[".repeat(1_000_000)).is_err());
    }

    fn json() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            "[a-zü😀 ]{0,4}",
            r#"(\\u00[0-9a-f]{2}|\\u[0-9a-cA-C][0-9a-fA-F]{3}|\\[/bfnrt\\"]|\\ud83d\\ude00|x){0,4}"#,
        ]
        .prop_map(|text| format!("\"{text}\""));
        let leaf = prop_oneof![
            text.clone(),
            r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?([eE][+-]?[0-9])?",
            Just("true".to_owned()),
            Just("null".to_owned()),
        ];
        let space = "[ \t\r\n]{0,2}";
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let item = (space, inner, space).prop_map(|(before, item, after)| format!("{before}{item}{after}"));
            let entry = (space, text.clone(), space, item.clone())
                .prop_map(|(before, key, after, item)| format!("{before}{key}{after}:{item}"));
            prop_oneof![
                prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(entry, 0..4).prop_map(|entries| format!("{{{}}}", entries.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn meaning_is_kept(text in json()) {
            let made = normal(&text);
            let replaced = text.replace("\\u0000", "\\ufffd");
            prop_assert_eq!(serde_json::from_str::<Value>(&made).unwrap(), serde_json::from_str::<Value>(&replaced).unwrap());
        }

        #[test]
        fn normal_form_is_stable(text in json()) {
            let made = normal(&text);
            let again = normalize(&made).unwrap();
            prop_assert!(matches!(again, Cow::Borrowed(_)));
            prop_assert_eq!(again, made.as_str());
        }

        #[test]
        fn accepts_what_json_is(text in r#"[\[\]{}",:\\u0-9a-f+.eE ntrs-]{0,12}"#) {
            prop_assert_eq!(normalize(&text).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn damaged_json_is_judged_alike(text in json(), at in any::<prop::sample::Index>(), with in r#"[\[\]{}",:\\u0-9 ü]"#) {
            let mut characters: Vec<char> = text.chars().collect();
            let index = at.index(characters.len());
            characters[index] = with.chars().next().unwrap();
            let damaged: String = characters.into_iter().collect();
            prop_assert_eq!(normalize(&damaged).is_ok(), serde_json::from_str::<IgnoredAny>(&damaged).is_ok(), "{}", damaged);
        }
    }
}
