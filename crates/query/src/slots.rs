//! How many statements run at once.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::QueryError;

/// The places of running statements; who finds none waits, but not for ever.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    total: usize,
    patience: Duration,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(total: usize, patience: Duration) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
            patience,
        }
    }

    pub(crate) async fn acquire(&self) -> Result<Slot, QueryError> {
        let Ok(Ok(permit)) = timeout(self.patience, Arc::clone(&self.free).acquire_owned()).await else {
            return Err(QueryError::Limit(format!(
                "{} queries were running and none ended within {:?}; try again later",
                self.total, self.patience
            )));
        };
        gauge!("footfall_queries_running").increment(1);
        Ok(Slot { _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        gauge!("footfall_queries_running").decrement(1);
    }
}
