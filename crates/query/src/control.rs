//! The control of one statement: pauses it between two batches, and stops it anywhere.
//!
//! Every operator's stream and every planning step checks the control before it continues. Code without an argument for
//! it (functions that DataFusion calls) finds it with [`checkpoint`], by the current thread.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use datafusion::common::DataFusionError;
use parking_lot::Mutex;

use crate::{QueryError, busy};

/// Shared by a statement's operators and its scheduler.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stopped: OnceLock<QueryError>,
    paused: AtomicBool,
    /// The tasks that found the statement paused.
    wakers: Mutex<Vec<Waker>>,
}

impl Control {
    /// Ends the statement: whatever it does next fails with `reason`. The first reason counts.
    pub(crate) fn stop(&self, reason: QueryError) {
        let _ = self.stopped.set(reason);
        self.wake();
    }

    /// No operator starts another batch until [`Control::resume`].
    pub(crate) fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Release);
        self.wake();
    }

    /// # Errors
    /// The reason for which the statement was stopped.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        self.stopped.get().map_or(Ok(()), |reason| Err(reason.clone()))
    }

    /// Ready once the statement may compute.
    pub(crate) fn poll_running(&self, cx: &Context<'_>) -> Poll<Result<(), QueryError>> {
        if let Err(reason) = self.check() {
            return Poll::Ready(Err(reason));
        }
        if !self.paused.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        self.register(cx);
        // It may have been resumed before the waker was registered.
        if self.paused.load(Ordering::Acquire) && self.stopped.get().is_none() {
            return Poll::Pending;
        }
        Poll::Ready(self.check())
    }

    /// Ready once the statement is stopped.
    pub(crate) fn poll_stopped(&self, cx: &Context<'_>) -> Poll<QueryError> {
        self.register(cx);
        self.stopped
            .get()
            .map_or(Poll::Pending, |reason| Poll::Ready(reason.clone()))
    }

    fn register(&self, cx: &Context<'_>) {
        let mut wakers = self.wakers.lock();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// What a statement is doing on this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Values that are computed now become part of the plan.
    Planning,
    Executing,
}

thread_local! {
    static CURRENT: RefCell<Option<(Arc<Control>, Phase)>> = const { RefCell::new(None) };
}

/// Runs `work` on behalf of the statement.
pub(crate) fn enter<T>(control: &Arc<Control>, phase: Phase, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<(Arc<Control>, Phase)>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| *current = self.0.take());
        }
    }
    let entered = (Arc::clone(control), phase);
    let _restore = Restore(CURRENT.with_borrow_mut(|current| current.replace(entered)));
    busy::entered(work)
}

/// Whether the statement of this thread may continue; always, if there is none.
///
/// # Errors
/// The reason for which it was stopped.
pub(crate) fn checkpoint() -> Result<(), DataFusionError> {
    let checked = CURRENT.with_borrow(|current| current.as_ref().map_or(Ok(()), |(control, _)| control.check()));
    checked.map_err(|reason| DataFusionError::External(Box::new(reason)))
}

/// Whether this thread is planning.
pub(crate) fn planning() -> bool {
    CURRENT.with_borrow(|current| matches!(current, Some((_, Phase::Planning))))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn paused_statement_waits_until_resumed_or_stopped() {
        let control = Arc::new(Control::default());
        control.pause();
        let waiting = |control: Arc<Control>| async move { poll_fn(|cx| control.poll_running(cx)).await };
        let brief = Duration::from_millis(20);
        assert!(timeout(brief, waiting(Arc::clone(&control))).await.is_err());

        let resumed = tokio::spawn(waiting(Arc::clone(&control)));
        tokio::time::sleep(brief).await;
        control.resume();
        assert_eq!(resumed.await.unwrap(), Ok(()));

        control.pause();
        let stopped = tokio::spawn(waiting(Arc::clone(&control)));
        tokio::time::sleep(brief).await;
        control.stop(QueryError::Limit("enough".into()));
        assert_eq!(stopped.await.unwrap(), Err(QueryError::Limit("enough".into())));
    }

    #[test]
    fn checkpoint_sees_the_innermost_statement() {
        let (going, stopped) = (Arc::new(Control::default()), Arc::new(Control::default()));
        stopped.stop(QueryError::Limit("enough".into()));
        assert!(checkpoint().is_ok());
        enter(&stopped, Phase::Planning, || {
            assert!(checkpoint().is_err());
            enter(&going, Phase::Executing, || {
                assert!(checkpoint().is_ok() && !planning())
            });
            assert!(checkpoint().is_err() && planning());
        });
        assert!(checkpoint().is_ok());
    }
}
