//! A WAL and a lake to test with. Both are real; only the store's puts can be made to fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::AsArray;
use async_trait::async_trait;
use bytes::Bytes;
use footfall_lake::{partitions, read_columns, write_file};
use footfall_model::clock::{DAY, Micros, RandomIds};
use footfall_model::proto::{Event, EventBatch};
use footfall_model::table;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use prost::Message;
use tempfile::TempDir;

use crate::wal::{LocalWal, WalOptions};
use crate::writer::*;

/// 2026-11-01.
pub(super) const NOW: Micros = 1_793_491_200_000_000;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        NOW
    }
}

/// The first `failures` puts fail, alternately before and after they took effect.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) inner: InMemory,
    pub(super) failures: AtomicU64,
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
pub(super) struct Shard {
    state: TempDir,
    pub(super) store: Arc<Store>,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            store: Arc::default(),
        }
    }

    pub(super) fn log(&self) -> Arc<LocalWal> {
        Arc::new(LocalWal::open(self.state.path(), WalOptions::default()).unwrap().0)
    }

    pub(super) async fn table(&self) -> Arc<Table> {
        let store: Arc<dyn ObjectStore> = self.store.clone();
        Arc::new(
            Table::open(store, Arc::clone(table::events()), Arc::new(FixedClock))
                .await
                .unwrap(),
        )
    }

    pub(super) async fn writer(&self, log: &Arc<LocalWal>) -> Result<ShardWriter, WriterError> {
        self.writer_with_dedupe(log, DedupeOptions::default()).await
    }

    pub(super) async fn writer_with_dedupe(
        &self,
        log: &Arc<LocalWal>,
        dedupe: DedupeOptions,
    ) -> Result<ShardWriter, WriterError> {
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
    pub(super) async fn commit_files(
        &self,
        origin: Origin,
        id: u128,
        events: impl IntoIterator<Item = (usize, Micros)>,
    ) {
        let add = self.write_files(origin, id, events).await;
        self.table().await.commit(&Commit::append(id, add)).await.unwrap();
    }

    pub(super) async fn write_files(
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
    pub(super) async fn drain(&self, log: &Arc<LocalWal>) {
        let stop = CancellationToken::new();
        stop.cancel();
        self.writer(log).await.unwrap().run(stop).await.unwrap();
    }

    /// How often each event id is in the lake.
    pub(super) async fn stored(&self) -> BTreeMap<String, usize> {
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

pub(super) fn event(id: usize, created_at: Micros) -> Event {
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

pub(super) fn batch(ids: impl IntoIterator<Item = usize>) -> Bytes {
    received(ids, NOW)
}

pub(super) fn received(ids: impl IntoIterator<Item = usize>, created_at: Micros) -> Bytes {
    let events = ids.into_iter().map(|id| event(id, created_at)).collect();
    EventBatch { events }.encode_to_vec().into()
}

pub(super) fn once(ids: std::ops::Range<usize>) -> BTreeMap<String, usize> {
    ids.map(|id| (format!("{id:04}"), 1)).collect()
}
