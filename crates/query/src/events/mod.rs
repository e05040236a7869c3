//! `events` as a table: one pinned snapshot, one caller's sites.
//!
//! ```text
//! filters -> derived filters (what else must hold) -> prune (files left, and whether they hold other sites' rows)
//!                                             -> scan (statistics, order, Parquet) -> site_filter (rows of these sites)
//! ```

mod derived_filters;
mod provider;
mod prune;
mod scan;
mod site_filter;
mod statistics;

pub(crate) use provider::EventsTable;
pub(crate) use scan::EventsReader;
