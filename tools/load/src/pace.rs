//! When the next request is due. Pure but for the count of the turns that were taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Turns to send a request, shared by all connections: whichever is free takes the next.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: Instant,
    length: Duration,
    /// Between requests; `None`: each connection sends as soon as it has its reply.
    interval: Option<Duration>,
    taken: AtomicU64,
}

impl Schedule {
    /// `rate`: requests a second over all connections.
    pub(crate) fn new(start: Instant, length: Duration, rate: Option<f64>) -> Self {
        Self {
            start,
            length,
            interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            taken: AtomicU64::new(0),
        }
    }

    /// When the next request is due; in the past if it is late. `None`: it is over.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let over = self.end();
        if now >= over {
            return None;
        }
        let Some(interval) = self.interval else {
            return Some(now);
        };
        let turn = self.taken.fetch_add(1, Ordering::Relaxed);
        let due = self.start + nanos(interval).map_or(self.length, |nanos| Duration::from_nanos(nanos * turn));
        (due < over).then_some(due)
    }

    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    pub(crate) fn end(&self) -> Instant {
        self.start + self.length
    }

    pub(crate) fn is_steady(&self) -> bool {
        self.interval.is_some()
    }

    /// Requests that were due but that no connection was free to send.
    pub(crate) fn left(&self) -> u64 {
        let due = self.interval.map_or(0, |interval| {
            let turns = self.length.as_nanos().div_ceil(interval.as_nanos().max(1));
            u64::try_from(turns).unwrap_or(u64::MAX)
        });
        due.saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}

fn nanos(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn closed_loop_is_due_at_once() {
        let start = Instant::now();
        let schedule = Schedule::new(start, SECOND, None);
        assert_eq!(schedule.next(start), Some(start));
        assert_eq!(schedule.next(start + SECOND / 2), Some(start + SECOND / 2));
        assert_eq!(schedule.next(start + SECOND), None);
        assert_eq!(schedule.left(), 0);
    }

    #[test]
    fn late_connection_gets_overdue_turn() {
        let start = Instant::now();
        let schedule = Schedule::new(start, SECOND, Some(10.0));
        assert_eq!(schedule.next(start), Some(start));
        assert_eq!(schedule.next(start + SECOND / 2), Some(start + SECOND / 10));
        assert_eq!(schedule.next(start + SECOND / 2), Some(start + SECOND / 5));
        assert_eq!(schedule.left(), 7, "of ten turns three were taken");
        assert_eq!(schedule.next(start + SECOND), None);
    }

    #[test]
    fn no_turn_is_after_the_end() {
        let start = Instant::now();
        let schedule = Schedule::new(start, SECOND, Some(2.0));
        let turns = std::iter::from_fn(|| schedule.next(start)).count();
        assert_eq!(turns, 2);
        assert_eq!(schedule.left(), 0);
    }
}
