//! Collects events and writes them to the lake.
//!
//! ```text
//! HTTP, gRPC -> collect (parse, validate) -> enrich -> WAL (durable) -> reply
//!                                                       |
//!                                   writer: dedupe -> Arrow -> sort -> Parquet -> Delta commit with the WAL position
//! ```
//!
//! Invariants: a 2xx reply means that the event is in the WAL on stable storage; every event of the WAL reaches the
//! lake exactly once, whatever crashes; memory is bounded on every path.

pub mod collect;
pub mod enrich;
pub mod import;
mod rules;
pub mod wal;
pub mod writer;

#[cfg(test)]
mod simulation;
