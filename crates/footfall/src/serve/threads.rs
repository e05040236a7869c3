//! Threads that one piece of work has to itself.

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::cli::BLOCKING_IDLE;

/// A runtime for one task and what it starts.
#[derive(Debug)]
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// One thread for the task, and at most so many for files and long computations.
    pub(super) fn new(name: &'static str, blocking: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(blocking)
            .thread_keep_alive(BLOCKING_IDLE)
            .thread_name(name)
            .enable_all()
            .build()
            .with_context(|| format!("the threads of {name} can't be started"))?;
        Ok(Self(Some(runtime)))
    }

    /// Runs `work` to its end on these threads.
    pub(super) async fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let running = self.0.as_ref().map(|runtime| runtime.spawn(work));
        Ok(running.context("the threads have ended")?.await?)
    }
}

impl Drop for Threads {
    /// Without waiting for what is still computing: a runtime must not be waited for inside of another.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn work_and_what_it_starts_run_on_threads_of_its_own() {
        let threads = Threads::new("tester", 1).unwrap();
        let names = threads.run(async {
            let name = || thread::current().name().map(str::to_owned);
            let blocking = tokio::task::spawn_blocking(name).await.unwrap();
            [name(), blocking].map(Option::unwrap)
        });
        assert_eq!(names.await.unwrap(), ["tester", "tester"]);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let threads = Threads::new("tester", 1).unwrap();
        let ended = threads.run(async { assert!(thread::panicking(), "it does") }).await;
        assert!(ended.is_err());
    }
}
