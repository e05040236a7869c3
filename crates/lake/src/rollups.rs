//! Tables of rollups that come and go while the lake is open.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use footfall_model::clock::Clock;
use footfall_model::rollup::Rollup;
use object_store::ObjectStore;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::{LakeError, Snapshot, Table, covered_name};

/// A configured rollup and the table of its segments.
#[derive(Debug, Clone)]
pub struct RollupTable {
    pub rollup: Arc<Rollup>,
    pub table: Arc<Table>,
}

/// The configured rollups of a lake.
#[derive(Debug, Default)]
pub(crate) struct LakeRollups {
    current: RwLock<Arc<[RollupTable]>>,
    /// The newest revision that is known, all of whose tables are open.
    revision: AtomicU64,
    /// Held by the caller that changes them.
    changing: Mutex<()>,
}

/// How much of the events a rollup's segments stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RollupProgress {
    pub files: u64,
    pub covered_files: u64,
    pub rows: u64,
    pub covered_rows: u64,
}

impl LakeRollups {
    /// Those that are in force. Their tables are open.
    pub(crate) fn current(&self) -> Arc<[RollupTable]> {
        Arc::clone(&self.current.read())
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Replaces them by those of a later `revision`; an earlier one changes nothing. Opens the tables of new ones.
    /// Those whose table can't be opened are left out until the next call.
    pub(crate) async fn replace(
        &self,
        revision: u64,
        rollups: Vec<Rollup>,
        store: &Arc<dyn ObjectStore>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), LakeError> {
        let _turn = self.changing.lock().await;
        if revision <= self.revision() {
            return Ok(());
        }
        let (current, mut outcome) = (self.current(), Ok(()));
        let mut tables = Vec::with_capacity(rollups.len());
        for rollup in rollups {
            let same = |open: &&RollupTable| *open.rollup == rollup;
            if let Some(open) = current.iter().find(same) {
                tables.push(open.clone());
                continue;
            }
            match open(store, &rollup, clock).await {
                Ok(table) => tables.push(RollupTable {
                    rollup: Arc::new(rollup),
                    table: Arc::new(table),
                }),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        *self.current.write() = tables.into();
        if outcome.is_ok() {
            self.revision.store(revision, Ordering::Release);
        }
        outcome
    }
}

async fn open(store: &Arc<dyn ObjectStore>, rollup: &Rollup, clock: &Arc<dyn Clock>) -> Result<Table, LakeError> {
    let spec = Arc::new(rollup.table().map_err(LakeError::Declaration)?);
    Table::open(Arc::clone(store), spec, Arc::clone(clock)).await
}

impl RollupTable {
    /// How much of these events its segments stand for.
    pub fn progress(&self, events: &Snapshot) -> RollupProgress {
        let segments = self.table.snapshot();
        let covered: HashSet<&str> = segments.files().map(|file| covered_name(file.stem())).collect();
        let mut progress = RollupProgress::default();
        for file in events.files() {
            let (rows, is_covered) = (file.rows.unwrap_or_default(), covered.contains(file.stem()));
            progress.files += 1;
            progress.rows += rows;
            progress.covered_files += u64::from(is_covered);
            progress.covered_rows += rows * u64::from(is_covered);
        }
        progress
    }
}
