//! Memory for request bodies, bounded over all requests together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that may be held at once.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// An account with nothing taken yet.
    pub(super) fn account(&self) -> Account {
        Account {
            budget: Arc::clone(&self.0),
            held: None,
        }
    }
}

/// What one request holds. Given back when dropped.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

/// There is no memory left for this request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Account {
    /// Takes memory as bytes arrive, so that nobody reserves what he doesn't send.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let more = Arc::clone(&self.budget)
            .try_acquire_many_owned(bytes)
            .map_err(|_| Exhausted)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_request_holds_another_lacks_until_it_ends() {
        let budget = Budget::new(100);
        let (mut first, mut second) = (budget.account(), budget.account());
        assert_eq!(first.take(40), Ok(()));
        assert_eq!(first.take(40), Ok(()));
        assert_eq!(second.take(21), Err(Exhausted));
        drop(first);
        assert_eq!(second.take(100), Ok(()));
    }
}
