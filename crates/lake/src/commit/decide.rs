//! Whether a commit may follow a version. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Commit, text_of};
use crate::{DataFile, LakeError, Snapshot};

/// How many commit ids are remembered: far more than are made while one commit is retried.
const RECENT: usize = 256;

/// An application's committed position, and the commit that set it.
#[derive(Debug, Clone)]
pub(crate) struct AppliedTxn {
    pub upto: i64,
    /// The Delta version.
    pub version: u64,
    pub commit: Option<String>,
}

/// What is known of the commits up to a version.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The position of each application that committed or was queried; `None` if it never committed.
    pub txns: HashMap<String, Option<AppliedTxn>>,
    /// The ids of the newest commits, with their versions: the only way to recognize a commit without a transaction.
    recent: VecDeque<(String, u64)>,
}

impl Known {
    pub(crate) fn remember(&mut self, id: Option<String>, version: u64) {
        self.recent.extend(id.map(|id| (id, version)));
        let forgotten = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..forgotten);
    }

    pub(crate) fn txn(&self, app_id: &str) -> Option<&AppliedTxn> {
        self.txns.get(app_id).and_then(Option::as_ref)
    }

    fn version_of(&self, id: &str) -> Option<u64> {
        let mut newest = self.recent.iter().rev();
        newest.find(|(known, _)| known == id).map(|(_, version)| *version)
    }
}

/// The outcome of checking a commit against a version.
#[derive(Debug)]
pub(crate) enum CommitDecision {
    /// The commit is already in the table, at this version: its reply was lost.
    AlreadyCommitted(u64),
    /// The commit can never become a version of the table.
    Refused(LakeError),
    /// The commit may become the next version; these are the files that it removes.
    Land(Vec<Arc<DataFile>>),
}

/// Whether `commit` may follow `snapshot`. The positions of all its applications must be known.
pub(crate) fn decide(commit: &Commit, known: &Known, snapshot: &Snapshot) -> CommitDecision {
    let id = text_of(commit.id);
    if let Some(version) = known.version_of(&id) {
        return CommitDecision::AlreadyCommitted(version);
    }
    if let Some(txn) = &commit.txn
        && let Some(reached) = known.txn(&txn.app_id)
    {
        if reached.commit.as_deref() == Some(&id) {
            return CommitDecision::AlreadyCommitted(reached.version);
        }
        if reached.upto > txn.after {
            return CommitDecision::Refused(LakeError::Fenced {
                app_id: txn.app_id.clone(),
                ours: txn.upto,
                theirs: reached.upto,
            });
        }
    }
    if let Some(fence) = &commit.fence
        && let Some(reached) = known.txn(&fence.app_id)
        && reached.upto > fence.epoch
    {
        return CommitDecision::Refused(LakeError::StaleLease {
            app_id: fence.app_id.clone(),
            ours: fence.epoch,
            theirs: reached.upto,
        });
    }
    if let Some(read) = &commit.read_set {
        let mut added = snapshot.added_since(&read.snapshot);
        if let Some(file) = added.find(|file| read.partitions.contains(&file.partition_date)) {
            return CommitDecision::Refused(LakeError::ReadSetChanged {
                path: file.path.clone(),
                version: snapshot.version(),
            });
        }
    }
    let mut removed = Vec::with_capacity(commit.remove.len());
    for path in &commit.remove {
        match snapshot.file(path) {
            Some(file) => removed.push(Arc::clone(file)),
            None => {
                let (path, version) = (path.clone(), snapshot.version());
                return CommitDecision::Refused(LakeError::Conflict { path, version });
            }
        }
    }
    CommitDecision::Land(removed)
}
