//! Delta tables on object storage: layout, snapshots, the one commit path.
//!
//! ```text
//! Location -> store, rooted at a shard (local folder with durable puts, or S3)
//! Lake::open -> a Table for each TableSpec -> Snapshot (pinned by queries) <- Table::refresh
//! rows -> write -> DataFile -> Table::commit (put-if-absent of the next version) -> new Snapshot
//! ```
//!
//! Invariants: a snapshot is a whole Delta version and never changes; no other code writes `_delta_log`.

mod blocking;
mod commit;
mod error;
mod folders;
mod lake;
mod layout;
mod read;
mod rollups;
mod snapshot;
mod statistics;
mod store;
mod table;
mod write;

pub use blocking::{OwnRuntime, blocking};
pub use commit::{Commit, CommittedPosition, Fence, MAX_STAGED, Operation, ReadSet, Txn};
pub use error::LakeError;
pub use folders::create_durably;
pub use lake::Lake;
pub use layout::{covered_name, data_path, file_name, partition_folder, segment_name};
pub use read::{BatchLimit, TextRange, read_columns, read_columns_in, read_rows, read_rows_in};
pub use rollups::{RollupProgress, RollupTable};
pub use snapshot::{DataFile, FileChunk, LakeSnapshot, Origin, Snapshot};
pub use statistics::{ChunkStatistics, ColumnArrays, ColumnStatistics, StatValue};
pub use store::{Location, S3Options};
pub use table::{CheckpointReason, Deleted, LogGrowth, REMOVED_KNOWN, Table, Unused, UnusedFile};
pub use write::{
    EncodedFile, FileWriter, NewFile, Partition, ROW_GROUP_BYTES, ROW_GROUP_ROWS, SortedPieces, encode_ordered,
    encode_pieces, partitions, split_days, write_file,
};
