//! Delta tables on object storage: layout, snapshots, the one commit path.
//!
//! ```text
//! Location -> store (local folder with durable puts, or S3)
//! Table::open -> Snapshot (pinned by queries) <- Table::refresh
//! partitions -> write_file -> Table::commit (put-if-absent of the next version, with the log position) -> new Snapshot
//! ```
//!
//! Invariants: a snapshot is a whole Delta version and never changes; nobody else writes `_delta_log`.

mod blocking;
mod commit;
mod error;
mod folders;
mod read;
mod snapshot;
mod stats;
mod store;
mod table;
mod write;

pub use blocking::blocking;
pub use commit::{Commit, Progress, Txn, partition_folder};
pub use error::LakeError;
pub use folders::create_durably;
pub use read::read_columns;
pub use snapshot::{DataFile, Range, Snapshot};
pub use store::{Location, S3Options};
pub use table::Table;
pub use write::{
    EncodedFile, IMPORTED, Partition, SortedPieces, encode_ordered, encode_pieces, partitions, split_days, write_file,
};
