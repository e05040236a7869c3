//! What an operator can set.

use super::record::MAX_PAYLOAD;

/// A generous estimate of a queued record's bytes beside its payload, so that many small ones are bounded too.
pub(super) const QUEUE_OVERHEAD: usize = 128;

/// The limits of a local WAL, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalOptions {
    /// A segment file that has reached this size is followed by a new one.
    pub segment_bytes: u64,
    /// Records queued for the disk; over it, `append` answers `Overloaded`.
    pub queue_bytes: usize,
    /// One record; over it, `append` answers `TooLarge`. At most 32 MiB.
    pub max_record_bytes: usize,
    /// Everything kept on disk; over it, `append` answers `Overloaded` until the WAL is trimmed.
    pub max_log_bytes: u64,
    /// Newest records kept in memory, so that a reader that keeps up does not read the disk.
    pub tail_bytes: usize,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            max_record_bytes: 16 << 20,
            max_log_bytes: 8 << 30,
            tail_bytes: 16 << 20,
        }
    }
}

impl WalOptions {
    /// The same with contradictory limits lowered: a record must fit in the queue and in the WAL, and a full WAL must
    /// have a whole segment to trim.
    pub(super) fn consistent(mut self) -> Self {
        let log_records = usize::try_from(self.max_log_bytes / 4).unwrap_or(usize::MAX);
        let room = self.queue_bytes.min(log_records).saturating_sub(QUEUE_OVERHEAD);
        self.max_record_bytes = self.max_record_bytes.min(MAX_PAYLOAD).min(room);
        self.segment_bytes = self.segment_bytes.min(self.max_log_bytes / 2);
        self
    }
}
