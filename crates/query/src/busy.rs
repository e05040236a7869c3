//! Measures how long a thread works on what a stream returned: until it polls again, or leaves the statement.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Thread {
    /// Calls of [`entered`] that have not returned.
    depth: usize,
    /// The batches being worked on.
    busy: Vec<(Instant, Arc<AtomicU64>)>,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// Runs a part of a statement.
pub(crate) fn entered<T>(work: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            THREAD.with_borrow_mut(|thread| {
                thread.depth -= 1;
                if thread.depth == 0 {
                    for (since, busy) in thread.busy.drain(..) {
                        busy.store(nanos(since.elapsed()), Ordering::Relaxed);
                    }
                }
            });
        }
    }
    THREAD.with_borrow_mut(|thread| thread.depth += 1);
    let _leave = Leave;
    work()
}

/// One stream's stopwatch.
#[derive(Debug, Default)]
pub(crate) struct Busy(Arc<AtomicU64>);

impl Busy {
    /// A batch is returned.
    pub(crate) fn start(&self) {
        self.0.store(0, Ordering::Relaxed);
        THREAD.with_borrow_mut(|thread| thread.busy.push((Instant::now(), Arc::clone(&self.0))));
    }

    /// The next poll. Returns the time, and whether it was spent within the current call; `None` if no batch was
    /// returned.
    pub(crate) fn stop(&self) -> Option<(Duration, bool)> {
        let ended = self.0.swap(0, Ordering::Relaxed);
        if ended > 0 {
            return Some((Duration::from_nanos(ended), false));
        }
        THREAD.with_borrow_mut(|thread| {
            let of_this = |(_, busy): &(Instant, Arc<AtomicU64>)| Arc::ptr_eq(busy, &self.0);
            let index = thread.busy.iter().position(of_this)?;
            let (since, _) = thread.busy.swap_remove(index);
            Some((since.elapsed(), true))
        })
    }
}

/// Never zero.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn time_ends_at_next_poll_or_exit() {
        let busy = Busy::default();
        assert_eq!(busy.stop(), None);
        let moment = Duration::from_millis(5);
        entered(|| {
            busy.start();
            sleep(moment);
            let (time, now) = busy.stop().unwrap();
            assert!(time >= moment && now);
            busy.start();
        });
        sleep(20 * moment);
        let (time, now) = entered(|| busy.stop()).unwrap();
        assert!(time < 20 * moment && !now, "{time:?}");
        assert_eq!(busy.stop(), None);
    }
}
