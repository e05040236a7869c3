//! Delta tables on object storage: layout, snapshots, the one commit path.
//!
//! ```text
//! Table::open -> Snapshot (pinned by queries) <- Table::refresh
//! write files -> Table::commit (put-if-absent of the next version, with the log position) -> new Snapshot
//! ```

mod snapshot;

pub use snapshot::{DataFile, Range, Snapshot};
