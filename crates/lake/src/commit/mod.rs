//! What one commit changes, and whether it may land on a version.

mod actions;
mod decide;

use std::collections::BTreeSet;

use footfall_model::clock::{DAY, Micros};
use object_store::path::Path;

use crate::{DataFile, Snapshot};

pub(crate) use actions::{TableChange, changes_of, encode, encode_change, file_of};
pub(crate) use decide::{AppliedTxn, CommitDecision, Known, decide};

/// What one commit changes.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Unique, and the same at every retry: it distinguishes our own commit after a lost reply from another's.
    pub id: u128,
    pub operation: Operation,
    pub add: Vec<DataFile>,
    /// Files that this commit removes. If one is no longer live in the version that the commit would follow, the commit
    /// is refused with [`crate::LakeError::Conflict`].
    pub remove: Vec<Path>,
    /// The range of an application's input in this commit; refused if another commit has brought any of it.
    pub txn: Option<Txn>,
    /// The lease under which the commit is made; refused if the table has seen a later one.
    pub fence: Option<Fence>,
    /// What the new files depend on; refused if the table has got more of it since.
    pub read_set: Option<ReadSet>,
    /// When the first of the new files was stored. Refused if that is longer ago than [`MAX_STAGED`]: vacuum may have
    /// deleted it as an orphan. `None` is for files that are certainly new.
    pub staged_at: Option<Micros>,
}

/// How long files may wait for their commit. Long for an import of any size, and far from the age at which vacuum deletes
/// files that no commit names.
pub const MAX_STAGED: Micros = 2 * DAY;

/// Why a commit is made. Determines the operation and `dataChange` that other readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// New rows.
    Append,
    /// The same rows in other files: readers of changes skip it.
    Merge,
    /// Rows are deleted, by retention or on request.
    Delete,
}

impl Operation {
    /// Whether the table's rows change.
    pub(crate) fn changes_data(self) -> bool {
        self != Self::Merge
    }
}

impl Commit {
    /// New files and nothing else.
    pub fn append(id: u128, add: Vec<DataFile>) -> Self {
        Self {
            id,
            operation: Operation::Append,
            add,
            remove: Vec::new(),
            txn: None,
            fence: None,
            read_set: None,
            staged_at: None,
        }
    }
}

/// A range of an application's input: positions greater than `after`, up to and including `upto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    pub app_id: String,
    pub after: i64,
    pub upto: i64,
    /// Fingerprint of the input at `upto`: it distinguishes this input from another with the same positions. An
    /// application that sets one sets it with every commit, [`Txn::UNKNOWN`] if need be.
    pub fingerprint: Option<i64>,
}

impl Txn {
    /// The fingerprint of an unknown input.
    pub const UNKNOWN: i64 = -1;
}

/// What a commit's author has read of the table. If another commit has added a file to these partitions since, the commit
/// is refused with [`crate::LakeError::ReadSetChanged`].
#[derive(Debug, Clone)]
pub struct ReadSet {
    pub snapshot: Snapshot,
    /// Days since 1970-01-01.
    pub partitions: BTreeSet<i32>,
}

/// A lease that only one process holds at a time; each new holder has a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The lease's name, such as `footfall-compactor-00`.
    pub app_id: String,
    pub epoch: i64,
}

/// An application's committed position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedPosition {
    pub upto: i64,
    /// The input's fingerprint at that position, if known.
    pub fingerprint: Option<i64>,
}

/// The fingerprint is a transaction of its own under this name: checkpoints keep transactions, but not `commitInfo`.
pub(crate) fn fingerprint_of(app_id: &str) -> String {
    format!("{app_id}/fingerprint")
}

/// The applications whose positions must be known before a commit can be decided.
pub(crate) fn app_ids(commit: &Commit) -> Vec<String> {
    let txn = commit
        .txn
        .iter()
        .flat_map(|txn| [txn.app_id.clone(), fingerprint_of(&txn.app_id)]);
    txn.chain(commit.fence.iter().map(|fence| fence.app_id.clone()))
        .collect()
}

/// An id as a commit carries it.
pub(crate) fn text_of(id: u128) -> String {
    format!("{id:032x}")
}
