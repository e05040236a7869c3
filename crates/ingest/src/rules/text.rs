//! Text of an event.

use std::borrow::Cow;

use footfall_model::field::EventField;
use xxhash_rust::xxh3::xxh3_64;

use super::changes::{Changes, What};

/// Characters that stand for the rest of an id that was cut: `~` and the 64 bits of a hash.
const ID_SUFFIX: usize = 17;

/// The text of a field as it is stored; `None`: it is absent. Borrowed unless characters are replaced.
///
/// - Nothing but white space is absent.
/// - NUL becomes U+FFFD.
/// - What is longer than the field's limit is cut there, on the border of a character. An id keeps its beginning, and
///   `~` with a hash of the whole takes the end, so that different ids stay different.
/// - A country becomes upper case; what isn't two letters is ignored.
pub(crate) fn text<'a>(field: EventField, sent: &'a str, changes: &mut Changes) -> Option<Cow<'a, str>> {
    if is_blank(sent) {
        if !sent.is_empty() {
            changes.record(field, What::Blanked, sent, "");
        }
        return None;
    }
    if field == EventField::Country {
        return country(sent, changes);
    }
    let text = without_nul(field, sent, changes);
    let text = within_limit(field, text, changes);
    if is_blank(&text) {
        changes.record(field, What::Blanked, &text, "");
        return None;
    }
    Some(text)
}

fn is_blank(text: &str) -> bool {
    text.trim_start().is_empty()
}

fn country<'a>(sent: &'a str, changes: &mut Changes) -> Option<Cow<'a, str>> {
    let code = sent.trim();
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
        changes.record(EventField::Country, What::Ignored, sent, "");
        return None;
    }
    Some(match code.bytes().all(|b| b.is_ascii_uppercase()) {
        true => Cow::Borrowed(code),
        false => Cow::Owned(code.to_ascii_uppercase()),
    })
}

fn without_nul<'a>(field: EventField, text: &'a str, changes: &mut Changes) -> Cow<'a, str> {
    if memchr::memchr(0, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let replaced = text.replace('\0', "\u{fffd}");
    changes.record(field, What::Replaced, text, &replaced);
    Cow::Owned(replaced)
}

fn within_limit<'a>(field: EventField, text: Cow<'a, str>, changes: &mut Changes) -> Cow<'a, str> {
    let spec = field.spec();
    let (Some(_), Some(limit)) = (spec.excess_chars(&text), spec.max_chars) else {
        return text;
    };
    let cut = if is_id(field) {
        let beginning = &text[..end_of(&text, limit - ID_SUFFIX)];
        Cow::Owned(format!("{beginning}~{:016x}", xxh3_64(text.as_bytes())))
    } else {
        let end = end_of(&text, limit);
        match &text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
            Cow::Owned(text) => Cow::Owned(text[..end].to_owned()),
        }
    };
    changes.record(field, What::Cut, &text, &cut);
    cut
}

/// Whether two texts that differ only at the end must not become one.
const fn is_id(field: EventField) -> bool {
    matches!(
        field,
        EventField::TrackingId
            | EventField::EventId
            | EventField::ClientId
            | EventField::SessionId
            | EventField::UserId
    )
}

/// The offset after this many characters.
fn end_of(text: &str, chars: usize) -> usize {
    text.char_indices().nth(chars).map_or(text.len(), |(end, _)| end)
}
