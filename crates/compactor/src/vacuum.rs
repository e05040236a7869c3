//! Vacuum: deletes the data files that no live version names, once no query, writer or import can need them.
//!
//! ```text
//! unused files (of the Delta log, or of the folders' lists) -> plan (pure: which, and why) -> delete
//! ```
//!
//! A removed file is kept for whoever has pinned an older version. A file that the log does not name may wait for its
//! commit: a commit whose files are older than [`MAX_STAGED`] is refused, and orphans are kept for a day longer.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use footfall_lake::{Deleted, Lake, LakeError, MAX_STAGED, REMOVED_KNOWN, Table, Unused, UnusedFile};
use footfall_model::clock::{Clock, DAY, HOUR, Micros};
use object_store::path::Path;
use parking_lot::Mutex;

/// What removed files may be needed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VacuumPolicy {
    /// How long a removed file is kept.
    pub keep_removed: Micros,
    /// How long a file that no version names is kept.
    pub keep_unnamed: Micros,
}

/// The shortest time for which removed files are kept: the clients of a query, an import that compares and a merge have
/// no limit in time, and none of them takes a day.
const KEEP_REMOVED: Micros = DAY;

/// For clocks that differ, and for snapshots that are refreshed late.
const MARGIN: Micros = HOUR;

impl VacuumPolicy {
    /// `longest_query`: from the moment a statement is described to its last row, on any node. `dedupe_window`: the
    /// writer rebuilds its window from files of that age, and may still read one that was merged meanwhile (it then reads
    /// the newest version). Longer than the Delta log remembers removed files, none is kept.
    pub fn new(longest_query: Duration, dedupe_window: Duration) -> Self {
        let needed = longest_query.max(dedupe_window).as_micros();
        let needed = Micros::try_from(needed).unwrap_or(Micros::MAX).saturating_add(MARGIN);
        Self {
            keep_removed: needed.clamp(KEEP_REMOVED, REMOVED_KNOWN),
            keep_unnamed: MAX_STAGED + DAY,
        }
    }
}

/// Why a file is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeleteReason {
    /// It was merged, or its rows were deleted, and no query reads it any more.
    Removed,
    /// A failed merge or a killed import left it.
    Orphan,
}

impl fmt::Display for DeleteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "removed",
            Self::Orphan => "orphan",
        })
    }
}

/// The files to delete now, with the reason.
pub fn plan(unused: Vec<UnusedFile>, policy: &VacuumPolicy, now: Micros) -> Vec<(UnusedFile, DeleteReason)> {
    let old = |since: Micros, keep: Micros| now.saturating_sub(since) > keep;
    let reason = |why: Unused| match why {
        Unused::Removed(at) => old(at, policy.keep_removed).then_some(DeleteReason::Removed),
        Unused::Unnamed(at) => old(at, policy.keep_unnamed).then_some(DeleteReason::Orphan),
    };
    let due = unused
        .into_iter()
        .filter_map(|file| reason(file.why).map(|reason| (file, reason)));
    due.collect()
}

/// Where a vacuum looks for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// In the Delta log: cheap, finds what was removed in the last days.
    Log,
    /// In the folders: a request per thousand files stored, finds everything. Once a day is enough.
    Folders,
}

/// The files of one table to delete.
#[derive(Debug)]
pub struct TableSweep {
    table: Arc<Table>,
    pub files: Vec<(UnusedFile, DeleteReason)>,
}

impl TableSweep {
    /// The table's name.
    pub fn table(&self) -> &str {
        self.table.spec().name()
    }
}

/// Vacuums the tables of a lake. Any number may run at once.
#[derive(Debug)]
pub struct Vacuum {
    lake: Lake,
    policy: VacuumPolicy,
    clock: Arc<dyn Clock>,
    /// What this one has deleted, as far as Delta logs still name it.
    deleted: Mutex<HashSet<Path>>,
}

impl Vacuum {
    pub fn new(lake: &Lake, policy: VacuumPolicy, clock: Arc<dyn Clock>) -> Self {
        Self {
            lake: lake.clone(),
            policy,
            clock,
            deleted: Mutex::default(),
        }
    }

    /// What there is to delete in each table. After a [`Sweep::Log`] another vacuum may have deleted the files before.
    ///
    /// # Errors
    /// The store's, or a table can't be followed.
    pub async fn plan(&self, sweep: Sweep) -> Result<Vec<TableSweep>, LakeError> {
        let mut sweeps = Vec::new();
        let mut named = HashSet::new();
        for table in self.lake.tables() {
            let now = self.clock.now();
            let mut unused = match sweep {
                Sweep::Log => table.removed_files().await?,
                Sweep::Folders => table.unused_files().await?,
            };
            if sweep == Sweep::Log {
                let deleted = self.deleted.lock();
                let (known, new): (Vec<_>, Vec<_>) = unused.into_iter().partition(|file| deleted.contains(&file.path));
                named.extend(known.into_iter().map(|file| file.path));
                unused = new;
            }
            sweeps.push(TableSweep {
                table,
                files: plan(unused, &self.policy, now),
            });
        }
        if sweep == Sweep::Log {
            *self.deleted.lock() = named;
        }
        Ok(sweeps)
    }

    /// Deletes the planned files of one table that are still not live.
    ///
    /// # Errors
    /// The table can't be followed. A file that could not be deleted is counted in the outcome.
    pub async fn execute(&self, sweep: &TableSweep) -> Result<Deleted, LakeError> {
        let files: Vec<_> = sweep.files.iter().map(|(file, _)| file.clone()).collect();
        let deleted = sweep.table.delete_unused(&files).await?;
        if deleted.failed == 0 {
            self.deleted.lock().extend(files.into_iter().map(|file| file.path));
        }
        Ok(deleted)
    }
}

#[cfg(test)]
mod tests;
