//! Sleeping as a parameter, so that hours pass at once in a simulation.

use std::fmt::Debug;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

/// A monotonic clock with sleep.
pub(crate) trait Timer: Debug + Send + Sync {
    /// Time since a fixed moment.
    fn now(&self) -> Duration;
    /// Returns after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Tokio's timers.
#[derive(Debug)]
pub(super) struct TokioTimer {
    since: Instant,
}

impl TokioTimer {
    pub(super) fn new() -> Self {
        Self { since: Instant::now() }
    }
}

impl Timer for TokioTimer {
    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        sleep(duration).boxed()
    }
}
