//! How many events an aggregate may read that no rollup answers. Pure: what it would read in, a verdict with its reason out.

use std::fmt;
use std::str::FromStr;

/// A statement that samples by itself does so where the asked time is longer, or has more events.
const MAX_EXACT_DAYS: u64 = 90;
const MAX_EXACT_EVENTS: u64 = 1_000_000_000;

/// The configured limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawLimit {
    /// Events that one aggregate may read; 0: any number.
    pub rows: u64,
    pub beyond: Beyond,
}

/// What becomes of an aggregate that would read more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Beyond {
    #[default]
    Refuse,
    /// It reads a tenth of the visitors, if its numbers can be estimated from them.
    Sample,
}

impl Beyond {
    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Sample => "sample",
        }
    }
}

impl FromStr for Beyond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Refuse, Self::Sample]
            .into_iter()
            .find(|known| known.name() == text);
        known.ok_or_else(|| format!("{text:?} is nothing that becomes of a query; expected refuse or sample"))
    }
}

/// How a statement's aggregates over events may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Whether segments may answer.
    pub(crate) routing: bool,
    /// Whether the caller lets long reports be sampled.
    pub(crate) sampling: bool,
    pub(crate) limit: RawLimit,
}

/// What an aggregate would read, as far as the caller may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) rows: u64,
    /// Of the asked time; `None` if it has no end.
    pub(super) days: Option<u64>,
    /// Whether its numbers can be estimated from a sample.
    pub(super) can_be_sampled: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Read,
    Sample(Excess),
    Refuse(Excess),
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Days,
    Events { rows: u64, limit: u64 },
}

impl Budget {
    /// Whether every aggregate reads all that it asks for.
    pub(super) fn is_unlimited(&self) -> bool {
        !self.sampling && self.limit.rows == 0
    }

    pub(super) fn verdict(&self, reading: Reading) -> Verdict {
        let Reading {
            rows,
            days,
            can_be_sampled,
        } = reading;
        let RawLimit { rows: limit, beyond } = self.limit;
        if self.sampling && can_be_sampled {
            if days.is_none_or(|days| days > MAX_EXACT_DAYS) {
                return Verdict::Sample(Excess::Days);
            }
            if rows > MAX_EXACT_EVENTS {
                let limit = MAX_EXACT_EVENTS;
                return Verdict::Sample(Excess::Events { rows, limit });
            }
        }
        if limit == 0 || rows <= limit {
            return Verdict::Read;
        }
        match beyond {
            Beyond::Sample if can_be_sampled => Verdict::Sample(Excess::Events { rows, limit }),
            _ => Verdict::Refuse(Excess::Events { rows, limit }),
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days => write!(f, "the asked time has more than {MAX_EXACT_DAYS} days"),
            Self::Events { rows, limit } => write!(f, "{rows} events are more than {limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregate_is_read_sampled_or_refused() {
        let budget = |sampling, rows, beyond| Budget {
            routing: true,
            sampling,
            limit: RawLimit { rows, beyond },
        };
        let reading = |rows, days, can_be_sampled| Reading {
            rows,
            days,
            can_be_sampled,
        };
        let events = |rows, limit| Excess::Events { rows, limit };
        let billion = 1_000_000_000;
        for (budget, reading, expected) in [
            (
                budget(false, 0, Beyond::Refuse),
                reading(u64::MAX, None, true),
                Verdict::Read,
            ),
            (
                budget(true, 0, Beyond::Refuse),
                reading(5, Some(90), true),
                Verdict::Read,
            ),
            (
                budget(true, 0, Beyond::Refuse),
                reading(5, Some(91), true),
                Verdict::Sample(Excess::Days),
            ),
            (
                budget(true, 0, Beyond::Refuse),
                reading(5, None, true),
                Verdict::Sample(Excess::Days),
            ),
            (
                budget(true, 0, Beyond::Refuse),
                reading(5, Some(91), false),
                Verdict::Read,
            ),
            (
                budget(true, 0, Beyond::Refuse),
                reading(billion, Some(1), true),
                Verdict::Read,
            ),
            (
                budget(true, 0, Beyond::Refuse),
                reading(billion + 1, Some(1), true),
                Verdict::Sample(events(billion + 1, billion)),
            ),
            (
                budget(false, 10, Beyond::Refuse),
                reading(10, None, true),
                Verdict::Read,
            ),
            (
                budget(false, 10, Beyond::Refuse),
                reading(11, None, true),
                Verdict::Refuse(events(11, 10)),
            ),
            (
                budget(false, 10, Beyond::Sample),
                reading(11, None, true),
                Verdict::Sample(events(11, 10)),
            ),
            (
                budget(false, 10, Beyond::Sample),
                reading(11, None, false),
                Verdict::Refuse(events(11, 10)),
            ),
        ] {
            assert_eq!(budget.verdict(reading), expected, "{budget:?} {reading:?}");
        }
    }
}
