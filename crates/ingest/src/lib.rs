//! Collection of events and their way into the lake.
//!
//! ```text
//! HTTP, gRPC -> collect (parse, validate) -> enrich -> log (durable) -> reply
//!                                                       |
//!                                   writer: dedupe -> Arrow -> sort -> Parquet -> Delta commit with the log position
//! ```
//!
//! Invariants: a 2xx reply means that the event is in the log on stable storage; every event of the log reaches the
//! lake exactly once, whatever crashes; memory is bounded on every path.

pub mod collect;
pub mod enrich;
pub mod import;
pub mod wal;
pub mod writer;

#[cfg(test)]
mod simulation;
