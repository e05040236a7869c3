//! Time and randomness as parameters.

use std::fmt::Debug;
use std::time::{SystemTime, UNIX_EPOCH};

/// UTC time in microseconds since 1970-01-01.
pub type Micros = i64;

/// Microseconds of a second.
pub const SECOND: Micros = 1_000_000;

/// Microseconds of an hour.
pub const HOUR: Micros = 3_600 * SECOND;

/// Microseconds of a day.
pub const DAY: Micros = 86_400 * SECOND;

/// A source of the current time.
pub trait Clock: Debug + Send + Sync {
    /// UTC, microseconds since 1970-01-01.
    fn now(&self) -> Micros;
}

/// A source of new ids.
pub trait IdGen: Debug + Send + Sync {
    /// 128 bits that can't be guessed and never repeat.
    fn next_id(&self) -> u128;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Micros {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Micros::try_from(since_epoch.as_micros()).unwrap_or(Micros::MAX)
    }
}

/// The machine's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdGen for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that draws random ids")]
    fn next_id(&self) -> u128 {
        rand::random()
    }
}
