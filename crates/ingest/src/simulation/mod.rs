//! The write path and the compactor under a deterministic simulator: the real WAL, writer, deduplication, merges with
//! their segments, retention, commits and snapshots over a disk, an object store, a clock, ids and a scheduler that one
//! seed decides.
//!
//! ```text
//!   history (steps, from a seed)                 executor: the next task, a clock that jumps
//!        |                                            |
//!        v                                            v
//!   run ──> senders ──> SimWal(LocalWal) ──> Committer::turn ──> SimDisk
//!        |                          └──> ShardWriter ──> Table ──> SimStore <── rivals, zombies, other programs
//!        ├──> compactors: Compactor::plan, execute, retain, … ──> Lake ────┘
//!        v
//!   drain, a last compactor ──> Outcome (what was sent, every version of every table, every row) ──> invariants
//!        ──> shrink, if one is broken
//! ```
//!
//! | file | what it owns |
//! |---|---|
//! | `random`, `executor`, `trace` | randomness, time, tasks; what happened in which order |
//! | `disk` | a disk that loses, tears and reorders what was not synced (the WAL's own tests use it too) |
//! | `store`, `fault_profile` | an object store that fails before and after the effect, is slow, late, stale |
//! | `history` | the steps of a history, drawn from a seed |
//! | `events` | what is sent: an event is its number |
//! | `process` | one Footfall process: WAL, committer, writer |
//! | `sender` | clients that send events |
//! | `compactor` | processes of compactors: under any lease, killed and frozen at any point |
//! | `foreign_writer`, `table_client` | other programs that append, delete, add files again |
//! | `run` | executes a history, with crashes and restarts, and drains it |
//! | `model`, `outcome`, `segments`, `invariants` | what must hold afterwards |
//! | `campaign`, `shrink`, `regressions` | many seeds; the shortest history that still fails; those that once failed |
//!
//! Run many: `make simulate SEEDS=10000`. Run one again: `SEED=123 make simulate SEEDS=1`.
//!
//! Opening a table is one step here, although it is not in reality, since Delta's reader has threads of its own.
//! Simulated time stands still meanwhile; the store may fail. A merge reads its inputs one after another and is computed
//! in one step, since there are no threads that it could have to itself. A crash falls between two polls of a task or in the
//! middle of any change to the disk; a request that a dead process had sent may still take effect.

mod campaign;
mod compactor;
pub(crate) mod disk;
mod events;
mod executor;
mod fault_profile;
mod foreign_writer;
mod history;
mod invariants;
mod model;
mod outcome;
mod process;
pub(crate) mod random;
mod regressions;
mod run;
mod segments;
mod sender;
mod shrink;
mod store;
mod table_client;
mod tests;
mod trace;
