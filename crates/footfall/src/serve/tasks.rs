//! Background tasks of one shape: a name, a token that cancels it, and a join on shutdown.

use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks that start and stop together.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failure: TaskFailure,
}

/// The first task that failed, of any group. A failure stops the whole server.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskFailure {
    seen: CancellationToken,
    error: Arc<Mutex<Option<anyhow::Error>>>,
}

impl TaskFailure {
    /// Returns when a task has failed.
    pub(crate) async fn seen(&self) {
        self.seen.cancelled().await;
    }

    /// The error, once.
    pub(crate) fn take(&self) -> Option<anyhow::Error> {
        self.error.lock().take()
    }

    fn set(&self, error: anyhow::Error) {
        self.error.lock().get_or_insert(error);
        self.seen.cancel();
    }
}

impl Tasks {
    pub(crate) fn new(failure: &TaskFailure) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failure: failure.clone(),
        }
    }

    /// Spawns the future that `work` makes of the stop token. An error stops the whole server.
    pub(crate) fn spawn<F>(&self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let work = work(self.stop.clone());
        let failure = self.failure.clone();
        self.tracker.spawn(async move {
            match work.await.with_context(|| format!("{name} stopped")) {
                Ok(()) => tracing::debug!(name, "task ended"),
                Err(error) => {
                    tracing::error!(name, error = format!("{error:#}"), "task failed");
                    failure.set(error);
                }
            }
        });
    }

    /// Cancels all tasks and joins them.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_joins_every_task() {
        let failure = TaskFailure::default();
        let tasks = Tasks::new(&failure);
        let done = Arc::new(Mutex::new(0));
        for _ in 0..3 {
            let done = Arc::clone(&done);
            tasks.spawn("sleeper", |stop| async move {
                stop.cancelled().await;
                tokio::task::yield_now().await;
                *done.lock() += 1;
                Ok(())
            });
        }
        tasks.stop().await;
        assert_eq!(*done.lock(), 3);
        assert!(failure.take().is_none());
    }

    #[tokio::test]
    async fn first_failure_keeps_task_name() {
        let failure = TaskFailure::default();
        let tasks = Tasks::new(&failure);
        tasks.spawn("writer", |_| async { Err(anyhow::anyhow!("fenced")) });
        failure.seen().await;
        tasks.stop().await;
        assert_eq!(format!("{:#}", failure.take().unwrap()), "writer stopped: fenced");
    }
}
