//! Identity of visitors and events. Stored files depend on these functions: they must never change.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::clock::Micros;

/// The 64-bit visitor hash that files are sorted by and samples are drawn from: XXH3 of the length-prefixed
/// `tracking_id` and `client_id`.
pub fn client_hash(tracking_id: &str, client_id: &str) -> u64 {
    let mut bytes = Vec::with_capacity(tracking_id.len() + client_id.len() + 16);
    for part in [tracking_id, client_id] {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    xxh3_64(&bytes)
}

/// The id of an event whose client gave none: 128 bits of XXH3, as 32 hexadecimal digits, over the fields by which
/// the specification tells duplicates.
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
        insta::assert_snapshot!(
            derived_event_id("UA-1", "abc.def", "s1", 1_700_000_000_000_000, "pageview"),
            @"1afbe4f5a387fd09a68ce6a6716dec59"
        );
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
