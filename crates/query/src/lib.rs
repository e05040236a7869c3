//! SQL over the lake, read-only.
//!
//! ```text
//! SQL text -> guard (one statement, read-only) -> placeholders -> plan over a pinned snapshot -> limits -> Arrow
//!                                                                  |
//!                                       events: prune files -> scan (row groups, pages, rows) -> the reader's sites
//! ```
//!
//! Invariants: a statement sees one snapshot, from planning to its last row; no SQL reaches rows of a site that is
//! not in the caller's scope; memory, time and concurrency are bounded.

mod admission;
mod answer;
mod engine;
mod error;
mod events;
mod guard;
mod placeholders;
mod session;

pub use datafusion::common::ScalarValue;
pub use datafusion::execution::SendableRecordBatchStream;
pub use engine::{Description, Engine, TableInfo};
pub use error::QueryError;
pub use session::EngineOptions;

#[cfg(test)]
mod tests;
