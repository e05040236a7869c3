//! The `events` table of a shard: opened once, followed commit by commit, written by one commit path.
//!
//! ```text
//! commit: check_txn -> put-if-absent of version N+1 -> apply -> publish the snapshot
//!           ^            | taken
//!           |            v
//!           +--- read it, apply it
//!
//! check_txn: our own id is in the table (a reply was lost) -> done; another has brought a part of ours -> fenced
//! ```
//!
//! A version that is not there is taken for one that was not made yet. That is true as long as nothing newer than the
//! version that we know can have been cleaned away; who stood still for longer (a suspended machine) reads the table
//! anew before it goes on.

mod delta;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Action;
use deltalake_core::logstore::{LogStoreRef, get_actions};
use deltalake_core::table::state::DeltaTableState;
use footfall_model::clock::{Clock, Micros};
use footfall_model::schema;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, watch};

use crate::blocking::in_runtime;
use crate::commit::{self, AddView, AppliedTxn, Commit, Progress, Txn, TxnCheck};
use crate::{DataFile, LakeError, Snapshot};

/// How long after we last knew the newest version the next ones are surely still in the log: half of its retention,
/// in microseconds.
const FOLLOWABLE: Micros = 12 * 3_600 * 1_000_000;

/// How far each application has come that we met or asked for; `None` if it never wrote.
type Seen = HashMap<String, Option<AppliedTxn>>;

/// Commits whose ids are remembered: far more than are made while one is tried again.
const RECENT: usize = 256;

/// What we know while we follow the table.
#[derive(Debug)]
struct Following {
    seen: Seen,
    /// The ids of the newest commits, with their versions: a commit without a position is known by nothing else.
    recent: VecDeque<(String, u64)>,
    /// When we last knew the newest version.
    at: Micros,
}

impl Following {
    fn version_of(&self, id: &str) -> Option<u64> {
        let mut newest = self.recent.iter().rev();
        newest.find(|(known, _)| known == id).map(|(_, version)| *version)
    }
}

/// The `events` table.
#[derive(Debug)]
pub struct Table {
    store: Arc<dyn ObjectStore>,
    log: LogStoreRef,
    clock: Arc<dyn Clock>,
    /// Held while a version is added, so that they are applied in order.
    following: Mutex<Following>,
    /// As it was opened, until it moves on: who opens it to write asks for a position next, and reading the log for
    /// that takes as long as opening.
    opened: SyncMutex<Option<DeltaTable>>,
    current: watch::Sender<Snapshot>,
}

impl Table {
    /// Opens the table at the root of `store`, and creates it if there is none.
    pub async fn open(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Result<Self, LakeError> {
        in_runtime(Self::open_here(store, clock)).await
    }

    async fn open_here(store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Result<Self, LakeError> {
        let log = delta::log_store(&store)?;
        let table = delta::open_or_create(&log).await?;
        let state = table.snapshot().map_err(LakeError::delta("read"))?;
        let files = files_of(state)?;
        let (current, _) = watch::channel(Snapshot {
            version: state.version(),
            files,
        });
        let following = Following {
            seen: Seen::new(),
            recent: VecDeque::new(),
            at: clock.now(),
        };
        Ok(Self {
            store,
            log,
            clock,
            following: Mutex::new(following),
            opened: SyncMutex::new(Some(table)),
            current,
        })
    }

    /// The newest version that we know of.
    pub fn snapshot(&self) -> Snapshot {
        self.current.borrow().clone()
    }

    /// Every new version, from the newest known one on.
    pub fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.current.subscribe()
    }

    /// The table's own store: [`DataFile::path`] is relative to its root.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// How far `app_id` has come; `None` if it never wrote.
    pub async fn transaction(&self, app_id: &str) -> Result<Option<i64>, LakeError> {
        let mut following = self.following.lock().await;
        self.catch_up(&mut following).await?;
        let reached = self.reached(&mut following, app_id).await?;
        Ok(reached.map(|reached| reached.upto))
    }

    /// The same, with what its input is there.
    pub async fn progress(&self, app_id: &str) -> Result<Option<Progress>, LakeError> {
        let mut following = self.following.lock().await;
        self.catch_up(&mut following).await?;
        let Some(upto) = self.reached(&mut following, app_id).await?.map(|reached| reached.upto) else {
            return Ok(None);
        };
        let fingerprint = self.reached(&mut following, &commit::fingerprint_of(app_id)).await?;
        Ok(Some(Progress {
            upto,
            fingerprint: fingerprint
                .map(|known| known.upto)
                .filter(|known| *known != Txn::UNKNOWN),
        }))
    }

    async fn reached<'a>(
        &self,
        following: &'a mut Following,
        app_id: &str,
    ) -> Result<Option<&'a AppliedTxn>, LakeError> {
        if !following.seen.contains_key(app_id) {
            // The very version that we stand at: a list that does not show the newest ones must not take a position
            // back.
            let version = self.current.borrow().version;
            // Both at once, since each time the log is read anew.
            let wanted = [app_id.to_owned(), commit::fingerprint_of(app_id)];
            let found = in_runtime(self.positions_at(version, &wanted)).await?;
            for (app_id, upto) in wanted.into_iter().zip(found) {
                let commit = None;
                let reached = upto.map(|upto| AppliedTxn { upto, version, commit });
                following.seen.insert(app_id, reached);
            }
        }
        Ok(following.seen.get(app_id).and_then(Option::as_ref))
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

    /// Follows what others have committed.
    pub async fn refresh(&self) -> Result<(), LakeError> {
        let mut following = self.following.lock().await;
        self.catch_up(&mut following).await
    }

    /// Makes `commit` the next version and returns its number. Its files must already be in the store.
    ///
    /// After a transient error nothing is known; committing again with the same `id` is safe and settles it.
    pub async fn commit(&self, commit: &Commit) -> Result<u64, LakeError> {
        let mut following = self.following.lock().await;
        let bytes = commit::encode(commit, self.clock.now()).map_err(|e| LakeError::Malformed {
            path: Path::default(),
            reason: e.to_string(),
        })?;
        if self.is_behind(&following) {
            self.catch_up(&mut following).await?;
        }
        loop {
            if let Some(version) = following.version_of(&commit::text_of(commit.id)) {
                return Ok(version);
            }
            if let Some(txn) = &commit.txn {
                match commit::check_txn(self.reached(&mut following, &txn.app_id).await?, commit) {
                    TxnCheck::AlreadyCommitted(version) => return Ok(version),
                    TxnCheck::Fenced(theirs) => {
                        return Err(LakeError::Fenced {
                            app_id: txn.app_id.clone(),
                            ours: txn.upto,
                            theirs,
                        });
                    }
                    TxnCheck::Free => {}
                }
            }
            let version = self.current.borrow().version + 1;
            let path = commit::path_of(version);
            match self
                .store
                .put_opts(&path, bytes.clone().into(), PutOptions::from(PutMode::Create))
                .await
            {
                Ok(_) => {
                    self.apply(version, &parse(version, &bytes)?, &mut following)?;
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

    /// Writes a Delta checkpoint of the newest version and removes log entries that nobody needs any more.
    pub async fn checkpoint(&self) -> Result<(), LakeError> {
        in_runtime(delta::checkpoint(&self.log)).await
    }

    fn is_behind(&self, following: &Following) -> bool {
        self.clock.now().saturating_sub(following.at) > FOLLOWABLE
    }

    async fn catch_up(&self, following: &mut Following) -> Result<(), LakeError> {
        let now = self.clock.now();
        if self.is_behind(following) {
            in_runtime(self.read_anew(&mut following.seen)).await?;
        }
        loop {
            let next = self.current.borrow().version + 1;
            let Some(actions) = self.read(next).await? else {
                following.at = now;
                return Ok(());
            };
            self.apply(next, &actions, following)?;
        }
    }

    /// Leaps to the newest version: those between may have been cleaned away.
    async fn read_anew(&self, seen: &mut Seen) -> Result<(), LakeError> {
        let mut table = DeltaTable::new(Arc::clone(&self.log));
        table.load().await.map_err(LakeError::unread)?;
        let state = table.snapshot().map_err(LakeError::unread)?;
        let version = state.version();
        if version <= self.current.borrow().version {
            return Ok(());
        }
        for (app_id, reached) in seen.iter_mut() {
            let upto = state.transaction_version(self.log.as_ref(), app_id).await;
            let upto = upto.map_err(LakeError::unread)?;
            if upto != reached.as_ref().map(|reached| reached.upto) {
                let commit = None;
                *reached = upto.map(|upto| AppliedTxn { upto, version, commit });
            }
        }
        let files = files_of(state)?;
        self.opened.lock().take();
        self.current.send_replace(Snapshot { version, files });
        Ok(())
    }

    async fn read(&self, version: u64) -> Result<Option<Vec<Action>>, LakeError> {
        let path = commit::path_of(version);
        let bytes = match self.store.get(&path).await {
            Ok(reply) => reply.bytes().await.map_err(LakeError::store(&path))?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(LakeError::Store { path, source }),
        };
        parse(version, &bytes).map(Some)
    }

    fn apply(&self, version: u64, actions: &[Action], following: &mut Following) -> Result<(), LakeError> {
        let mut added: Vec<Arc<DataFile>> = Vec::new();
        let mut removed = HashSet::new();
        let id = commit::id_of(actions);
        for action in actions {
            match action {
                Action::Add(add) => {
                    let file = commit::file_of(&AddView {
                        path: &add.path,
                        size: add.size,
                        modified_millis: add.modification_time,
                        partition: add
                            .partition_values
                            .get(schema::PARTITION_COLUMN)
                            .and_then(Option::as_deref),
                        stats: add.stats.as_deref(),
                    });
                    added.push(Arc::new(file.map_err(malformed(&commit::path_of(version)))?));
                }
                Action::Remove(remove) => {
                    removed.insert(Path::from(remove.path.as_str()));
                }
                Action::Txn(txn) => {
                    let reached = AppliedTxn {
                        upto: txn.version,
                        version,
                        commit: id.clone(),
                    };
                    following.seen.insert(txn.app_id.clone(), Some(reached));
                }
                _ => {}
            }
        }
        following.recent.extend(id.map(|id| (id, version)));
        let forgotten = following.recent.len().saturating_sub(RECENT);
        following.recent.drain(..forgotten);
        self.opened.lock().take();
        self.current.send_modify(|snapshot| {
            let kept = snapshot
                .files
                .iter()
                .filter(|file| !removed.contains(&file.path))
                .cloned();
            *snapshot = Snapshot {
                version,
                files: kept.chain(added).collect(),
            };
        });
        Ok(())
    }
}

fn files_of(state: &DeltaTableState) -> Result<Arc<[Arc<DataFile>]>, LakeError> {
    let files = state.log_data().into_iter().map(|view| {
        let values = view.partition_values_map();
        let date = values.get(schema::PARTITION_COLUMN).and_then(Option::as_deref);
        let file = commit::file_of(&AddView {
            path: &view.path(),
            size: view.size(),
            modified_millis: view.modification_time(),
            partition: date,
            stats: view.stats().as_deref(),
        });
        Ok(Arc::new(file.map_err(malformed(&commit::path_of(state.version())))?))
    });
    files.collect()
}

fn parse(version: u64, bytes: &Bytes) -> Result<Vec<Action>, LakeError> {
    get_actions(version, bytes).map_err(LakeError::delta("read"))
}

fn malformed(path: &Path) -> impl Fn(String) -> LakeError {
    let path = path.clone();
    move |reason| LakeError::Malformed {
        path: path.clone(),
        reason,
    }
}

#[cfg(test)]
mod tests;
