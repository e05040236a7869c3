//! The limits that keep one query from taking the server from the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use footfall_model::clock::{Clock, SystemClock};

use crate::RawLimit;
use crate::cooperative::SliceTime;
use crate::slots::SlotLimits;

const MIB: usize = 1024 * 1024;

/// What an engine may use.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// For all statements together. What does not fit is spilled, or refused if it can't be.
    pub memory_bytes: usize,
    /// Where operators spill. Created if absent; emptied of what a killed process left.
    pub spill_dir: PathBuf,
    /// For all statements together.
    pub spill_bytes: u64,
    /// Footers and page indexes of Parquet files, kept between statements; beside `memory_bytes`.
    pub metadata_cache_bytes: usize,
    /// Results of statements, kept while what they were computed from is the same; beside `memory_bytes`. 0: none.
    pub result_cache_bytes: usize,
    /// How many events an aggregate may read that no rollup answers.
    pub raw_limit: RawLimit,
    /// How long a statement may compute, planning included. While it waits for its turn, or for its client to take
    /// rows, this time stands still.
    pub statement_timeout: Duration,
    /// How long a result may lie without its client taking rows. It computes nothing meanwhile, but holds what its
    /// operators have buffered in memory.
    pub idle_timeout: Duration,
    /// Statements that compute at the same time, planning included. Others wait, and take turns: see `open_queries`. As
    /// many more slots are reserved for tokens without a statement that computes.
    pub concurrent_queries: usize,
    /// Statements that have begun and not ended: those that compute, those that wait for their next turn, and those
    /// whose rows are not all taken.
    pub open_queries: usize,
    /// Of these, how many one token may have.
    pub open_queries_per_token: usize,
    /// Statements that wait to begin. A quarter of them may be of one token.
    pub queued_queries: usize,
    /// How long a statement may wait to begin.
    pub queue_timeout: Duration,
    /// Into how many parts the work of a statement is split.
    pub target_partitions: usize,
    /// How long an operator that may need long for a row computes before it gets its next rows: whether a statement can
    /// be paused and stopped at any moment depends on it.
    pub slice_time: Duration,
    /// Where `now()` comes from.
    pub clock: Arc<dyn Clock>,
}

impl EngineOptions {
    /// The defaults, which suit a machine of a few cores that ingests beside.
    pub fn new(spill_dir: PathBuf) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            memory_bytes: 1024 * MIB,
            spill_dir,
            spill_bytes: 16 * 1024 * MIB as u64,
            metadata_cache_bytes: 64 * MIB,
            result_cache_bytes: 64 * MIB,
            raw_limit: RawLimit::default(),
            statement_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30 * 60),
            concurrent_queries: 2 * cores,
            open_queries: 128,
            open_queries_per_token: 16.max(4 * cores),
            queued_queries: 1024,
            queue_timeout: Duration::from_secs(10),
            target_partitions: cores,
            slice_time: SliceTime::default().0,
            clock: Arc::new(SystemClock),
        }
    }

    pub(crate) fn limits(&self) -> SlotLimits {
        SlotLimits {
            slots: self.concurrent_queries,
            reserved: self.concurrent_queries,
            open: self.open_queries,
            open_per_principal: self.open_queries_per_token,
            queued: self.queued_queries,
            queued_per_principal: self.queued_queries.div_ceil(4),
            timeout: self.queue_timeout,
        }
    }

    /// One for each part of each statement that computes, in reserved slots too: a step that takes long keeps its
    /// thread, and the system shares the cores. One more, so that a statement that begins finds a thread.
    pub(crate) fn threads(&self) -> usize {
        2 * self.concurrent_queries.max(1) * self.target_partitions.max(1) + 1
    }
}
