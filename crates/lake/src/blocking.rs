//! Work that wants a runtime's threads: sorting, encoding, Delta's own reader.

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinError;

use crate::LakeError;

/// Does `work` on a thread where it keeps nobody waiting. Outside of a tokio runtime there is no such thread and
/// nobody to keep waiting, so it is done at once: a simulation, which is its own runtime, stays deterministic.
///
/// # Errors
/// The work panicked, or the runtime is shutting down.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await,
        Err(_) => Ok(work()),
    }
}

/// Does what needs a tokio runtime. Where there is none it gets one for as long as it takes, and the caller's thread
/// waits: for a simulation the world stands still meanwhile.
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

#[cfg(test)]
mod tests {
    use std::thread;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_runtime_does_it_on_another_thread() {
        let there = blocking(|| thread::current().id()).await.unwrap();
        assert_ne!(there, thread::current().id());
    }

    #[test]
    fn without_a_runtime_it_is_done_at_once() {
        let there = blocking(|| thread::current().id()).now_or_never().unwrap().unwrap();
        assert_eq!(there, thread::current().id());
    }
}
