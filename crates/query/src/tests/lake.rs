//! Events as tests write them, in a table that counts what is read of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use footfall_lake::{Commit, Table, partitions, write_file};
use footfall_model::access::SiteScope;
use footfall_model::clock::{Clock, Micros};
use footfall_model::hash::client_hash;
use footfall_model::schema;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};

use crate::{Engine, EngineOptions, QueryError, ScalarValue};

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        1_793_491_200_000_000
    }
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    site: &'static str,
    client: String,
    at: Micros,
    kind: &'static str,
    revenue: Option<i128>,
}

/// An event of `site`; complete it by the methods.
pub(super) fn event(site: &'static str) -> Event {
    Event {
        site,
        client: "c1".into(),
        at: time("2026-11-01T10:00:00Z"),
        kind: "pageview",
        revenue: None,
    }
}

impl Event {
    pub(super) fn client(mut self, client: impl Into<String>) -> Self {
        self.client = client.into();
        self
    }

    /// RFC 3339.
    pub(super) fn at(mut self, at: &str) -> Self {
        self.at = time(at);
        self
    }

    pub(super) fn purchase(mut self, revenue: i128) -> Self {
        self.kind = "purchase";
        self.revenue = Some(revenue * 10_000);
        self
    }
}

fn time(text: &str) -> Micros {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

fn rows(events: &[Event]) -> RecordBatch {
    let text = |value: fn(&Event) -> &str| -> ArrayRef {
        Arc::new(
            events
                .iter()
                .map(|event| Some(value(event).to_owned()))
                .collect::<StringArray>(),
        )
    };
    let schema = schema::event_file();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "tracking_id" => text(|event| event.site),
            "client_id" => text(|event| &event.client),
            "event_type" => text(|event| event.kind),
            "session_id" => text(|_| "s"),
            "event_id" => Arc::new(StringArray::from_iter_values(
                events
                    .iter()
                    .enumerate()
                    .map(|(n, event)| format!("{}-{}-{n}", event.client, event.at)),
            )),
            "client_hash" => Arc::new(Int64Array::from_iter_values(
                events
                    .iter()
                    .map(|event| client_hash(event.site, &event.client).cast_signed()),
            )),
            "event_timestamp" | "created_at" => {
                let times = events.iter().map(|event| event.at);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")) as ArrayRef
            }
            "is_bot" => Arc::new(BooleanArray::from(vec![false; events.len()])),
            "revenue" => Arc::new(
                events
                    .iter()
                    .map(|event| event.revenue)
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(18, schema::REVENUE_SCALE)
                    .unwrap(),
            ),
            _ => new_null_array(field.data_type(), events.len()),
        });
    let columns = columns.collect();
    RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
}

/// Counts the reads of data files.
#[derive(Debug, Default)]
pub(super) struct Store {
    inner: InMemory,
    reads: AtomicUsize,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store that counts")
    }
}

impl Store {
    fn count(&self, at: &Path) {
        if at.extension() == Some("parquet") {
            self.reads.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.count(at);
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[std::ops::Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.count(at);
        self.inner.get_ranges(at, ranges).await
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

/// A table and an engine over it.
pub(super) struct Lake {
    pub(super) engine: Arc<Engine>,
    table: Arc<Table>,
    store: Arc<Store>,
    commits: AtomicUsize,
}

impl Lake {
    pub(super) async fn new() -> Self {
        Self::with_options(|_| {}).await
    }

    pub(super) async fn with_options(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let store = Arc::new(Store::default());
        let counted: Arc<dyn ObjectStore> = store.clone();
        let table = Arc::new(Table::open(counted, Arc::new(FixedClock)).await.unwrap());
        let mut options = EngineOptions {
            target_partitions: 2,
            concurrent_queries: 2,
            queue_timeout: Duration::from_millis(50),
            ..EngineOptions::default()
        };
        change(&mut options);
        let engine = Engine::new(Arc::clone(&table), &options).unwrap();
        Self {
            engine: Arc::new(engine),
            table,
            store,
            commits: AtomicUsize::new(0),
        }
    }

    /// One commit: a file a day.
    pub(super) async fn commit(&self, events: &[Event]) -> &Self {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let mut add = Vec::new();
        for (part, day) in partitions(&rows(events)).unwrap().into_iter().enumerate() {
            let name = format!("f{number}-{part}");
            add.push(
                write_file(self.table.store(), day, &name, FixedClock.now())
                    .await
                    .unwrap(),
            );
        }
        let commit = Commit {
            id: number as u128,
            add,
            txn: None,
        };
        self.table.commit(&commit).await.unwrap();
        self
    }

    pub(super) async fn run(&self, scope: &SiteScope, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        self.bind(scope, sql, &[]).await
    }

    pub(super) async fn bind(
        &self,
        scope: &SiteScope,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let stream = self.engine.execute(scope, sql, parameters).await?;
        stream.try_collect().await.map_err(|error| QueryError::of(&error))
    }

    /// The answer for an admin, as a table.
    pub(super) async fn table(&self, sql: &str) -> String {
        let batches = self.run(&SiteScope::All, sql).await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// The one value of the answer.
    pub(super) async fn value(&self, scope: &SiteScope, sql: &str) -> String {
        let batches = self.run(scope, sql).await.unwrap();
        let batch = batches.iter().find(|batch| batch.num_rows() > 0).expect("one row");
        arrow::util::display::array_value_to_string(batch.column(0), 0).unwrap()
    }

    /// How often data files were read while `work` ran.
    pub(super) async fn reads(&self, work: impl Future) -> usize {
        let before = self.store.reads.load(Ordering::SeqCst);
        work.await;
        self.store.reads.load(Ordering::SeqCst) - before
    }

    /// The plan's text, without what changes from run to run.
    pub(super) async fn plan(&self, scope: &SiteScope, sql: &str) -> String {
        let batches = self.run(scope, &format!("EXPLAIN FORMAT INDENT {sql}")).await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    /// The data files that a query's plan reads.
    pub(super) async fn files(&self, sql: &str) -> Vec<String> {
        let plan = self.plan(&SiteScope::All, sql).await;
        let mut files: Vec<_> = plan
            .split(['[', ']', ',', '{', '}', ' '])
            .filter(|word| word.ends_with(".parquet"))
            .filter_map(|word| word.rsplit_once('/'))
            .map(|(_, name)| name.trim_end_matches(".parquet").to_owned())
            .collect();
        files.sort();
        files.dedup();
        files
    }
}

pub(super) fn only(sites: &[&str]) -> SiteScope {
    SiteScope::Only(Arc::new(sites.iter().map(|site| (*site).to_owned()).collect()))
}
