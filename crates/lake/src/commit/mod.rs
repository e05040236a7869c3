//! What one commit changes, and whether it may land on a version.

mod actions;
mod decide;

use object_store::path::Path;

use crate::DataFile;

pub(crate) use actions::{changes_of, encode, encode_metadata, file_of};
pub(crate) use decide::{AppliedTxn, Decision, Known, decide};

/// What one commit changes.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Unique, and the same at every retry: by it a commit whose reply was lost is told from another's.
    pub id: u128,
    pub operation: Operation,
    pub add: Vec<DataFile>,
    /// Files of the table that this commit takes out of it. If one is not live any more in the version that the commit
    /// would follow, it is refused with [`crate::LakeError::Conflict`].
    pub remove: Vec<Path>,
    /// The stretch of an application's input that this brings; refused if another commit has brought any of it.
    pub txn: Option<Txn>,
    /// The lease under which this is done; refused if the table has seen a later one.
    pub fence: Option<Fence>,
}

/// Why a commit is made. It decides what other readers are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// New rows.
    Append,
    /// The same rows in other files: no reader of changes sees it.
    Merge,
    /// Rows go, because they are too old or somebody wants it.
    Delete,
}

impl Operation {
    /// Whether the table has other rows than before.
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
        }
    }
}

/// A stretch of an application's input: what lies behind `after`, up to and including `upto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    pub app_id: String,
    pub after: i64,
    pub upto: i64,
    /// What the input is at `upto`: by it another input with the same positions is told from this one. An application
    /// that gives one gives one with every commit, [`Txn::UNKNOWN`] if need be.
    pub fingerprint: Option<i64>,
}

impl Txn {
    /// The fingerprint that says nothing.
    pub const UNKNOWN: i64 = -1;
}

/// A lease that only one process holds at a time; each new holder has a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Of the lease, such as `footfall-compactor-00`.
    pub app_id: String,
    pub epoch: i64,
}

/// How far an application has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub upto: i64,
    /// What its input is there, if that is known.
    pub fingerprint: Option<i64>,
}

/// Under this name the fingerprint is a transaction of its own: so it is in checkpoints too, as `commitInfo` is not.
pub(crate) fn fingerprint_of(app_id: &str) -> String {
    format!("{app_id}/fingerprint")
}

/// All that must be known before it can be decided what becomes of a commit.
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
