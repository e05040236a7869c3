//! Keeps the lake small and sorted, and builds the rollups' segments.
//!
//! ```text
//! snapshot -> plan (pure: which files, and why) -> merge (sorted, duplicates dropped) -> events files
//!                                                        |                                  |
//!                                                        +-> aggregate -> segments, committed before them
//! ```

mod aggregate;
mod merge;
mod plan;

pub use aggregate::Aggregation;
pub use merge::Merge;
pub use plan::{FileState, MergeReason, MergeTask, Policy, Stage, plan};
