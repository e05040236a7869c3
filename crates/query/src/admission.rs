//! Slots: so many statements at the same time, a short queue for the rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::QueryError;

#[derive(Debug)]
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
    patience: Duration,
}

impl Admission {
    pub(crate) fn new(slots: usize, patience: Duration) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots.max(1))),
            patience,
        }
    }

    /// A slot, kept until the permit is dropped.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        let slot = tokio::time::timeout(self.patience, Arc::clone(&self.slots).acquire_owned());
        match slot.await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(QueryError::Limit(format!(
                "too many queries are running; none ended within {:?}. Try again later",
                self.patience
            ))),
        }
    }
}
