//! A compactor that crashes at any of its requests to the store: whatever it left behind, each event counts once.

mod histories;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as StoreResult,
};

use super::rollups::{Rolled, small_merges};
use crate::testing::events;

/// 2026-11-01.
const DAY: i32 = 20_758;

/// A store that stops answering after a number of changes.
#[derive(Debug)]
struct CrashingStore {
    inner: Arc<InMemory>,
    /// Changes that are left; below zero nothing is answered.
    left: AtomicI64,
    /// Whether the last change takes effect before the crash.
    last_lands: bool,
}

impl CrashingStore {
    /// That does not crash yet.
    fn new(inner: &Arc<InMemory>, last_lands: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            left: AtomicI64::new(i64::MAX),
            last_lands,
        })
    }

    fn check(&self) -> StoreResult<()> {
        match self.left.load(Ordering::SeqCst) {
            0.. => Ok(()),
            _ => Err(crashed()),
        }
    }

    /// Counts a change; whether it takes effect.
    fn change(&self) -> StoreResult<bool> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Ok(true),
            0 if self.last_lands => Ok(false),
            _ => Err(crashed()),
        }
    }
}

fn crashed() -> StoreError {
    StoreError::Generic {
        store: "crashing",
        source: "the process is gone".into(),
    }
}

impl fmt::Display for CrashingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("crashing")
    }
}

#[async_trait]
impl ObjectStore for CrashingStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        let goes_on = self.change()?;
        let put = self.inner.put_opts(path, payload, options).await;
        if goes_on { put } else { Err(crashed()) }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.change()?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.check()?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<bytes::Bytes>> {
        self.check()?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        match self.change() {
            Ok(_) => self.inner.delete_stream(paths),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.check()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.change()?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// Merges two files that share an event in a process that crashes after `changes` changes. Returns whether it came to
/// its end before.
async fn merge_crashes_after(changes: i64, last_lands: bool) -> bool {
    let memory = Arc::new(InMemory::new());
    let rolled = Rolled::over(Arc::<InMemory>::clone(&memory), &small_merges()).await;
    rolled.add(events().crowd(30).pageview("/a"), 0).await;
    rolled.add(events().pageview("/a").site("b").crowd(10), 1).await;
    let before = rolled.count().await;

    let store = CrashingStore::new(&memory, last_lands);
    let crashing = Rolled::over(Arc::<CrashingStore>::clone(&store), &small_merges()).await;
    let [task] = &crashing.compactors[0].plan_day(DAY)[..] else {
        panic!("one task")
    };
    store.left.store(changes, Ordering::SeqCst);
    let outcome = crashing.compactors[0].execute(task, None).await;
    let context = format!("crash after {changes} changes, {last_lands}: {outcome:?}");

    // Another process, which has only the store.
    let rolled = Rolled::over(Arc::<InMemory>::clone(&memory), &small_merges()).await;
    let count = rolled.count().await;
    assert!(
        count == before || count == before - 1,
        "{context}: {count} of {before} events"
    );
    rolled.assert_totals_equal_events(&context).await;
    for task in rolled.compactors[1].plan_day(DAY) {
        rolled.compactors[1].execute(&task, None).await.unwrap();
    }
    assert_eq!(
        rolled.count().await,
        before - 1,
        "{context}: the duplicate is gone, nothing else"
    );
    rolled.assert_totals_equal_events(&context).await;
    outcome.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_at_any_change_loses_and_doubles_nothing() {
    for last_lands in [false, true] {
        let mut changes = 0;
        while !merge_crashes_after(changes, last_lands).await {
            changes += 1;
        }
        assert!(changes >= 8, "files, commits and removals: only {changes} changes");
    }
}
