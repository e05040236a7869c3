//! Sessions: a visitor's events with gaps of less than 30 minutes. Pure Arrow kernels, no I/O.
//!
//! ```text
//! events --parts_of--> one part each --Stitcher, Rule::Parts-----> parts       (compactor, and below the sort of a query)
//!                       parts, sorted --Stitcher, Rule::Sessions--> sessions --project--> columns of the view
//! ```
//!
//! A *part* is a piece of a session: what is known of some of its events of one day. A single event is one; two that
//! belong to one session merge into one. Merging is associative and commutative, so a session is the same whatever files
//! its events came in, in whatever order, and however often they were merged.
//!
//! A *chain* is all events of a visitor with gaps of less than [`GAP`]. A chain of up to [`MAX_DURATION`] is a session. A
//! longer one (a bot, a screen that is never switched off) is cut at each midnight, UTC, inside of it: sessions are never
//! longer than a day, and where they are cut depends on the events alone. Since no part crosses midnight, cutting is
//! exact.
//!
//! "First" and "last" go by time, then by arrival. Of events that are equal in both, each attribute takes the smallest
//! value that is known.

mod columns;
mod events;
mod part;
mod sessions;
mod split;
mod stitch;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use footfall_model::clock::{DAY, Micros, SECOND};

pub use columns::SETTLED;
pub use events::EventParts;
pub use sessions::SessionColumns;
pub use split::split;
pub use stitch::{Rule, Stitcher};
pub use table::{TABLE, part_order, session_parts};

/// Two events with at least this time between them, and none in between, are of two sessions.
pub const GAP: Micros = 30 * 60 * SECOND;

/// A chain that lasts longer is cut at each midnight.
pub const MAX_DURATION: Micros = DAY;

/// A condition on a session's start or end needs the events of so many days before and after it.
///
/// Of a chain that reaches beyond them, what is left lasts at least 47.5 hours from the session's day to the edge: it is
/// cut at midnight like the whole. One day would not do: 23.5 hours are left, and a piece would pass for a session.
pub const MARGIN_DAYS: i32 = 2;
