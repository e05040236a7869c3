//! Waiting, as a parameter: a simulation lets hours pass at once.

use std::fmt::Debug;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

/// Time that only goes on, and how to wait for it.
pub(crate) trait Timer: Debug + Send + Sync {
    /// Since some fixed moment.
    fn now(&self) -> Duration;
    /// Returns once so much time has passed.
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
