//! SQL over the lake, read-only.
//!
//! ```text
//! text -> statement (one, read-only, not too deep) -> plan over one pinned snapshot -> parameters -> stream
//!                                                          |
//!                          table: prune files -> scan -> filter to the caller's sites
//! ```
//!
//! Invariants: a statement sees one whole version of `events` from its first row to its last; no row of a site that the
//! caller may not read leaves its table's provider, whatever the SQL; memory, spill, time and the number of statements
//! at once are bounded, and exceeding a bound is an error ([`QueryError::Limit`]).

pub mod advise;
mod busy;
mod caller;
mod catalog;
mod configured_rollups;
mod control;
mod cooperative;
mod descriptions;
mod engine;
mod error;
mod explain;
mod functions;
mod governor;
mod interruptible;
mod memory;
mod options;
mod output;
mod parameters;
mod pins;
mod plan_size;
mod planner;
mod provenance;
mod public_tables;
mod quarter_hours;
mod query_stream;
mod result_cache;
mod routing;
mod scan_log;
mod segments;
mod semantics;
mod session;
mod slots;
mod stack;
mod statement;
mod store;
mod system;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod views;
mod workers;

pub use caller::Caller;
pub use catalog::{CATALOG, SCHEMA};
pub use datafusion::common::ScalarValue;
pub use datafusion::execution::SendableRecordBatchStream;
pub use engine::{Answer, Engine};
pub use error::QueryError;
pub use options::EngineOptions;
pub use pins::KEPT as SNAPSHOT_KEPT;
pub use planner::Description;
pub use provenance::Provenance;
pub use public_tables::TableInfo;
pub use routing::{Beyond, RawLimit};
pub use system::{CompactionLog, CompactionRecord};
pub use views::Views;
