//! Identity of visitors and events. Stored files depend on these functions: they must never change.

use std::fmt;
use std::str::FromStr;

use prost::bytes::BufMut;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::clock::Micros;

/// The 64-bit visitor hash that files are sorted by and samples are drawn from: the [`id_hash`] of `client_id`.
pub fn client_hash(tracking_id: &str, client_id: &str) -> u64 {
    id_hash(tracking_id, client_id)
}

/// The 64-bit hash of an id of a site, be it a visitor's, a session's or a user's: XXH3 of the length-prefixed
/// `tracking_id` and `id`. Equal ids of one site have equal hashes, whatever they name.
pub fn id_hash(tracking_id: &str, id: &str) -> u64 {
    let (mut short, mut long) = ([0; 128], Vec::new());
    let length = tracking_id.len() + id.len() + 16;
    let bytes = match short.get_mut(..length) {
        Some(short) => short,
        None => {
            long.resize(length, 0);
            long.as_mut_slice()
        }
    };
    let mut rest = &mut *bytes;
    for part in [tracking_id, id] {
        rest.put_u64_le(part.len() as u64);
        rest.put_slice(part.as_bytes());
    }
    xxh3_64(bytes)
}

/// What tells events apart that have no id of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DedupeBy {
    /// All that was sent, except when it was sent: a retry is one event, two purchases in one millisecond are two.
    #[default]
    Content,
    /// The specification's key: site, client, session, time and type.
    Key,
}

impl DedupeBy {
    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for DedupeBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DedupeBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "content" => Ok(Self::Content),
            "key" => Ok(Self::Key),
            _ => Err(format!("{text:?} tells no events apart; expected content or key")),
        }
    }
}

/// The id of an event without one of its own, by [`DedupeBy::Content`]: 128 bits of XXH3, as 32 hexadecimal digits.
///
/// Hashed are first the time, then the values that are present: each as its number on the wire (32 bits), its length
/// in bytes (64 bits) and its bytes, numbers as 64 bits, all little-endian. Values come in the order of their numbers.
#[derive(Default)]
pub struct ContentHash(Xxh3);

impl ContentHash {
    /// When the event happened by the client's clock, in microseconds.
    pub fn sent(&mut self, at: Micros) {
        self.number(TIME, at);
    }

    /// When an event without a time was received, in microseconds, and which of those that were received then it is.
    pub fn received(&mut self, at: Micros, ordinal: u64) {
        self.number(RECEIVED, at);
        self.number(RECEIVED, ordinal.cast_signed());
    }

    pub fn text(&mut self, tag: u32, text: &str) {
        self.head(tag, text.len());
        self.0.update(text.as_bytes());
    }

    pub fn number(&mut self, tag: u32, number: i64) {
        self.head(tag, size_of::<i64>());
        self.0.update(&number.to_le_bytes());
    }

    pub fn finish(self) -> String {
        format!("{:032x}", self.0.digest128())
    }

    fn head(&mut self, tag: u32, length: usize) {
        let mut head = [0; 12];
        head[..4].copy_from_slice(&tag.to_le_bytes());
        head[4..].copy_from_slice(&(length as u64).to_le_bytes());
        self.0.update(&head);
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHash").finish_non_exhaustive()
    }
}

/// The number of `event_timestamp` on the wire.
const TIME: u32 = 7;

/// No field has this number.
const RECEIVED: u32 = 0;

/// The id of an event without one of its own, by [`DedupeBy::Key`]: 128 bits of XXH3, as 32 hexadecimal digits.
pub fn derived_event_id(
    tracking_id: &str,
    client_id: &str,
    session_id: &str,
    timestamp: Micros,
    event_type: &str,
) -> String {
    let mut hasher = Xxh3::new();
    for part in [tracking_id, client_id, session_id, event_type] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&timestamp.to_le_bytes());
    format!("{:032x}", hasher.digest128())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_pinned() {
        insta::assert_snapshot!(
            format!("{:016x}", client_hash("UA-1", "abc.def")),
            @"9881455ad7297868"
        );
        assert_eq!(id_hash("UA-1", "abc.def"), client_hash("UA-1", "abc.def"));
        insta::assert_snapshot!(
            derived_event_id("UA-1", "abc.def", "s1", 1_700_000_000_000_000, "pageview"),
            @"1afbe4f5a387fd09a68ce6a6716dec59"
        );
        let mut content = ContentHash::default();
        content.sent(1_700_000_000_000_000);
        content.text(1, "UA-1");
        content.number(11, -5);
        insta::assert_snapshot!(content.finish(), @"c3d97b0b9014f480a6a2627769cc0fdc");
        let mut content = ContentHash::default();
        content.received(1_700_000_000_000_000, 3);
        content.text(1, "UA-1");
        insta::assert_snapshot!(content.finish(), @"da64df921c447be3c9daa8129d4c96d7");
    }

    proptest::proptest! {
        #[test]
        fn field_boundaries_change_the_hash(a in "[a-z]{1,8}", b in "[a-z]{1,8}", c in "[a-z]{1,3}") {
            proptest::prop_assert_ne!(client_hash(&format!("{a}{c}"), &b), client_hash(&a, &format!("{c}{b}")));
            proptest::prop_assert_ne!(
                derived_event_id(&format!("{a}{c}"), &b, "", 0, "x"),
                derived_event_id(&a, &format!("{c}{b}"), "", 0, "x")
            );
        }
    }
}
