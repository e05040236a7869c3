//! For the tests of this crate and of those that use it: events at random, and sessions computed the plain way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it"
)]

mod histories;
mod reference;

pub use histories::{Event, MIDNIGHT, MINUTE, Random, event, random_events, rows};
pub use reference::{Session, rows_of, sessions_of};
