//! How often what goes wrong at the store, and how long everything takes.

use std::ops::RangeInclusive;

/// How the store behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultProfile {
    Calm,
    Slow,
    /// Refuses before anything happens.
    Flaky,
    /// Answers are lost, after the effect or before it.
    Lossy,
    /// Lists do not show the newest objects.
    Stale,
    /// All of it.
    Storm,
    /// Nothing gets through.
    Away,
}

/// Percentages of requests, and microseconds until a request arrives and until its answer does.
#[derive(Debug, Clone)]
pub(super) struct Odds {
    refused: u64,
    unanswered: u64,
    asked_again: u64,
    late: u64,
    pub(super) stale: u64,
    pub(super) latency: RangeInclusive<u64>,
}

/// A request that timed out takes effect within this time, in microseconds.
pub(super) const LATE: u64 = 20_000_000;

impl FaultProfile {
    pub(super) fn odds(self) -> Odds {
        let odds = |refused, unanswered, asked_again, late, stale, latency| Odds {
            refused,
            unanswered,
            asked_again,
            late,
            stale,
            latency,
        };
        match self {
            Self::Calm => odds(0, 0, 0, 0, 0, 200..=3_000),
            Self::Slow => odds(0, 0, 0, 0, 0, 50_000..=1_500_000),
            Self::Flaky => odds(35, 0, 0, 0, 0, 200..=20_000),
            Self::Lossy => odds(5, 20, 15, 15, 0, 200..=50_000),
            Self::Stale => odds(0, 0, 0, 0, 60, 200..=3_000),
            Self::Storm => odds(15, 12, 8, 12, 25, 200..=500_000),
            Self::Away => odds(100, 0, 0, 0, 0, 200..=100_000),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    Refused,
    Unanswered,
    AskedAgain,
    Late,
}

impl Odds {
    pub(super) fn fate(&self, dice: u64) -> Fate {
        let mut edge = 0;
        for (percent, fate) in [
            (self.refused, Fate::Refused),
            (self.unanswered, Fate::Unanswered),
            (self.asked_again, Fate::AskedAgain),
            (self.late, Fate::Late),
        ] {
            edge += percent;
            if dice < edge {
                return fate;
            }
        }
        Fate::Fine
    }
}
