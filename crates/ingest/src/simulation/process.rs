//! One Footfall process: the WAL, the committer that a thread would turn, and the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use footfall_lake::{Lake, LakeError, Table};
use footfall_model::clock::{Clock, IdGen};
use footfall_model::table::{TableSpec, events};
use object_store::ObjectStore;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::disk::SimDisk;
use super::executor::{TaskId, Time};
use super::model::Model;
use super::store::SimStore;
use super::trace::Trace;
use crate::wal::{Committer, CommitterTurn, EventLog, LocalWal, Position, Record, WalError, WalOptions};
use crate::writer::{DedupeOptions, FlushPolicy, ShardWriter, Timer, WriterError, WriterOptions, WriterParts};

/// What all parts of a simulation share.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) time: Time,
    pub(super) disk: SimDisk,
    pub(super) store: SimStore,
    pub(super) ids: Arc<Ids>,
    pub(super) model: Model,
    pub(super) trace: Trace,
    /// Milliseconds that a turn of the committer takes.
    pub(super) slow_disk: Arc<AtomicU64>,
    /// The last epoch of the compactors' lease.
    pub(super) epochs: Arc<AtomicI64>,
}

/// Ids that count up.
#[derive(Debug, Default)]
pub(super) struct Ids(AtomicU64);

impl IdGen for Ids {
    fn next_id(&self) -> u128 {
        0x0F00_0000 + u128::from(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Small limits, so that short histories reach each of them.
pub(super) fn log_options() -> WalOptions {
    WalOptions {
        segment_bytes: 1_200,
        queue_bytes: 2_500,
        max_record_bytes: 1_000,
        max_log_bytes: 2_800,
        tail_bytes: 1_500,
    }
}

fn writer_options() -> WriterOptions {
    WriterOptions {
        flush: FlushPolicy {
            interval: Duration::from_millis(500),
            rows: 40,
            ..FlushPolicy::default()
        },
        dedupe: DedupeOptions {
            window: Duration::from_secs(6 * 3_600),
            // At least half of them are remembered, which is more than a history has events.
            ids: 200,
        },
    }
}

/// The real WAL; wakes the committer when there is work, and records in the model what was reported to a reader as
/// lost.
#[derive(Debug)]
pub(super) struct SimWal {
    log: LocalWal,
    work: Notify,
    gone: CancellationToken,
    model: Model,
}

impl SimWal {
    pub(super) fn new(log: LocalWal, model: Model) -> Self {
        Self {
            log,
            work: Notify::new(),
            gone: CancellationToken::new(),
            model,
        }
    }

    /// The process has ended, or does not answer.
    pub(super) fn go(&self) {
        self.gone.cancel();
    }

    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    pub(super) async fn close(&self) {
        self.log.close().await;
        self.work.notify_one();
    }
}

#[async_trait]
impl EventLog for SimWal {
    fn id(&self) -> u128 {
        self.log.id()
    }

    async fn append(&self, payload: Bytes) -> Result<Position, WalError> {
        self.work.notify_one();
        self.log.append(payload).await
    }

    async fn read_from(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, WalError> {
        let read = self.log.read_from(from, max_bytes).await;
        if let Err(WalError::Damaged(damage)) = &read {
            self.model.lock().lost.push((damage.lost_from, damage.resume_at));
        }
        read
    }

    async fn wait_for(&self, position: Position) -> Result<(), WalError> {
        self.log.wait_for(position).await
    }

    fn last(&self) -> Position {
        self.log.last()
    }

    async fn trim(&self, position: Position) -> Result<(), WalError> {
        self.work.notify_one();
        self.log.trim(position).await
    }
}

/// The work of the WAL's thread.
pub(super) async fn commit(mut committer: Committer, log: Arc<SimWal>, world: World) {
    loop {
        world.time.sleep_millis(world.slow_disk.load(Ordering::Relaxed)).await;
        match committer.turn() {
            CommitterTurn::Worked => {}
            CommitterTurn::Idle => log.work.notified().await,
            CommitterTurn::Closed => return,
        }
    }
}

/// The result of a writer; `None` while it runs.
pub(super) type Ending = Arc<Mutex<Option<Result<(), WriterError>>>>;

/// The table that a process has open.
pub(super) type Opened = Arc<Mutex<Option<Arc<Table>>>>;

pub(super) struct Process {
    pub(super) log: Arc<SimWal>,
    pub(super) stop: CancellationToken,
    pub(super) writer: TaskId,
    pub(super) committer: TaskId,
    /// Rival writers and refreshes.
    pub(super) others: Vec<TaskId>,
    pub(super) ending: Ending,
    pub(super) table: Opened,
}

impl Process {
    pub(super) fn tasks(&self) -> impl Iterator<Item = TaskId> {
        [self.writer, self.committer]
            .into_iter()
            .chain(self.others.iter().copied())
    }
}

/// Opens the table and writes until `stop`.
pub(super) async fn write(world: World, log: Arc<SimWal>, stop: CancellationToken, table: Opened, ending: Ending) {
    let ended = loop {
        let Some(opened) = open_table(&world, Some(&stop)).await else {
            break Ok(());
        };
        *table.lock() = Some(Arc::clone(&opened));
        // Other processes may commit in between.
        world.time.sleep_millis(3).await;
        let parts = WriterParts {
            log: log.clone(),
            table: opened,
            clock: Arc::new(world.time.clone()),
            ids: world.ids.clone(),
        };
        let timer: Arc<dyn Timer> = Arc::new(world.time.clone());
        let opened = ShardWriter::open_with(parts, writer_options(), timer);
        let faulty = world.store.has_faults();
        match opened.await {
            Ok(writer) => break Box::pin(writer.run(stop)).await,
            Err(WriterError::Lake(LakeError::Delta { .. } | LakeError::Store { .. }))
                if faulty || world.store.has_faults() =>
            {
                if stop.is_cancelled() {
                    break Ok(());
                }
                world.trace.note(format_args!("{} no position", world.time.micros()));
                world.time.sleep_millis(700).await;
            }
            Err(error) => break Err(error),
        }
    };
    let ending_text = match &ended {
        Ok(()) => "stopped".to_owned(),
        Err(error) => error.to_string(),
    };
    world
        .trace
        .note(format_args!("{} the writer ended: {ending_text}", world.time.micros()));
    *ending.lock() = Some(ended);
}

/// Opens the table of events, however many attempts that takes; `None` after `stop`.
pub(super) async fn open_table(world: &World, stop: Option<&CancellationToken>) -> Option<Arc<Table>> {
    let open = |store, clock| Table::open(store, Arc::clone(events()), clock);
    let table = retry_open(world, stop, open).await?;
    let version = table.snapshot().version();
    world
        .trace
        .note(format_args!("{} table open at {version}", world.time.micros()));
    Some(Arc::new(table))
}

/// Opens the table of events and those of segments.
pub(super) async fn open_lake(world: &World, specs: &[Arc<TableSpec>]) -> Option<Lake> {
    retry_open(world, None, |store, clock| Lake::open(store, specs, clock)).await
}

async fn retry_open<T, F: Future<Output = Result<T, LakeError>>>(
    world: &World,
    stop: Option<&CancellationToken>,
    open: impl Fn(Arc<dyn ObjectStore>, Arc<dyn Clock>) -> F,
) -> Option<T> {
    let mut pause = 200;
    loop {
        match open(Arc::new(world.store.clone()), Arc::new(world.time.clone())).await {
            Ok(opened) => return Some(opened),
            Err(_) if stop.is_some_and(CancellationToken::is_cancelled) => return None,
            Err(error) if !world.store.has_faults() => {
                let violation = format!("the table can't be opened although the store is well: {error}");
                world.model.lock().violations.push(violation);
                return None;
            }
            Err(_) => world.trace.note(format_args!("{} no table", world.time.micros())),
        }
        world.time.sleep_millis(pause).await;
        pause = (pause * 2).min(5_000);
    }
}
