//! The limits that keep one query from taking the server from the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use footfall_model::clock::{Clock, SystemClock};

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
    /// Footers of Parquet files, kept between statements; beside `memory_bytes`.
    pub metadata_cache_bytes: usize,
    /// From the start of planning to the last row taken.
    pub statement_timeout: Duration,
    /// Statements that run at the same time; others wait.
    pub concurrent_queries: usize,
    /// How long a statement may wait for its turn.
    pub queue_timeout: Duration,
    /// Into how many parts the work of a statement is split.
    pub target_partitions: usize,
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
            statement_timeout: Duration::from_secs(60),
            concurrent_queries: 2 * cores,
            queue_timeout: Duration::from_secs(10),
            target_partitions: cores,
            clock: Arc::new(SystemClock),
        }
    }
}
