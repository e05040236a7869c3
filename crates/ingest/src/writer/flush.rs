//! When to write buffered events: a pure policy.

use std::time::Duration;

/// Limits of what is buffered before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushPolicy {
    /// The longest time an event is buffered before it is written.
    pub interval: Duration,
    /// Rows at which the buffer is written at once.
    pub rows: usize,
    /// Bytes in memory at which the buffer is written at once.
    pub bytes: usize,
    /// How long a position without new rows (all duplicates) is held back before it is committed alone.
    pub idle_interval: Duration,
}

impl Default for FlushPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            rows: 250_000,
            bytes: 32 * 1_024 * 1_024,
            idle_interval: Duration::from_secs(60),
        }
    }
}

/// The state of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backlog {
    /// WAL records read since the last commit.
    pub(super) records: u64,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// Time since the oldest record was read.
    pub(super) age: Duration,
}

/// What to do, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlushDecision {
    /// Nothing is buffered.
    Idle,
    /// Wait for more, at most this long.
    Wait(Duration),
    Flush(FlushReason),
}

/// Why the buffer is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlushReason {
    Age,
    Rows,
    Bytes,
    /// Positions without rows.
    Idle,
    Shutdown,
}

impl FlushReason {
    /// For logs and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Idle => "idle",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Size is checked before age, so that the reason names the bottleneck.
pub(super) fn decide(policy: &FlushPolicy, backlog: &Backlog) -> FlushDecision {
    if backlog.records == 0 {
        return FlushDecision::Idle;
    }
    let (limit, reason) = if backlog.rows > 0 {
        (policy.interval, FlushReason::Age)
    } else {
        (policy.idle_interval, FlushReason::Idle)
    };
    if backlog.rows >= policy.rows {
        FlushDecision::Flush(FlushReason::Rows)
    } else if backlog.bytes >= policy.bytes {
        FlushDecision::Flush(FlushReason::Bytes)
    } else if backlog.age >= limit {
        FlushDecision::Flush(reason)
    } else {
        FlushDecision::Wait(limit.saturating_sub(backlog.age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rows: usize, bytes: usize, millis: u64) -> FlushDecision {
        let policy = FlushPolicy {
            interval: Duration::from_secs(2),
            rows: 100,
            bytes: 1_000,
            idle_interval: Duration::from_secs(60),
        };
        let age = Duration::from_millis(millis);
        decide(
            &policy,
            &Backlog {
                records: 1,
                rows,
                bytes,
                age,
            },
        )
    }

    #[test]
    fn full_or_old_rows_are_flushed() {
        assert_eq!(after(1, 1, 0), FlushDecision::Wait(Duration::from_secs(2)));
        assert_eq!(after(1, 1, 1_999), FlushDecision::Wait(Duration::from_millis(1)));
        assert_eq!(after(1, 1, 2_000), FlushDecision::Flush(FlushReason::Age));
        assert_eq!(after(100, 1, 0), FlushDecision::Flush(FlushReason::Rows));
        assert_eq!(after(1, 1_000, 9_999), FlushDecision::Flush(FlushReason::Bytes));
    }

    #[test]
    fn positions_without_rows_wait_longer() {
        assert_eq!(after(0, 0, 2_000), FlushDecision::Wait(Duration::from_secs(58)));
        assert_eq!(after(0, 0, 60_000), FlushDecision::Flush(FlushReason::Idle));
    }

    #[test]
    fn empty_buffer_is_idle() {
        let nothing = Backlog {
            records: 0,
            rows: 0,
            bytes: 0,
            age: Duration::MAX,
        };
        assert_eq!(decide(&FlushPolicy::default(), &nothing), FlushDecision::Idle);
    }
}
