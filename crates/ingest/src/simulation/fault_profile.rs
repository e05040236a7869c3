//! How often the store fails and how long its requests take.

use std::ops::RangeInclusive;

/// The store's behaviour for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultProfile {
    Calm,
    Slow,
    /// Requests fail before they take effect.
    Flaky,
    /// Replies are lost, after the effect or before it.
    Lossy,
    /// Lists omit the newest objects.
    Stale,
    /// All of these, often.
    Storm,
    /// All of these, seldom: what takes many requests comes to its end, too.
    Shaky,
    /// Every request fails.
    Away,
}

/// Percentages of requests, and microseconds until a request arrives and until its reply does.
#[derive(Debug, Clone)]
pub(super) struct FaultRates {
    refused: u64,
    reply_lost: u64,
    retried_by_client: u64,
    late: u64,
    pub(super) stale: u64,
    pub(super) latency: RangeInclusive<u64>,
}

/// A request that timed out takes effect within this time, in microseconds.
pub(super) const LATE: u64 = 20_000_000;

impl FaultProfile {
    pub(super) fn rates(self) -> FaultRates {
        let rates = |refused, reply_lost, retried_by_client, late, stale, latency| FaultRates {
            refused,
            reply_lost,
            retried_by_client,
            late,
            stale,
            latency,
        };
        match self {
            Self::Calm => rates(0, 0, 0, 0, 0, 200..=3_000),
            Self::Slow => rates(0, 0, 0, 0, 0, 50_000..=1_500_000),
            Self::Flaky => rates(35, 0, 0, 0, 0, 200..=20_000),
            Self::Lossy => rates(5, 20, 15, 15, 0, 200..=50_000),
            Self::Stale => rates(0, 0, 0, 0, 60, 200..=3_000),
            Self::Storm => rates(15, 12, 8, 12, 25, 200..=500_000),
            Self::Shaky => rates(2, 6, 4, 6, 10, 200..=300_000),
            Self::Away => rates(100, 0, 0, 0, 0, 200..=100_000),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreFault {
    Fine,
    Refused,
    ReplyLost,
    RetriedByClient,
    Late,
}

impl FaultRates {
    pub(super) fn fault(&self, roll: u64) -> StoreFault {
        let mut edge = 0;
        for (percent, fault) in [
            (self.refused, StoreFault::Refused),
            (self.reply_lost, StoreFault::ReplyLost),
            (self.retried_by_client, StoreFault::RetriedByClient),
            (self.late, StoreFault::Late),
        ] {
            edge += percent;
            if roll < edge {
                return fault;
            }
        }
        StoreFault::Fine
    }
}
