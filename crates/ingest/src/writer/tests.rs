//! WAL and lake are real; only the store's puts can be made to fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::AsArray;
use async_trait::async_trait;
use bytes::Bytes;
use footfall_lake::{Operation, partitions, read_columns, write_file};
use footfall_model::clock::{DAY, Micros, RandomIds};
use footfall_model::proto::{Event, EventBatch};
use footfall_model::table;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use prost::Message;
use tempfile::TempDir;

use super::*;
use crate::wal::{LocalWal, WalOptions};

/// 2026-11-01.
const NOW: Micros = 1_793_491_200_000_000;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        NOW
    }
}

/// The first `failures` puts fail, alternately before and after they took effect.
#[derive(Debug, Default)]
struct Store {
    inner: InMemory,
    failures: AtomicU64,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that fails")
    }
}

fn failure() -> object_store::Error {
    object_store::Error::Generic {
        store: "test",
        source: "no answer".into(),
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        let left = self.failures.load(Ordering::SeqCst);
        if left == 0 {
            return self.inner.put_opts(at, payload, opts).await;
        }
        self.failures.store(left - 1, Ordering::SeqCst);
        if left.is_multiple_of(2) {
            self.inner.put_opts(at, payload, opts).await?;
        }
        Err(failure())
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A state folder and a lake that outlive any number of writers.
struct Shard {
    state: TempDir,
    store: Arc<Store>,
}

impl Shard {
    fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            store: Arc::default(),
        }
    }

    fn log(&self) -> Arc<LocalWal> {
        Arc::new(LocalWal::open(self.state.path(), WalOptions::default()).unwrap().0)
    }

    async fn table(&self) -> Arc<Table> {
        let store: Arc<dyn ObjectStore> = self.store.clone();
        Arc::new(
            Table::open(store, Arc::clone(table::events()), Arc::new(FixedClock))
                .await
                .unwrap(),
        )
    }

    async fn writer(&self, log: &Arc<LocalWal>) -> Result<ShardWriter, WriterError> {
        self.writer_with_dedupe(log, DedupeOptions::default()).await
    }

    async fn writer_with_dedupe(&self, log: &Arc<LocalWal>, dedupe: DedupeOptions) -> Result<ShardWriter, WriterError> {
        let parts = WriterParts {
            log: log.clone(),
            table: self.table().await,
            clock: Arc::new(FixedClock),
            ids: Arc::new(RandomIds),
        };
        let flush = FlushPolicy {
            interval: Duration::from_millis(3),
            ..FlushPolicy::default()
        };
        ShardWriter::open(parts, WriterOptions { flush, dedupe }).await
    }

    /// Commits a file for each day of these events, each received at its time.
    async fn commit_files(&self, origin: Origin, id: u128, events: impl IntoIterator<Item = (usize, Micros)>) {
        let add = self.write_files(origin, id, events).await;
        self.table().await.commit(&Commit::append(id, add)).await.unwrap();
    }

    async fn write_files(
        &self,
        origin: Origin,
        id: u128,
        events: impl IntoIterator<Item = (usize, Micros)>,
    ) -> Vec<DataFile> {
        let table = self.table().await;
        let events: Vec<_> = events.into_iter().map(|(id, received)| event(id, received)).collect();
        let mut add = Vec::new();
        for (nth, day) in partitions(&rows(&events)).unwrap().into_iter().enumerate() {
            let new = NewFile::new(table.spec(), day.event_date, file_name(id, nth), origin, NOW);
            add.push(write_file(table.store(), new, day.rows).await.unwrap());
        }
        add
    }

    /// Writes the whole WAL to the lake.
    async fn drain(&self, log: &Arc<LocalWal>) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.writer(log).await.unwrap().run(stop).await.unwrap();
    }

    /// How often each event id is in the lake.
    async fn stored(&self) -> BTreeMap<String, usize> {
        let table = self.table().await;
        let mut stored = BTreeMap::new();
        for file in table.snapshot().files() {
            let batches = read_columns(table.store(), file, &["event_id"]).await.unwrap();
            for batch in batches.try_collect::<Vec<_>>().await.unwrap() {
                for id in batch.column(0).as_string::<i32>().iter().flatten() {
                    *stored.entry(id.to_owned()).or_default() += 1;
                }
            }
        }
        stored
    }
}

fn event(id: usize, created_at: Micros) -> Event {
    Event {
        tracking_id: "site".into(),
        event_id: format!("{id:04}"),
        client_id: format!("c{}", id % 7),
        session_id: Some("s".into()),
        event_type: "pageview".into(),
        // Spread over two days.
        event_timestamp: NOW - (id as i64 % 2) * DAY,
        created_at,
        ..Event::default()
    }
}

fn batch(ids: impl IntoIterator<Item = usize>) -> Bytes {
    received(ids, NOW)
}

fn received(ids: impl IntoIterator<Item = usize>, created_at: Micros) -> Bytes {
    let events = ids.into_iter().map(|id| event(id, created_at)).collect();
    EventBatch { events }.encode_to_vec().into()
}

fn once(ids: std::ops::Range<usize>) -> BTreeMap<String, usize> {
    ids.map(|id| (format!("{id:04}"), 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_stores_each_event_once() {
    let shard = Shard::new();
    let log = shard.log();
    log.append(batch(0..50)).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..50));
    drop(log);
    let log = shard.log();
    shard.drain(&log).await;
    log.append(batch(50..60)).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..60));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_event_is_dropped_after_restart() {
    let shard = Shard::new();
    let log = shard.log();
    log.append(batch([1, 0, 1])).await.unwrap();
    log.append(batch([1, 2])).await.unwrap();
    shard.drain(&log).await;
    log.append(batch([0, 3])).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..4));
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_killed_at_any_moment_stores_each_event_once() {
    let shard = Shard::new();
    let log = shard.log();
    let mut sent = 0;
    for round in 0..25_u64 {
        let writer = shard.writer(&log).await.unwrap();
        let running = tokio::spawn(writer.run(CancellationToken::new()));
        for _ in 0..4 {
            log.append(batch(sent..sent + 3)).await.unwrap();
            sent += 3;
        }
        tokio::time::sleep(Duration::from_micros(round * 700)).await;
        running.abort();
        let _ = running.await;
    }
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_store_delays_and_stores_each_event_once() {
    let shard = Shard::new();
    let log = shard.log();
    shard.table().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(shard.writer(&log).await.unwrap().run(stop.clone()));
    for round in 0..3 {
        shard.store.failures.store(3 + round % 2, Ordering::SeqCst);
        log.append(batch(round as usize * 10..round as usize * 10 + 10))
            .await
            .unwrap();
        while shard.store.failures.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // A stop before the writer's retry may leave events to the next start.
    while shard.stored().await.len() < 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(shard.stored().await, once(0..30));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_without_store_leaves_events_to_next_start() {
    let shard = Shard::new();
    let log = shard.log();
    shard.table().await;
    log.append(batch(0..10)).await.unwrap();
    shard.store.failures.store(1_000_001, Ordering::SeqCst);
    shard.drain(&log).await;
    shard.store.failures.store(0, Ordering::SeqCst);
    assert_eq!(shard.stored().await, BTreeMap::new());
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..10));
}

#[tokio::test(flavor = "multi_thread")]
async fn second_writer_of_a_wal_is_fenced() {
    let shard = Shard::new();
    let log = shard.log();
    let (one, two) = (shard.writer(&log).await.unwrap(), shard.writer(&log).await.unwrap());
    log.append(batch(0..10)).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    one.run(stop.clone()).await.unwrap();
    let refused = two.run(stop).await.unwrap_err();
    assert!(
        matches!(refused, WriterError::Lake(LakeError::Fenced { .. })),
        "{refused}"
    );
    assert_eq!(shard.stored().await, once(0..10));
}

const HOUR: Micros = 3_600_000_000;

async fn drain_keeping(shard: &Shard, log: &Arc<LocalWal>, ids: usize) {
    let window = Duration::from_secs(6 * 3_600);
    let stop = CancellationToken::new();
    stop.cancel();
    let writer = shard
        .writer_with_dedupe(log, DedupeOptions { window, ids })
        .await
        .unwrap();
    writer.run(stop).await.unwrap();
}

/// Files that were merged are gone; their rows are in a file with more rows than the window has ids.
#[tokio::test(flavor = "multi_thread")]
async fn recall_finds_newest_rows_of_merged_file() {
    let shard = Shard::new();
    // Not in time order, as files are sorted by visitor: every third is of the last hour.
    let events = (0..300).map(|id| (id, NOW - HOUR * (1 + 7 * i64::from(id % 3 != 0))));
    shard.commit_files(Origin::Compaction, 1, events).await;
    let log = shard.log();
    log.append(batch((0..300).filter(|id| id % 3 == 0))).await.unwrap();
    drain_keeping(&shard, &log, 200).await;
    assert_eq!(shard.stored().await, once(0..300));
}

#[tokio::test(flavor = "multi_thread")]
async fn recall_ignores_imported_rows() {
    let shard = Shard::new();
    shard
        .commit_files(Origin::Wal, 1, (0..50).map(|id| (id, NOW - HOUR)))
        .await;
    shard
        .commit_files(Origin::Import, 2, (50..500).map(|id| (id, NOW)))
        .await;
    shard
        .commit_files(Origin::Wal, 3, (500..600).map(|id| (id, NOW - 2 * HOUR)))
        .await;
    let log = shard.log();
    log.append(batch(0..50)).await.unwrap();
    drain_keeping(&shard, &log, 100).await;
    assert_eq!(shard.stored().await, once(0..600));
}

/// Between the pinning of the snapshot and the reading of the file, another process merged and vacuumed it.
#[tokio::test(flavor = "multi_thread")]
async fn recall_follows_rows_into_merged_file() {
    let shard = Shard::new();
    shard.commit_files(Origin::Wal, 1, [(0, NOW), (2, NOW)]).await;
    let table = shard.table().await;
    let before: Vec<_> = table.snapshot().files().map(|file| file.path.clone()).collect();
    let add = shard.write_files(Origin::Compaction, 2, [(0, NOW), (2, NOW)]).await;
    let merge = Commit {
        operation: Operation::Merge,
        remove: before.clone(),
        ..Commit::append(2, add)
    };
    shard.table().await.commit(&merge).await.unwrap();
    for path in &before {
        shard.store.inner.delete(path).await.unwrap();
    }
    let mut window = Window::new(&DedupeOptions::default(), NOW);
    let (timer, stop) = (TokioTimer::new(), CancellationToken::new());
    let recalled = recall::fill(&mut window, &table, NOW - HOUR, &timer, &stop)
        .await
        .unwrap();
    assert_eq!(recalled.map(|recalled| recalled.files), Some(1));
    assert!(!window.insert(EventKey::new("site", "0002"), NOW));
}

/// The server was down for longer than the window; its WAL has duplicates of events committed before.
#[tokio::test(flavor = "multi_thread")]
async fn recall_reaches_before_oldest_unwritten_event() {
    let shard = Shard::new();
    let log = shard.log();
    log.append(received(0..10, NOW - 9 * HOUR)).await.unwrap();
    shard.drain(&log).await;
    log.append(received(5..15, NOW - 8 * HOUR)).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..15));
}
