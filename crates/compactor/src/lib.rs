//! Keeps the lake small and sorted, and builds the rollups' segments.
//!
//! ```text
//! snapshot -> plan (pure: which files, and why) -> merge (sorted, duplicates dropped) -> events files
//!                                                        |                                  |
//!                                                        +-> aggregate -> segments, committed before them
//! ```

mod aggregate;
mod backfill;
mod execute;
mod funnels;
mod merge;
mod plan;
mod schedule;
mod segments;
mod session_parts;

pub use aggregate::Aggregation;
pub use backfill::{BackfillTask, FunnelFile, plan_backfill};
pub use execute::{CompactError, Compactor, FunnelBackfill, Merged};
pub use funnels::FunnelSegments;
pub use merge::Merge;
pub use plan::{FileState, MergeReason, MergeTask, Policy, Stage, plan, plan_requested};
pub use schedule::Schedule;
pub use segments::{RollupSegments, Rows, SegmentBuilder, SegmentKind};
pub use session_parts::SessionSegments;

/// The tag of a file that says how far it has been compacted.
const STAGE: &str = "stage";
const STAGE_FINAL: &str = "final";
