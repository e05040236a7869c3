//! Work that needs a runtime's threads: sorting, encoding, Delta's own reader.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

use crate::LakeError;

/// Runs `work` on a blocking thread. Outside of a tokio runtime, where there is neither such a thread nor a task to
/// block, it runs inline: a simulation, which is its own runtime, stays deterministic.
///
/// # Errors
/// The work panicked, or the runtime is shutting down.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await,
        Err(_) => Ok(work()),
    }
}

/// Runs work that needs a tokio runtime. Without one, a temporary runtime is created and the caller's thread blocks:
/// simulated time stands still meanwhile.
///
/// # Errors
/// The work's own, or that no runtime could be made.
pub(crate) async fn in_runtime<T>(work: impl Future<Output = Result<T, LakeError>>) -> Result<T, LakeError> {
    if Handle::try_current().is_ok() {
        return work.await;
    }
    let made = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = made.map_err(|error| LakeError::delta("read")(error.into()))?;
    runtime.block_on(work)
}

/// A runtime for one kind of work. Dropping it does not block on tasks that still run: a runtime must not be joined
/// inside of another.
#[derive(Debug)]
pub struct OwnRuntime {
    handle: Handle,
    /// `None` only during drop.
    runtime: Option<Runtime>,
}

impl OwnRuntime {
    /// # Errors
    /// The system has no threads left.
    pub fn start(builder: &mut Builder) -> io::Result<Self> {
        let runtime = builder.build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn runtime_uses_another_thread() {
        let there = blocking(|| thread::current().id()).await.unwrap();
        assert_ne!(there, thread::current().id());
    }

    #[tokio::test]
    async fn busy_runtime_can_be_dropped() {
        let own = OwnRuntime::start(Builder::new_multi_thread().worker_threads(1)).unwrap();
        let (started, begun) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = own.handle().spawn(async move {
            started.send(thread::current().id()).unwrap();
            let _ = ended.recv();
        });
        assert_ne!(begun.recv().unwrap(), thread::current().id());
        drop(own);
        drop(end);
        let _ = work.await;
    }

    #[test]
    fn work_without_runtime_runs_inline() {
        let there = blocking(|| thread::current().id()).now_or_never().unwrap().unwrap();
        assert_eq!(there, thread::current().id());
    }
}
