//! The log: where an accepted event is durable before the reply.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

mod error;

pub use error::{Damage, LogError};

/// The sequence number of a record. The first record of a log is 1; 0 is "before the first".
pub type Position = u64;

/// One record: an encoded `EventBatch`.
#[derive(Debug, Clone)]
pub struct Record {
    pub position: Position,
    pub payload: Bytes,
}

/// A durable, replayable log of one shard.
#[async_trait]
pub trait EventLog: Debug + Send + Sync {
    /// Names this log for ever: positions of different logs can't be compared.
    fn id(&self) -> u128;

    /// Stores one record. When it returns, the record is on stable storage.
    async fn append(&self, payload: Bytes) -> Result<Position, LogError>;

    /// Records from `from` (inclusive) in order, as many as fit in `max_bytes` but at least one if there is one;
    /// empty if `from` is the next to be written.
    async fn read_from(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, LogError>;

    /// Returns when the record at `position` is durable.
    async fn wait_for(&self, position: Position) -> Result<(), LogError>;

    /// The last durable position; 0 if nothing was ever written.
    fn last(&self) -> Position;

    /// Forgets records up to and including `position`, as far as that frees whole segments.
    async fn trim(&self, position: Position) -> Result<(), LogError>;
}
