//! Shared definitions: the event schema, ids, hashes, and the sources of time and randomness.
//!
//! ```text
//! field               the fields of an event, declared once; the three below follow from it
//! proto::EventBatch   the wire and WAL form of events
//! schema::events()    the lake form: one Arrow schema
//! docs/events.md      the form for people
//! rollup              pre-aggregations, declared once
//! table               what a table of the lake is; `events` is the first
//! hash                visitor and event identity, stable for ever: files are sorted by it
//! json                the normal form of JSON text
//! clock               where time and randomness come in, so that every test is deterministic
//! access              who may read and write what
//! ```
//!
//! No I/O here, and no clock but the one that is passed in.

pub mod access;
pub mod clock;
pub mod field;
pub mod hash;
pub mod json;
pub mod proto;
pub mod rollup;
pub mod schema;
pub mod sketch;
pub mod table;
