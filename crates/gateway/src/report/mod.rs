//! Reports: a request in JSON is checked against the vocabulary, becomes SQL, and its rows become the reply.
//!
//! ```text
//! request -> Report (checked, normalised) -> one Statement: rows, totals, those of the compared range -> reply
//! ```

mod buckets;
mod column;
mod cursor;
pub(crate) mod dates;
mod filter;
mod plan;
mod reply;
mod request;
pub(crate) mod sampling;
mod sql;

pub(crate) use filter::{Condition, OPERATORS};
pub(crate) use plan::{DEFAULT_LIMIT, MAX_LIMIT, Report, SiteZone};
pub(crate) use reply::{ReportReply, Run, reply};
pub(crate) use request::{Direction, OrderBy, ReportRequest};
