//! The statements whose rows are being streamed, so that another call can cancel them.
//!
//! An entry lives exactly as long as its stream, so there is nothing to clean up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use footfall_model::access::{Principal, Role};
use futures::future::{AbortHandle, AbortRegistration};
use metrics::gauge;
use parking_lot::Mutex;

/// By run and by stream: a ticket may be read more than once.
type Streams = BTreeMap<(u64, u64), AbortableStream>;

#[derive(Debug)]
struct AbortableStream {
    by: String,
    handle: AbortHandle,
}

/// All streams of this server.
#[derive(Debug, Default)]
pub(crate) struct ActiveQueries {
    streams: Mutex<Streams>,
    numbers: AtomicU64,
}

impl ActiveQueries {
    /// A number for the next run of a statement, never 0.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Registers a stream of `run` until the returned entry is dropped.
    pub(crate) fn enter(self: &Arc<Self>, run: u64, principal: &Principal) -> (ActiveQuery, AbortRegistration) {
        let (handle, registration) = AbortHandle::new_pair();
        let key = (run, self.number());
        let started = AbortableStream {
            by: principal.token_id.clone(),
            handle,
        };
        self.streams.lock().insert(key, started);
        gauge!("footfall_flight_streams").increment(1);
        let entry = ActiveQuery {
            running: Arc::clone(self),
            key,
        };
        (entry, registration)
    }

    /// Stops those streams of `run` that `principal` may stop: its own, or any for an admin. Returns their number.
    pub(crate) fn cancel(&self, run: u64, principal: &Principal) -> usize {
        let streams = self.streams.lock();
        let of_run = streams.range((run, 0)..=(run, u64::MAX)).map(|(_, started)| started);
        let theirs = of_run.filter(|started| principal.role == Role::Admin || started.by == principal.token_id);
        theirs.map(|started| started.handle.abort()).count()
    }

    /// The number of open streams.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.streams.lock().len()
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct ActiveQuery {
    running: Arc<ActiveQueries>,
    key: (u64, u64),
}

impl Drop for ActiveQuery {
    fn drop(&mut self) {
        self.running.streams.lock().remove(&self.key);
        gauge!("footfall_flight_streams").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use footfall_model::access::SiteScope;
    use futures::StreamExt;
    use futures::stream::{self, Abortable};

    use super::*;

    fn principal(token_id: &str, role: Role) -> Principal {
        Principal {
            token_id: token_id.into(),
            role,
            sites: SiteScope::All,
        }
    }

    #[tokio::test]
    async fn run_is_cancelled_by_owner_or_admin() {
        let running = Arc::new(ActiveQueries::default());
        let ann = principal("ann", Role::Reader);
        let (_first, registration) = running.enter(7, &ann);
        let (_second, _) = running.enter(8, &ann);
        let mut rows = Abortable::new(stream::pending::<()>(), registration);

        assert_eq!(running.cancel(7, &principal("bob", Role::Reader)), 0);
        assert!(!rows.is_aborted());
        assert_eq!(running.cancel(9, &ann), 0);
        assert_eq!(running.cancel(7, &ann), 1);
        assert_eq!(rows.next().await, None);
        assert_eq!(running.cancel(8, &principal("root", Role::Admin)), 1);
    }

    #[test]
    fn ended_stream_is_removed() {
        let running = Arc::new(ActiveQueries::default());
        let ann = principal("ann", Role::Reader);
        let entries = (running.enter(1, &ann), running.enter(1, &ann));
        assert_eq!(running.count(), 2);
        drop(entries);
        assert_eq!(running.count(), 0);
    }
}
