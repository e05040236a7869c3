//! Rate limits per site: GCRA, one state per site.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use footfall_model::clock::{Clock, Micros};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter, clock as governor_clock};
use parking_lot::Mutex;

use super::options::CollectOptions;

/// Checks between cleanups, which drop the state of sites whose burst is full again.
const CHECKS_BETWEEN_CLEANUPS: u64 = 10_000;

type Limiter = RateLimiter<String, HashMapStateStore<String>, Elapsed, NoOpMiddleware<Nanos>>;

/// The rate limits of all sites.
pub(super) struct Rates {
    limiter: Limiter,
    elapsed: Elapsed,
    checks: AtomicU64,
}

impl Rates {
    pub(super) fn new(options: &CollectOptions, clock: Arc<dyn Clock>) -> Self {
        let rate = NonZeroU32::new(options.events_per_second).unwrap_or(NonZeroU32::MIN);
        // A burst smaller than a full batch would reject full batches forever.
        let batch = u32::try_from(options.batch_events).unwrap_or(u32::MAX);
        let burst = rate
            .saturating_add(rate.get())
            .max(NonZeroU32::new(batch).unwrap_or(NonZeroU32::MIN));
        let elapsed = Elapsed::new(clock);
        Self {
            limiter: RateLimiter::hashmap_with_clock(Quota::per_second(rate).allow_burst(burst), elapsed.clone()),
            elapsed,
            checks: AtomicU64::new(0),
        }
    }

    /// Takes `events` from the site's allowance, or returns the seconds until they would be allowed.
    pub(super) fn take(&self, site: &String, events: usize) -> Result<(), u32> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_BETWEEN_CLEANUPS == CHECKS_BETWEEN_CLEANUPS - 1 {
            self.limiter.retain_recent();
        }
        let Some(events) = u32::try_from(events).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        match self.limiter.check_key_n(site, events) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(governor_clock::Clock::now(&self.elapsed));
                Err(u32::try_from(wait.as_millis().div_ceil(1_000))
                    .unwrap_or(u32::MAX)
                    .max(1))
            }
            Err(_) => Err(1),
        }
    }
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("sites", &self.limiter.len()).finish()
    }
}

/// Elapsed time, which never runs backwards: otherwise a clock set back by an hour would cause an hour of rejections.
#[derive(Debug, Clone)]
struct Elapsed {
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<LastReading>>,
}

#[derive(Debug)]
struct LastReading {
    last: Micros,
    elapsed: u64,
}

impl Elapsed {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let last = clock.now();
        Self {
            clock,
            seen: Arc::new(Mutex::new(LastReading { last, elapsed: 0 })),
        }
    }
}

impl governor_clock::Clock for Elapsed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut seen = self.seen.lock();
        let now = self.clock.now();
        let passed = u64::try_from(now.saturating_sub(seen.last)).unwrap_or(0);
        seen.last = now;
        seen.elapsed = seen.elapsed.saturating_add(passed.saturating_mul(1_000));
        Nanos::from(seen.elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::tests::ManualClock;

    fn rates(events_per_second: u32) -> (Rates, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::default());
        let options = CollectOptions {
            events_per_second,
            batch_events: 10,
            ..CollectOptions::default()
        };
        (Rates::new(&options, Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    #[test]
    fn burst_is_twice_the_rate() {
        let (rates, clock) = rates(100);
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(rates.take(&a, 200), Ok(()));
        assert_eq!(rates.take(&a, 1), Err(1));
        assert_eq!(rates.take(&b, 200), Ok(()), "each site has its own");
        assert_eq!(rates.take(&a, 150), Err(2), "the time that it takes to earn 150");
        clock.advance_millis(1_000);
        assert_eq!(rates.take(&a, 100), Ok(()));
        assert_eq!(rates.take(&a, 1), Err(1));
    }

    #[test]
    fn low_rate_allows_full_batch() {
        let (rates, clock) = rates(1);
        let a = "a".to_owned();
        assert_eq!(rates.take(&a, 10), Ok(()));
        assert_eq!(rates.take(&a, 10), Err(10));
        clock.advance_millis(10_000);
        assert_eq!(rates.take(&a, 10), Ok(()));
    }

    #[test]
    fn clock_set_back_is_harmless() {
        let (rates, clock) = rates(100);
        let a = "a".to_owned();
        assert_eq!(rates.take(&a, 200), Ok(()));
        clock.advance_millis(-3_600_000);
        assert_eq!(rates.take(&a, 100), Err(1));
        clock.advance_millis(1_000);
        assert_eq!(rates.take(&a, 100), Ok(()));
    }

    #[test]
    fn idle_sites_are_forgotten() {
        let (rates, clock) = rates(100);
        for site in 0..CHECKS_BETWEEN_CLEANUPS - 1 {
            assert_eq!(rates.take(&site.to_string(), 1), Ok(()));
        }
        clock.advance_millis(60_000);
        assert_eq!(rates.take(&"last".to_owned(), 1), Ok(()));
        assert_eq!(rates.limiter.len(), 1);
    }
}
