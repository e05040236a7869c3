//! The WAL in a local folder.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use bytes::Bytes;
use footfall_model::clock::{IdGen, RandomIds};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::committer::Committer;
use super::disk::{Disk, FsDisk};
use super::queue::AppendQueue;
use super::read::RecordReader;
use super::recovery::Recovery;
use super::store::SegmentStore;
use super::{EventLog, Position, Record, WalError, WalOptions};

/// A WAL in a local folder. See [`super`] for its guarantees and how it keeps them.
///
/// Dropping it finishes what was accepted and waits for the thread, at most for the syncs under way; in async code
/// call [`LocalWal::close`] before.
#[derive(Debug)]
pub struct LocalWal {
    queue: Arc<AppendQueue>,
    reader: Arc<RecordReader>,
    durable: watch::Receiver<Position>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// A simulation reads on the caller's thread.
    inline: bool,
}

impl LocalWal {
    /// Opens the WAL in `dir`, or creates one.
    ///
    /// # Errors
    /// [`WalError::InUse`] if another process has it; [`WalError::Foreign`] if files of another WAL or version are
    /// there; [`WalError::Damaged`] only if no record can be checked (other damage is in [`Recovery`]);
    /// [`WalError::Disk`].
    pub fn open(dir: &Path, options: WalOptions) -> Result<(Self, Recovery), WalError> {
        Self::open_on(Arc::new(FsDisk::open(dir)?), options, &RandomIds)
    }

    /// The same on any disk.
    ///
    /// # Errors
    /// See [`LocalWal::open`].
    pub fn open_on(disk: Arc<dyn Disk>, options: WalOptions, ids: &dyn IdGen) -> Result<(Self, Recovery), WalError> {
        let folder = disk.path("");
        let (mut log, committer, recovery) = Self::open_manual(disk, options, ids)?;
        log.inline = false;
        let spawned = thread::Builder::new()
            .name("footfall-log".to_owned())
            .spawn(move || committer.run());
        log.thread = Mutex::new(Some(spawned.map_err(|error| WalError::disk(&folder, error))?));
        Ok((log, recovery))
    }

    /// The same without a thread: nothing is written until the caller calls [`Committer::turn`]. Deterministic, for
    /// simulations.
    ///
    /// # Errors
    /// See [`LocalWal::open`].
    pub fn open_manual(
        disk: Arc<dyn Disk>,
        options: WalOptions,
        ids: &dyn IdGen,
    ) -> Result<(Self, Committer, Recovery), WalError> {
        let options = options.consistent();
        let folder = disk.path("");
        let (store, recovery) = SegmentStore::open(Arc::clone(&disk), &options, ids)?;
        report(&folder, &recovery);
        let queue = Arc::new(AppendQueue::new(&options, store.bytes()));
        let reader = Arc::new(RecordReader::new(disk, &store, options.tail_bytes));
        reader.mark_reported(&recovery.damaged);
        let (sender, durable) = watch::channel(store.last());
        let committer = Committer::new(store, Arc::clone(&queue), Arc::clone(&reader), sender);
        Ok((
            Self {
                queue,
                reader,
                durable,
                thread: Mutex::new(None),
                inline: true,
            },
            committer,
            recovery,
        ))
    }

    /// The first position held; `last() + 1` if none is.
    pub fn first(&self) -> Position {
        self.reader.first()
    }

    /// Accepts nothing more, finishes what was accepted and stops the thread. The folder stays locked until the WAL
    /// is dropped.
    pub async fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || join(thread)).await;
        }
    }
}

impl Drop for LocalWal {
    fn drop(&mut self) {
        self.queue.close();
        self.thread.lock().take().into_iter().for_each(join);
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("the WAL's thread panicked; appends that it had not answered may be lost");
    }
}

/// Logs and counts what opening found: damage is never silent.
fn report(folder: &str, recovery: &Recovery) {
    let Recovery {
        first,
        last,
        torn_bytes,
        damaged,
    } = recovery;
    if *torn_bytes > 0 {
        metrics::counter!("footfall_wal_torn_bytes_total").increment(*torn_bytes);
        tracing::warn!(
            folder,
            torn_bytes,
            last,
            "the WAL's torn tail was cut off: a write that had not been acknowledged"
        );
    }
    for damage in damaged {
        metrics::counter!("footfall_wal_damaged_total").increment(1);
        tracing::error!(%damage, "the WAL is damaged");
    }
    tracing::info!(folder, first, last, "the WAL is open");
}

#[async_trait]
impl EventLog for LocalWal {
    fn id(&self) -> u128 {
        self.reader.id()
    }

    async fn append(&self, payload: Bytes) -> Result<Position, WalError> {
        let answered = self.queue.append(payload)?;
        answered.await.unwrap_or(Err(WalError::Closed))
    }

    fn check_room(&self) -> Result<(), WalError> {
        self.queue.check_room()
    }

    async fn read_from(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, WalError> {
        if let Some(records) = self.reader.read_memory(from, max_bytes)? {
            return Ok(records);
        }
        if self.inline {
            return self.reader.read_disk(from, max_bytes);
        }
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || reader.read_disk(from, max_bytes)).await;
        read.unwrap_or(Err(WalError::Closed))
    }

    async fn wait_for(&self, position: Position) -> Result<(), WalError> {
        let mut durable = self.durable.clone();
        match durable.wait_for(|last| *last >= position).await {
            Ok(_) => Ok(()),
            Err(_) => Err(WalError::Closed),
        }
    }

    fn last(&self) -> Position {
        *self.durable.borrow()
    }

    async fn trim(&self, position: Position) -> Result<(), WalError> {
        let answered = self.queue.trim(position)?;
        answered.await.unwrap_or(Err(WalError::Closed))
    }
}
