//! Secrets of tokens: how they are generated and hashed.

use std::fmt;

use footfall_model::clock::IdGen;
use sha2::{Digest, Sha256};

use crate::Secret;

/// The prefix of every secret, by which people and secret scanners recognise one.
pub(crate) const PREFIX: &str = "ffp_";

/// SHA-256 of a secret. A fast hash suffices: a secret has 256 random bits and can't be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SecretHash([u8; 32]);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// A new secret: the prefix and 256 random bits in hexadecimal, which a double click selects as a whole.
pub(crate) fn mint(ids: &dyn IdGen) -> Secret {
    Secret::new(format!("{PREFIX}{:032x}{:032x}", ids.next_id(), ids.next_id()))
}

#[cfg(test)]
mod tests {
    use footfall_model::clock::RandomIds;

    use super::{SecretHash, mint};

    #[test]
    fn secret_has_prefix_and_256_bits() {
        let secret = mint(&RandomIds);
        let bits = secret.expose().strip_prefix("ffp_").expect("the prefix");
        assert_eq!(bits.len(), 64);
        assert!(bits.chars().all(|c| c.is_ascii_hexdigit()));
    }

    #[test]
    fn both_halves_are_random() {
        let (a, b) = (mint(&RandomIds), mint(&RandomIds));
        assert_ne!(a.expose()[4..36], b.expose()[4..36]);
        assert_ne!(a.expose()[36..], b.expose()[36..]);
    }

    #[test]
    fn hash_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        let abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(SecretHash::of("abc").as_bytes(), abc);
    }

    #[test]
    fn debug_hides_secret_and_hash() {
        let secret = mint(&RandomIds);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", SecretHash::of(secret.expose())), "SecretHash(..)");
    }
}
