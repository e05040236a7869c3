//! Routing: an aggregate over `events` is answered from segments of rollups where they give exactly the same number, and
//! from raw events where they don't.
//!
//! ```text
//! Aggregate over events --shape--> keys, aggregates, filters over the columns of events
//!                       --fit----> the same over a rollup's columns, for each rollup; or what it lacks
//!                       --route--> which of them answer for which days, the fewest rows first; or why none does (pure)
//!                       --rewrite> Aggregate <- UNION ALL (segments, events that they don't cover, cut edges of buckets)
//! ```
//!
//! Invariant: a routed aggregate equals the raw one over the same snapshot. A segment is used only if its file of events
//! is live and not retired, so that both read the same events; an expression is moved to a bucket only if it is constant
//! on every bucket (see [`buckets`]); and sums of counts and decimals don't depend on their order.

mod aggregates;
mod answer_files;
mod buckets;
mod budget;
mod decision;
mod events;
mod figures;
mod fit;
mod missing;
mod mix;
mod rewrite;
mod route;
mod rule;
mod sampled;
mod segment;
mod shape;
mod zones;

pub(crate) use budget::Budget;
pub use budget::{Beyond, RawLimit};
pub(crate) use decision::StatementRouting;
pub(crate) use events::RoutableEvents;
pub(crate) use missing::MissingRollup;
pub(crate) use rule::RouteAggregates;
