//! The tokens that the Flight SQL server has accepted lately.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use crate::flight::Token;

/// Of more, all are forgotten: each costs a connection to learn anew.
const MAX_TOKENS: usize = 1 << 16;

/// By their digests.
#[derive(Debug, Clone, Default)]
pub(crate) struct AcceptedTokens(Arc<Mutex<HashSet<u128>>>);

impl AcceptedTokens {
    pub(crate) fn contains(&self, token: &Token) -> bool {
        self.0.lock().contains(&digest(token))
    }

    pub(crate) fn insert(&self, token: &Token) {
        let mut known = self.0.lock();
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(digest(token));
    }

    pub(crate) fn remove(&self, token: &Token) {
        self.0.lock().remove(&digest(token));
    }
}

fn digest(token: &Token) -> u128 {
    xxh3_128(token.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_tokens_are_known_until_refused() {
        let tokens = AcceptedTokens::default();
        let (one, other) = (Token::new("one"), Token::new("other"));
        tokens.insert(&one);
        assert!(tokens.contains(&one) && !tokens.contains(&other));
        tokens.remove(&one);
        assert!(!tokens.contains(&one));
        for number in 0..=MAX_TOKENS {
            tokens.insert(&Token::new(&number.to_string()));
            assert!(tokens.0.lock().len() <= MAX_TOKENS);
        }
    }
}
