//! Reads events of well-formed bodies in one pass over their bytes.
//!
//! It never says what is wrong: for all that it doesn't know it gives up, and the body is read again by the parser that
//! finds out. What it does read, it reads as that one does.

use footfall_model::field::EventField;
use footfall_model::json::{normalize_first, plain_bytes};

use super::draft::Draft;
use super::field::{Field, Group, Target};
use super::options::CollectOptions;
use crate::rules::PropertyLimits;

/// The events of a body without white space around it: an object, or an array of some. `None` if it is anything else,
/// is malformed, or is over a limit.
pub(super) fn events(body: &str, options: &CollectOptions) -> Option<Vec<Draft>> {
    let mut reader = Reader { text: body, at: 0 };
    let events = match reader.peek()? {
        b'{' => vec![reader.event(options)?],
        b'[' => reader.array(options)?,
        _ => return None,
    };
    (reader.at == body.len()).then_some(events)
}

struct Reader<'a> {
    text: &'a str,
    /// The offset of the next byte.
    at: usize,
}

impl<'a> Reader<'a> {
    fn array(&mut self, options: &CollectOptions) -> Option<Vec<Draft>> {
        let mut events = Vec::new();
        self.take(b'[')?;
        self.skip_space();
        while events.len() < options.batch_events {
            events.push(self.event(options)?);
            if self.ends(b']')? {
                return Some(events);
            }
        }
        None
    }

    fn event(&mut self, options: &CollectOptions) -> Option<Draft> {
        let start = self.at;
        let mut draft = Draft::default();
        self.object(Group::Top, &mut draft, &options.properties)?;
        (self.at - start <= options.event_bytes).then_some(draft)
    }

    fn object(&mut self, group: Group, draft: &mut Draft, limits: &PropertyLimits) -> Option<()> {
        self.take(b'{')?;
        self.skip_space();
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let target = Target::of(group, self.plain_string()?);
            self.skip_space();
            self.take(b':')?;
            self.skip_space();
            let known = target.field().is_some_and(|field| draft.is_first(field));
            match target {
                Target::Value(field) if known => self.value(field, draft, limits)?,
                Target::Group(group) if known => self.group(group, draft, limits)?,
                _ => {
                    self.json()?;
                }
            }
            if self.ends(b'}')? {
                return Some(());
            }
        }
    }

    fn group(&mut self, group: Group, draft: &mut Draft, limits: &PropertyLimits) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(group, draft, limits),
            _ => (self.json()? == "null").then_some(()),
        }
    }

    fn value(&mut self, field: Field, draft: &mut Draft, limits: &PropertyLimits) -> Option<()> {
        let is_properties = field == Field::Stored(EventField::CustomProperties);
        match self.peek()? {
            b'"' if !is_properties => match self.plain_string() {
                Some(text) => draft.text(field, text),
                None => draft.json(field, self.json()?, limits),
            },
            b'{' if is_properties => {
                let (normal, length) = normalize_first(self.rest()).ok()?;
                draft.object(self.advance(length)?, normal, limits);
            }
            _ => draft.json(field, self.json()?, limits),
        }
        Some(())
    }

    /// A string without escapes, without its quotes; `None` leaves it where it is.
    fn plain_string(&mut self) -> Option<&'a str> {
        let inside = self.rest().strip_prefix('"')?;
        let length = plain_bytes(inside.as_bytes());
        if inside.as_bytes().get(length) != Some(&b'"') {
            return None;
        }
        self.at += length + 2;
        inside.get(..length)
    }

    /// Any value, as it was sent.
    fn json(&mut self) -> Option<&'a str> {
        let (_, length) = normalize_first(self.rest()).ok()?;
        self.advance(length)
    }

    /// Whether what follows an item is the end rather than another item, to which it goes.
    fn ends(&mut self, end: u8) -> Option<bool> {
        self.skip_space();
        if self.peek()? == end {
            self.at += 1;
            return Some(true);
        }
        self.take(b',')?;
        self.skip_space();
        Some(false)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, length: usize) -> Option<&'a str> {
        let passed = self.rest().get(..length)?;
        self.at += length;
        Some(passed)
    }
}
