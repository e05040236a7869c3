//! Counts open calls: of all clients together, and of each token.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Open calls by the hash of their token.
type Counts = Arc<Mutex<HashMap<u64, usize>>>;

/// Counts calls while they are open.
#[derive(Debug, Clone)]
pub(super) struct OpenCalls {
    all: Arc<Semaphore>,
    of_token: Counts,
    /// Limit of one token, so that a client that opens calls without end leaves some to the others.
    limit_of_token: usize,
    hasher: RandomState,
}

/// An open call, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenCall {
    _one_of_all: OwnedSemaphorePermit,
    of_token: Option<(u64, Counts)>,
}

impl OpenCalls {
    pub(super) fn new(all: usize, limit_of_token: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_token: Arc::default(),
            limit_of_token,
            hasher: RandomState::new(),
        }
    }

    /// `None`: too many are open. `authorization`: that of a call whose token was checked, or `None`.
    pub(super) fn open(&self, authorization: Option<&HeaderValue>) -> Option<OpenCall> {
        let one_of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let token = authorization.map(|value| self.hasher.hash_one(value.as_bytes()));
        if let Some(token) = token {
            let mut open = self.of_token.lock();
            let count = open.entry(token).or_default();
            if *count >= self.limit_of_token {
                return None;
            }
            *count += 1;
        }
        Some(OpenCall {
            _one_of_all: one_of_all,
            of_token: token.map(|token| (token, Arc::clone(&self.of_token))),
        })
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let Some((token, open)) = &self.of_token else { return };
        let mut open = open.lock();
        match open.get_mut(token) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_cannot_take_all_calls() {
        let calls = OpenCalls::new(5, 3);
        let (one, two) = (
            HeaderValue::from_static("Bearer 1"),
            HeaderValue::from_static("Bearer 2"),
        );
        let mut held: Vec<_> = (0..3).map(|_| calls.open(Some(&one)).unwrap()).collect();
        assert!(calls.open(Some(&one)).is_none());
        held.push(calls.open(Some(&two)).unwrap());
        held.push(calls.open(None).unwrap());
        assert!(calls.open(Some(&two)).is_none(), "five are open");
        drop(held);
        assert!(calls.of_token.lock().is_empty());
        assert!(calls.open(Some(&one)).is_some());
    }
}
