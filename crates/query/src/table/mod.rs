//! A table of the lake as DataFusion sees it: one pinned snapshot, one caller's sites.
//!
//! ```text
//! filters -> conditions (what is known before a row is read) -> prune (files left)
//!
//! all sites:   scan (statistics, order, every pushdown)
//! some sites:  SiteFilterExec [ scan: the site's condition first, then plain comparisons ]
//! ```
//!
//! Isolation: what a reader writes is evaluated above its [`SiteFilterExec`], on rows of its sites alone, and the plan
//! of a reader's statement follows from the statement alone, not from what the files hold of other sites. Below the
//! filter are only comparisons that can't fail ([`conditions::is_plain`]). [`CheckIsolation`] checks every finished
//! plan and refuses one that breaks this.

mod check;
mod conditions;
pub(crate) mod derived_filters;
mod provider;
mod prune;
mod reader;
mod regroup;
mod scan;
mod site_filter;
mod statistics;

pub(crate) use check::CheckIsolation;
pub(crate) use conditions::{Conditions, is_plain};
pub(crate) use derived_filters::{comparisons, micros, texts, time_comparisons, times_of_days};
pub(crate) use provider::LakeTable;
pub(crate) use prune::prune;
pub(crate) use scan::TableReader;
