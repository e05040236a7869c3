//! Memory budget for what clients send, shared by all requests.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that HTTP bodies and gRPC messages may hold at once.
#[derive(Debug, Clone)]
pub struct Budget {
    total: Arc<Semaphore>,
    /// The part of the total that this budget may hold.
    share: Option<Arc<Semaphore>>,
    capacity: usize,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        let capacity = capacity(bytes);
        Self {
            total: Arc::new(Semaphore::new(capacity)),
            share: None,
            capacity,
        }
    }

    /// A budget that reserves from this one, at most `bytes` at once.
    #[must_use]
    pub fn share(&self, bytes: usize) -> Self {
        let capacity = capacity(bytes).min(self.capacity);
        Self {
            total: Arc::clone(&self.total),
            share: Some(Arc::new(Semaphore::new(capacity))),
            capacity,
        }
    }

    /// The most that can be held at once.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Reserves `bytes` as soon as they are free, in the order of the calls.
    ///
    /// # Errors
    /// [`Exhausted`] if it is more than the capacity.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        if bytes > self.capacity {
            return Err(Exhausted);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let share = match &self.share {
            Some(share) => Some(acquire(share, bytes).await?),
            None => None,
        };
        let total = acquire(&self.total, bytes).await?;
        Ok(Reservation { total, share })
    }

    /// Reserves `bytes` if they are free now.
    ///
    /// # Errors
    /// [`Exhausted`] if they are not.
    pub fn try_reserve(&self, bytes: usize) -> Result<Reservation, Exhausted> {
        let bytes = u32::try_from(bytes).map_err(|_| Exhausted)?;
        let try_acquire = |semaphore: &Arc<Semaphore>| Arc::clone(semaphore).try_acquire_many_owned(bytes);
        let share = self.share.as_ref().map(try_acquire).transpose();
        Ok(Reservation {
            share: share.map_err(|_| Exhausted)?,
            total: try_acquire(&self.total).map_err(|_| Exhausted)?,
        })
    }

    /// An empty account.
    pub(super) fn account(&self) -> Account {
        Account {
            budget: self.clone(),
            held: None,
        }
    }
}

fn capacity(bytes: usize) -> usize {
    bytes.min(Semaphore::MAX_PERMITS)
}

async fn acquire(semaphore: &Arc<Semaphore>, bytes: u32) -> Result<OwnedSemaphorePermit, Exhausted> {
    let acquired = Arc::clone(semaphore).acquire_many_owned(bytes).await;
    acquired.map_err(|_| Exhausted)
}

/// Reserved bytes of a [`Budget`], released on drop.
#[derive(Debug)]
pub struct Reservation {
    total: OwnedSemaphorePermit,
    share: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Adds another reservation of the same budget.
    pub fn merge(&mut self, other: Self) {
        self.total.merge(other.total);
        match (&mut self.share, other.share) {
            (Some(share), Some(other)) => share.merge(other),
            (share @ None, other) => *share = other,
            (Some(_), None) => {}
        }
    }

    /// Splits off `bytes`; `None` if it holds fewer.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Option<Self> {
        let total = self.total.split(bytes)?;
        let share = self.share.as_mut().and_then(|share| share.split(bytes));
        Some(Self { total, share })
    }
}

/// The bytes that one request holds, released on drop.
#[derive(Debug)]
pub(super) struct Account {
    budget: Budget,
    held: Option<Reservation>,
}

/// There is no memory left for this request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left for what clients send")]
pub struct Exhausted;

impl Account {
    /// Reserves memory as bytes arrive, so that a client can't reserve more than it sends.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = self.budget.try_reserve(bytes)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn accounts_share_budget_until_drop() {
        let budget = Budget::new(100);
        let (mut first, mut second) = (budget.account(), budget.account());
        assert_eq!(first.take(40), Ok(()));
        assert_eq!(first.take(40), Ok(()));
        assert_eq!(second.take(21), Err(Exhausted));
        drop(first);
        assert_eq!(second.take(100), Ok(()));
    }

    #[test]
    fn share_is_bounded() {
        let budget = Budget::new(100);
        let share = budget.share(30);
        let held = share.try_reserve(30).unwrap();
        assert_eq!(share.try_reserve(1).unwrap_err(), Exhausted);
        let rest = budget.try_reserve(70).unwrap();
        assert_eq!(budget.try_reserve(1).unwrap_err(), Exhausted);
        drop(held);
        assert!(share.try_reserve(31).is_err());
        assert!(share.try_reserve(30).is_ok());
        drop(rest);
        assert!(budget.try_reserve(100).is_ok());
    }

    #[test]
    fn reserve_waits_or_rejects_oversized() {
        let budget = Budget::new(100);
        let held = budget.try_reserve(60).unwrap();
        let mut reserving = Box::pin(budget.reserve(50));
        assert!(reserving.as_mut().now_or_never().is_none());
        drop(held);
        assert!(reserving.now_or_never().unwrap().is_ok());
        assert!(matches!(
            budget.share(10).reserve(11).now_or_never(),
            Some(Err(Exhausted))
        ));
    }

    #[test]
    fn split_part_is_released_separately() {
        let budget = Budget::new(100).share(50);
        let mut whole = budget.try_reserve(50).unwrap();
        let part = whole.split(20).unwrap();
        drop(whole);
        assert!(budget.try_reserve(31).is_err());
        let mut rest = budget.try_reserve(30).unwrap();
        rest.merge(part);
        drop(rest);
        assert!(budget.try_reserve(50).is_ok());
    }
}
