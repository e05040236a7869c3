//! Delta tables on object storage: layout, snapshots, the one commit path.
//!
//! ```text
//! Table::open -> Snapshot (pinned by queries) <- Table::refresh
//! write files -> Table::commit (put-if-absent of the next version, with the log position) -> new Snapshot
//! ```
//!
//! Invariants: a snapshot is a whole Delta version and never changes; nobody else writes `_delta_log`.

mod commit;
mod error;
mod snapshot;
mod stats;
mod table;

pub use commit::{Commit, Txn, partition_folder};
pub use error::LakeError;
pub use snapshot::{DataFile, Range, Snapshot};
pub use table::Table;
