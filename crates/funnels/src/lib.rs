//! Funnels: what they are, which events match a step, and how far each visitor got.
//!
//! ```text
//! JSON -> definition (validated) -> FunnelSet (of one catalog, as of a revision)
//! events  -> matcher  -> step rows: the events that match a step       (table: `funnel_steps`)
//! step rows of a visitor, in order -> attempts -> entries              (view: `funnel_progress`)
//! ```
//!
//! Pure: Arrow batches in, Arrow batches out. The compactor keeps step rows as segments, a query computes entries from
//! them and from the events that no segment covers ([`coverage`]).

mod attempts;
pub mod coverage;
mod definition;
mod matcher;
mod pattern;
mod progress;
mod set;
pub mod table;

pub use attempts::{Entry, EntryFinder, Rules, StepEvent};
pub use definition::{Definition, DefinitionError, FunnelScope, MAX_STEPS, Step, Window};
pub use matcher::Matcher;
pub use progress::Progress;
pub use set::{Funnel, FunnelDefinitions, FunnelSet};
