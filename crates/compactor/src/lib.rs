//! Keeps the lake small and sorted, and builds the rollups' segments.
//!
//! ```text
//! snapshot -> plan (pure: which files, and why) -> merge (sorted, duplicates dropped) -> events files
//!                                                        |                                  |
//!                                                        +-> aggregate -> segments, committed before them
//! ```

mod aggregate;
mod backfill;
mod damaged;
mod execute;
mod funnels;
mod merge;
mod plan;
pub mod retention;
mod rollup_backfill;
mod schedule;
mod segments;
mod session_parts;
pub mod vacuum;
mod verify;

pub use backfill::BackfillTask;
pub use execute::{CompactError, Compactor, FunnelBackfill, Merged, RollupBackfill};
pub use funnels::FunnelSegments;
pub use plan::{FileState, MergeReason, MergeTask, Policy, Stage};
pub use retention::{RetentionPolicy, RetentionTask};
pub use rollup_backfill::RollupTask;
pub use schedule::Schedule;
pub use segments::{RollupSegments, Rows, SegmentBuilder, SegmentKind};
pub use session_parts::SessionSegments;
pub use verify::Verified;

/// The tag of a file that says how far it has been compacted.
const STAGE: &str = "stage";
const STAGE_FINAL: &str = "final";
const STAGE_MERGED: &str = "merged";
const STAGE_RETIRED: &str = "retired";
