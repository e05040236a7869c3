//! A table of a shard: opened once, followed commit by commit, written by one commit path.
//!
//! ```text
//! commit: decide -> put-if-absent of version N+1 -> apply -> publish the snapshot
//!           ^            | taken
//!           |            v
//!           +--- read it, apply it
//!
//! decide: our own id is in the table (a reply was lost) -> done
//!         another has brought a part of our input -> fenced; a later lease was seen -> stale lease
//!         a file that we remove is not live in version N -> conflict
//!         a file that we have not read is in the partitions that we depend on -> read set changed
//! ```
//!
//! A missing version is assumed not to be made yet. That holds as long as nothing newer than the version that we know
//! can have been cleaned away; a process that was suspended for longer (with its machine) reloads the table before it
//! continues.

mod compat;
mod complete;
mod delta;
mod exclusive;
mod follow;
mod log_growth;
mod unused;

use std::sync::Arc;

use deltalake_core::DeltaTable;
use deltalake_core::logstore::LogStoreRef;
use footfall_model::clock::{Clock, HOUR};
use footfall_model::table::TableSpec;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, watch};

use crate::blocking::in_runtime;
use crate::commit::{self, AppliedTxn, Commit, CommitDecision, CommittedPosition, MAX_STAGED, Txn};
use crate::{LakeError, Snapshot, layout};
pub use compat::REMOVED_KNOWN;
use follow::Following;
pub use log_growth::{CheckpointReason, LogGrowth};
pub use unused::{Deleted, Unused, UnusedFile};

/// A table of a shard.
#[derive(Debug)]
pub struct Table {
    spec: Arc<TableSpec>,
    /// Rooted at the shard.
    store: Arc<dyn ObjectStore>,
    log: LogStoreRef,
    clock: Arc<dyn Clock>,
    /// Held while a version is added, so that they are applied in order.
    following: Mutex<Following>,
    /// The table as opened, until the next version: a process that opens it to write asks for a position next, and
    /// reading the Delta log for that takes as long as opening.
    opened: SyncMutex<Option<DeltaTable>>,
    current: watch::Sender<Snapshot>,
}

impl Table {
    /// Opens the table in its folder below the root of `store`, which is the shard's, and creates it if there is none.
    ///
    /// # Errors
    /// The store's, or the table can't be followed.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        spec: Arc<TableSpec>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LakeError> {
        in_runtime(Self::open_here(store, spec, clock)).await
    }

    async fn open_here(
        store: Arc<dyn ObjectStore>,
        spec: Arc<TableSpec>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LakeError> {
        let log = delta::log_store(&store, &spec)?;
        let table = delta::open_or_create(&store, &log, &spec, clock.now()).await?;
        let state = table.snapshot().map_err(LakeError::delta("read"))?;
        let (current, _) = watch::channel(delta::snapshot_of(state, &store, &spec).await?);
        Ok(Self {
            spec,
            store,
            log,
            following: Mutex::new(Following::new(state, clock.now())),
            clock,
            opened: SyncMutex::new(Some(table)),
            current,
        })
    }

    pub fn spec(&self) -> &Arc<TableSpec> {
        &self.spec
    }

    /// The newest version that we know of.
    pub fn snapshot(&self) -> Snapshot {
        self.current.borrow().clone()
    }

    /// A stream of new versions, from the newest known one on.
    pub fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.current.subscribe()
    }

    /// The shard's store: [`crate::DataFile::path`] is relative to its root.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The committed position of `app_id`; `None` if it never wrote.
    pub async fn transaction(&self, app_id: &str) -> Result<Option<i64>, LakeError> {
        Ok(self.progress(app_id).await?.map(|progress| progress.upto))
    }

    /// The same, with the input's fingerprint there.
    pub async fn progress(&self, app_id: &str) -> Result<Option<CommittedPosition>, LakeError> {
        let mut following = self.following.lock().await;
        self.catch_up(&mut following).await?;
        // Both at once, since each query reads the Delta log again.
        let names = [app_id.to_owned(), commit::fingerprint_of(app_id)];
        self.learn(&mut following, &names).await?;
        let [reached, fingerprint] = names.map(|name| following.known.txn(&name).map(|reached| reached.upto));
        Ok(reached.map(|upto| CommittedPosition {
            upto,
            fingerprint: fingerprint.filter(|known| *known != Txn::UNKNOWN),
        }))
    }

    /// Reads the positions of applications that are not known yet.
    async fn learn(&self, following: &mut Following, app_ids: &[String]) -> Result<(), LakeError> {
        let txns = &mut following.known.txns;
        let wanted: Vec<_> = app_ids
            .iter()
            .filter(|app_id| !txns.contains_key(*app_id))
            .cloned()
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        // Exactly our current version: a stale list must not move a position back.
        let version = self.current.borrow().version();
        let found = in_runtime(self.positions_at(version, &wanted)).await?;
        for (app_id, upto) in wanted.into_iter().zip(found) {
            let commit = None;
            txns.insert(app_id, upto.map(|upto| AppliedTxn { upto, version, commit }));
        }
        Ok(())
    }

    async fn positions_at(&self, version: u64, app_ids: &[String]) -> Result<Vec<Option<i64>>, LakeError> {
        let opened = self.opened.lock().take();
        let mut table = opened.unwrap_or_else(|| DeltaTable::new(Arc::clone(&self.log)));
        if table.version() != Some(version) {
            table.load_version(version).await.map_err(LakeError::unread)?;
        }
        let state = table.snapshot().map_err(LakeError::unread)?;
        let mut found = Vec::with_capacity(app_ids.len());
        for app_id in app_ids {
            let upto = state.transaction_version(self.log.as_ref(), app_id).await;
            found.push(upto.map_err(LakeError::unread)?);
        }
        Ok(found)
    }

    /// Applies what other processes have committed.
    pub async fn refresh(&self) -> Result<(), LakeError> {
        let mut following = self.following.lock().await;
        self.catch_up(&mut following).await
    }

    /// Makes `commit` the next version and returns its number. Its files must already be in the store.
    ///
    /// After a transient error the outcome is unknown; committing again with the same `id` is safe and settles it.
    ///
    /// # Errors
    /// [`LakeError::Fenced`], [`LakeError::StaleLease`], [`LakeError::Conflict`] and [`LakeError::ReadSetChanged`] are
    /// final: this commit is not in the table and will never be. Others are the store's.
    pub async fn commit(&self, commit: &Commit) -> Result<u64, LakeError> {
        let mut following = self.following.lock().await;
        if self.is_behind(&following) {
            self.catch_up(&mut following).await?;
        }
        self.learn(&mut following, &commit::app_ids(commit)).await?;
        loop {
            let snapshot = self.snapshot();
            let removed = match commit::decide(commit, &following.known, &snapshot) {
                CommitDecision::AlreadyCommitted(version) => return Ok(version),
                CommitDecision::Refused(error) => return Err(error),
                CommitDecision::Land(removed) => removed,
            };
            self.check_staged(commit)?;
            let version = snapshot.version() + 1;
            let path = layout::commit_path(&self.spec, version);
            let bytes = commit::encode(&self.spec, commit, &removed, self.clock.now()).map_err(malformed(&path))?;
            let put = self
                .store
                .put_opts(&path, bytes.clone().into(), PutOptions::from(PutMode::Create));
            match put.await {
                Ok(_) => {
                    self.apply(version, &bytes, &mut following).await?;
                    following.at = self.clock.now();
                    return Ok(version);
                }
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    self.catch_up(&mut following).await?;
                }
                Err(source) => return Err(LakeError::Store { path, source }),
            }
        }
    }

    fn check_staged(&self, commit: &Commit) -> Result<(), LakeError> {
        let waited = commit.staged_at.map_or(0, |at| self.clock.now().saturating_sub(at));
        match commit.add.first() {
            Some(file) if waited > MAX_STAGED => Err(LakeError::StagedTooLong {
                path: file.path.clone(),
                hours: MAX_STAGED / HOUR,
            }),
            _ => Ok(()),
        }
    }

    /// The size of the Delta log since its newest checkpoint.
    pub async fn log_growth(&self) -> Result<LogGrowth, LakeError> {
        let folder = layout::log_folder(&self.spec);
        let hint = self.store.get(&folder.clone().join("_last_checkpoint")).await;
        let hint = match hint {
            Ok(found) => Some(found.bytes().await.map_err(LakeError::store(&folder))?),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(source) => return Err(LakeError::store(&folder)(source)),
        };
        let hint = hint.and_then(|hint| serde_json::from_slice::<serde_json::Value>(&hint).ok()?["version"].as_u64());
        // The version itself is listed too, with its checkpoint.
        let offset = folder.clone().join(format!("{:020}", hint.unwrap_or_default()));
        let objects = self
            .store
            .list_with_offset(Some(&folder), &offset)
            .try_collect::<Vec<_>>()
            .await;
        Ok(LogGrowth::of(&objects.map_err(LakeError::store(&folder))?))
    }

    /// Writes a Delta checkpoint of the newest version and removes expired log entries.
    pub async fn checkpoint(&self) -> Result<(), LakeError> {
        in_runtime(delta::checkpoint(&self.log)).await
    }
}

fn malformed(path: &Path) -> impl Fn(String) -> LakeError {
    let path = path.clone();
    move |reason| LakeError::Malformed {
        path: path.clone(),
        reason,
    }
}

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod tests;
