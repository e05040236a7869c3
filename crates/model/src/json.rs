//! One normal form for JSON text, so that equal values are equal texts: events are grouped and compared by it.
//!
//! The normal form has no white space between tokens and escapes in text only what JSON demands, each in its shortest
//! form. The digits of numbers, the order of keys and repeated keys stay as they were sent.

mod plain;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

pub use plain::plain_bytes;

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
    let mut normalizer = Normalizer::of(text);
    let normal = normalizer.first_value()?;
    normalizer.at += normalizer.spaces();
    match normalizer.at == text.len() {
        true => Ok(normal),
        false => Err(normalizer.expected("the end")),
    }
}

/// The first value of `text` in the normal form, as of [`normalize`], and the offset where it ends. What follows is not
/// looked at.
pub fn normalize_first(text: &str) -> Result<(Cow<'_, str>, usize), JsonError> {
    let mut normalizer = Normalizer::of(text);
    let normal = normalizer.first_value()?;
    Ok((normal, normalizer.at))
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
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            copied: 0,
            made: String::new(),
            containers: Containers::default(),
        }
    }

    /// Reads one value, and leaves `at` at its end.
    fn first_value(&mut self) -> Result<Cow<'a, str>, JsonError> {
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
                return Ok(self.made());
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

    /// What was read so far, in the normal form.
    fn made(&mut self) -> Cow<'a, str> {
        let rest = self.slice(self.copied, self.at);
        if self.made.is_empty() {
            return Cow::Borrowed(rest);
        }
        self.made.push_str(rest);
        Cow::Owned(std::mem::take(&mut self.made))
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
            self.at += plain_bytes(self.rest());
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
mod tests;
