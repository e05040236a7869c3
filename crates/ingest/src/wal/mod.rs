//! The log: where an accepted event is durable before the reply.
//!
//! [`EventLog`] is the face. [`LocalWal`] keeps it in a folder of segment files:
//!
//! ```text
//! append ──> queue (bounded) ──> committer: one thread ──> store: one write, one fsync per group ──> disk
//!    ^                                      |
//!    └──────── the position ────────────────┴──> tail (newest records) <── read_from ──> segments by walk and scan
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `record`, `segment` | the format: frames, seals, file headers. Pure |
//! | `disk` | the one door to the file system, so that it can be simulated |
//! | `scan`, `walk` | a segment's frames, and where they are not what belongs there |
//! | `recovery`, `verify` | what is in a folder; torn or damaged |
//! | `store` | the segments: commit a group, trim, failures. Synchronous, single-threaded |
//! | `queue`, `committer` | what waits; groups, answers, the thread |
//! | `tail`, `read` | reading |
//!
//! # What is promised
//!
//! - An `append` that returned a position is on stable storage, exactly once, at that position.
//! - An `append` that returned an error may or may not be in the log after a restart; until then it is not.
//! - Positions are gapless and never used twice, also when everything was trimmed.
//! - A record is readable only once it is durable.
//! - Memory is bounded: the queue, the group, the tail, a reader's chunk, the lists of damage.
//!
//! # A torn tail or damage?
//!
//! A write that was interrupted (nobody was told it had succeeded) and a bit that flipped in an acknowledged record
//! look alike: something is not a whole record. They must not be treated alike. The first is cut off and reported;
//! the second is never cut off and never passed over.
//!
//! What tells them apart is proof that the broken record had been durable. A group is written only after the group
//! before it was synced, and every record names the first position of its group. So a whole record *of a later group*
//! behind the broken one proves it; a whole record of the same group proves nothing, since the sectors of one
//! interrupted write reach the disk in any order. For the last group the proof is a *seal*, written (not synced)
//! before the group is answered if nothing else waits, and synced on close; for the last group of a file that has a
//! successor it is the successor's header. A `kill -9` leaves the page cache and with it the seal; only a power failure
//! within the moments after a group leaves it unproved, and then the tail is cut and reported as torn.
//!
//! When `open` finds damage it opens, since the events of today must not be refused because of a bit of yesterday:
//! the damaged file stays as it is and is never written again, appends go on in a new one, whole records before and
//! behind the damage stay readable, the damage is in [`Recovery`], in the log lines and in
//! `footfall_wal_damaged_total`, and a reader that comes to it gets [`WalError::Damaged`], again and again, until it
//! asks for `resume_at` itself. `open` refuses if no record could be checked, or if files of several logs are mixed.
//!
//! # When the disk fails
//!
//! A failed write is cut off again and the group is answered with an error; the next group tries anew, so a full
//! disk recovers when there is room. After a failed *sync* nothing is known about the page cache, so the file is cut
//! at the last durable record and never written again; the next group starts a new one. Should the cut fail too, the
//! rest in the old file is superseded: a segment ends where its successor begins.
//!
//! Space is not allocated ahead: measured on ext4, fdatasync of a growing file costs at most 0.05 ms more than of one
//! with its size set ahead, and zeros behind the records would hide where the tail was torn.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

mod committer;
mod disk;
mod error;
mod local;
mod options;
mod queue;
mod read;
mod record;
mod recovery;
mod scan;
mod segment;
mod store;
mod tail;
mod verify;
mod walk;

#[cfg(test)]
mod tests;

pub use committer::{Committer, Turn};
pub use disk::{Disk, FsDisk, WalFile};
pub use error::{Damage, WalError};
pub use local::LocalWal;
pub use options::WalOptions;
pub use recovery::Recovery;
pub use verify::{VerifyReport, verify, verify_on};

/// The sequence number of a record. The first record of a log is 1; 0 is "before the first".
pub type Position = u64;

/// One record: an encoded `EventBatch`.
#[derive(Debug, Clone)]
pub struct Record {
    pub position: Position,
    pub payload: Bytes,
}

/// A durable, replayable log of one shard.
///
/// A payload should own its memory: the log keeps the newest ones, and a slice would keep the whole request alive.
#[async_trait]
pub trait EventLog: Debug + Send + Sync {
    /// Names this log for ever: positions of different logs can't be compared.
    fn id(&self) -> u128;

    /// Stores one record. When it returns, the record is on stable storage.
    async fn append(&self, payload: Bytes) -> Result<Position, WalError>;

    /// Whether the log is full. An `append` finds out too, but only after the work of making a record, and that work
    /// would be taken from the writer, which alone can make room.
    ///
    /// # Errors
    /// [`WalError::Overloaded`] from the first record that found no room until the log has become smaller.
    fn check_room(&self) -> Result<(), WalError> {
        Ok(())
    }

    /// Records from `from` (inclusive) in order, as many as fit in `max_bytes` but at least one if there is one;
    /// empty if `from` is the next to be written. Damage ends the answer before it; the next call, from there, is
    /// answered [`WalError::Damaged`].
    async fn read_from(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, WalError>;

    /// Returns when the record at `position` is durable.
    async fn wait_for(&self, position: Position) -> Result<(), WalError>;

    /// The last durable position; 0 if nothing was ever written.
    fn last(&self) -> Position;

    /// Forgets records up to and including `position`, as far as that frees whole segments.
    async fn trim(&self, position: Position) -> Result<(), WalError>;
}
