//! `events` as a table: one pinned snapshot, one caller's sites.
//!
//! ```text
//! filters -> imply (what else must hold) -> prune (files left, and whether they hold other sites' rows)
//!                                             -> scan (statistics, order, Parquet) -> guard (rows of these sites)
//! ```

mod guard;
mod imply;
mod provider;
mod prune;
mod scan;
mod statistics;

pub(crate) use provider::EventsTable;
pub(crate) use scan::Reader;
