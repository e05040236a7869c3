//! The write-ahead log (WAL): an accepted event is durable here before the reply.
//!
//! [`EventLog`] is the interface. [`LocalWal`] implements it in a folder of segment files:
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
//! | `disk` | the only access to the file system, so that it can be simulated |
//! | `scan`, `walk` | a segment's frames, and where they differ from what is expected |
//! | `recovery`, `verify` | what a folder holds; torn or damaged |
//! | `store` | the segments: commit a group, trim, failures. Synchronous, single-threaded |
//! | `queue`, `committer` | queued records; groups, answers, the thread |
//! | `tail`, `read` | reading |
//!
//! # Guarantees
//!
//! - An `append` that returned a position is on stable storage, exactly once, at that position.
//! - An `append` that returned an error may or may not be in the WAL after a restart; until then it is not.
//! - Positions are gapless and never used twice, also when everything was trimmed.
//! - A record is readable only once it is durable.
//! - Memory is bounded: the queue, the group, the tail, a reader's chunk, the lists of damage.
//!
//! # A torn tail or damage?
//!
//! An interrupted write (never acknowledged) and a flipped bit in an acknowledged record look alike: something is not
//! a whole record. They must not be treated alike. The first is cut off and reported; the second is never cut off and
//! never skipped.
//!
//! They differ if there is proof that the broken record had been durable. A group is written only after the group
//! before it was synced, and every record names the first position of its group. So a whole record *of a later group*
//! behind the broken one proves it; a whole record of the same group proves nothing, since the sectors of one
//! interrupted write reach the disk in any order. For the last group the proof is a *seal*, written (not synced)
//! before the group is answered if nothing else is queued, and synced on close; for the last group of a file that has a
//! successor it is the successor's header. A `kill -9` leaves the page cache and with it the seal; only a power failure
//! within the moments after a group leaves it unproved, and then the tail is cut and reported as torn.
//!
//! `open` succeeds on damage, since an old flipped bit must not stop the collection of new events: the damaged file
//! stays as it is and is never written again, appends continue in a new one, whole records before and behind the damage
//! stay readable, the damage is in [`Recovery`], in log messages and in `footfall_wal_damaged_total`, and a reader that
//! reaches it gets [`WalError::Damaged`] every time until it asks for `resume_at` itself. `open` fails if no record can
//! be checked, or if files of several WALs are mixed.
//!
//! # When the disk fails
//!
//! A failed write is cut off again and the group is answered with an error; the next group tries again, so a full
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

pub use committer::{Committer, CommitterTurn};
pub use disk::{Disk, FsDisk, WalFile};
pub use error::{Damage, WalError};
pub use local::LocalWal;
pub use options::WalOptions;
pub use recovery::Recovery;
pub use verify::{VerifyReport, verify, verify_on};

/// The sequence number of a record. The first record of a WAL is 1; 0 is "before the first".
pub type Position = u64;

/// One record: an encoded `EventBatch`.
#[derive(Debug, Clone)]
pub struct Record {
    pub position: Position,
    pub payload: Bytes,
}

/// The durable, replayable write-ahead log of one shard.
///
/// A payload should own its memory: the WAL keeps the newest ones, and a slice would keep the whole request alive.
#[async_trait]
pub trait EventLog: Debug + Send + Sync {
    /// The WAL's permanent id: positions of different WALs can't be compared.
    fn id(&self) -> u128;

    /// Stores one record. When it returns, the record is on stable storage.
    async fn append(&self, payload: Bytes) -> Result<Position, WalError>;

    /// Whether the WAL is full. `append` reports it too, but only after the caller has encoded a record, which takes
    /// CPU time from the writer, and only the writer can free space.
    ///
    /// # Errors
    /// [`WalError::Overloaded`] from the first record that did not fit until the WAL has become smaller.
    fn check_room(&self) -> Result<(), WalError> {
        Ok(())
    }

    /// Records from `from` (inclusive) in order, as many as fit in `max_bytes` but at least one if there is one;
    /// empty if `from` is the next to be written. Records are returned up to damage; the next call,
    /// from there, returns [`WalError::Damaged`].
    async fn read_from(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, WalError>;

    /// Returns when the record at `position` is durable.
    async fn wait_for(&self, position: Position) -> Result<(), WalError>;

    /// The last durable position; 0 if nothing was ever written.
    fn last(&self) -> Position;

    /// Removes records up to and including `position`, as far as that frees whole segments.
    async fn trim(&self, position: Position) -> Result<(), WalError>;
}
