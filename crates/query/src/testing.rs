//! Real lakes in memory for tests: `lake().await` and `events().site("a").client("x").at("2026-11-01 10:00").pageview("/")`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use chrono::NaiveDateTime;
use footfall_lake::{Commit, NewFile, Origin, Table, partitions, write_file};
use footfall_model::access::SiteScope;
use footfall_model::clock::{Clock, Micros};
use footfall_model::hash::client_hash;
use footfall_model::json::normalize;
use footfall_model::{schema, table};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as StoreResult,
};
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::{Caller, Engine, EngineOptions, QueryError, ScalarValue};

/// Tests that measure time hold it exclusively; those that compute for long share it, so that they don't disturb the
/// others.
pub(crate) static CORES: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

/// What `now()` is in tests.
pub(crate) const NOW: &str = "2026-11-24 12:00";

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        micros(NOW)
    }
}

/// `2026-11-01 10:00` or `2026-11-01 10:00:00.123456`, UTC.
pub(crate) fn micros(text: &str) -> Micros {
    ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .expect("a time")
        .and_utc()
        .timestamp_micros()
}

pub(crate) fn only(sites: &[&str]) -> SiteScope {
    SiteScope::Only(Arc::new(sites.iter().map(|site| (*site).to_owned()).collect()))
}

#[derive(Debug, Clone)]
struct Event {
    site: String,
    client: String,
    session: Option<String>,
    at: Micros,
    kind: &'static str,
    url: String,
    revenue: Option<i128>,
    properties: Option<String>,
    texts: BTreeMap<&'static str, String>,
}

/// Consecutive events; site, client, session, time and text columns stay until they are set again.
#[derive(Debug, Clone)]
pub(crate) struct EventsBuilder {
    site: String,
    client: String,
    session: SessionId,
    at: Micros,
    texts: BTreeMap<&'static str, String>,
    rows: Vec<Event>,
}

#[derive(Debug, Clone)]
enum SessionId {
    /// Each client has one.
    OfClient,
    Sent(Option<String>),
}

pub(crate) fn events() -> EventsBuilder {
    EventsBuilder {
        site: "a".into(),
        client: "c".into(),
        session: SessionId::OfClient,
        at: micros("2026-11-01 10:00"),
        texts: BTreeMap::new(),
        rows: Vec::new(),
    }
}

impl EventsBuilder {
    pub(crate) fn site(mut self, site: &str) -> Self {
        self.site = site.into();
        self
    }

    pub(crate) fn client(mut self, client: &str) -> Self {
        self.client = client.into();
        self
    }

    /// `session_id` of all clients; `None` is null.
    pub(crate) fn session(mut self, session: Option<&str>) -> Self {
        self.session = SessionId::Sent(session.map(str::to_owned));
        self
    }

    pub(crate) fn at(mut self, time: &str) -> Self {
        self.at = micros(time);
        self
    }

    /// A nullable text column; `None` is null.
    pub(crate) fn text(mut self, column: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.texts.insert(column, value.into()),
            None => self.texts.remove(column),
        };
        self
    }

    pub(crate) fn pageview(self, url: &str) -> Self {
        self.event("pageview", url, None)
    }

    /// `revenue` in ten-thousandths.
    pub(crate) fn purchase(self, revenue: i128) -> Self {
        self.event("purchase", "/thanks", Some(revenue))
    }

    /// `n` pageviews of as many clients, a second apart.
    pub(crate) fn crowd(mut self, n: usize) -> Self {
        for i in 0..n {
            self.client = format!("client-{i}");
            self.at += 1_000_000;
            self = self.pageview(&format!("/page/{}", i % 7));
        }
        self
    }

    fn event(mut self, kind: &'static str, url: &str, revenue: Option<i128>) -> Self {
        self.rows.push(Event {
            site: self.site.clone(),
            client: self.client.clone(),
            session: match &self.session {
                SessionId::OfClient => Some(format!("s-{}", self.client)),
                SessionId::Sent(session) => session.clone(),
            },
            at: self.at,
            kind,
            url: url.into(),
            revenue,
            properties: None,
            texts: self.texts.clone(),
        });
        self
    }

    /// `custom_properties` of the last event, as sent.
    pub(crate) fn properties(mut self, json: &str) -> Self {
        let event = self.rows.last_mut().expect("an event");
        event.properties = Some(normalize(json).unwrap().into_owned());
        self
    }

    pub(crate) fn batch(&self) -> RecordBatch {
        let rows = self.rows.iter();
        let text = |of: fn(&Event) -> String| Arc::new(StringArray::from_iter_values(rows.clone().map(of))) as ArrayRef;
        let time = || {
            let times = TimestampMicrosecondArray::from_iter_values(rows.clone().map(|e| e.at));
            Arc::new(times.with_timezone("UTC")) as ArrayRef
        };
        let hash = |e: &Event| client_hash(&e.site, &e.client).cast_signed();
        let schema = schema::event_file();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "tracking_id" => text(|e| e.site.clone()),
            "client_hash" => Arc::new(Int64Array::from_iter_values(rows.clone().map(hash))),
            "event_timestamp" | "created_at" => time(),
            "event_id" => text(|e| format!("{}-{}-{}", e.site, e.client, e.at)),
            "client_id" => text(|e| e.client.clone()),
            "session_id" => Arc::new(rows.clone().map(|e| e.session.as_deref()).collect::<StringArray>()),
            "event_type" => text(|e| e.kind.into()),
            "page_url" => text(|e| e.url.clone()),
            "is_bot" => Arc::new(BooleanArray::from(vec![false; self.rows.len()])),
            "revenue" => Arc::new(
                rows.clone()
                    .map(|e| e.revenue)
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(18, schema::REVENUE_SCALE)
                    .unwrap(),
            ),
            "custom_properties" => Arc::new(rows.clone().map(|e| e.properties.as_deref()).collect::<StringArray>()),
            name if field.data_type() == &DataType::Utf8 => {
                Arc::new(rows.clone().map(|e| e.texts.get(name)).collect::<StringArray>())
            }
            _ => new_null_array(field.data_type(), self.rows.len()),
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns).unwrap()
    }
}

/// A lake in memory that counts reads of its Parquet files.
#[derive(Debug)]
pub(crate) struct TestLake {
    pub(crate) table: Arc<Table>,
    pub(crate) reads: Reads,
    commits: AtomicU64,
    spill: TempDir,
}

pub(crate) async fn lake() -> TestLake {
    let store = CountingStore::default();
    let reads = store.reads.clone();
    let table = Table::open(Arc::new(store), Arc::clone(table::events()), Arc::new(FixedClock))
        .await
        .unwrap();
    TestLake {
        table: Arc::new(table),
        reads,
        commits: AtomicU64::new(0),
        spill: tempfile::tempdir().unwrap(),
    }
}

impl TestLake {
    /// Commits the events, one file per day.
    pub(crate) async fn add(&self, name: &str, events: EventsBuilder) {
        self.add_rows(name, &events.batch()).await;
    }

    /// Commits rows of [`schema::event_file`], in any order, one file per day.
    pub(crate) async fn add_rows(&self, name: &str, rows: &RecordBatch) {
        let mut add = Vec::new();
        for partition in partitions(rows).unwrap() {
            let new = NewFile::new(table::events(), partition.event_date, name, Origin::Wal, micros(NOW));
            add.push(write_file(self.table.store(), new, partition.rows).await.unwrap());
        }
        let id = self.commits.fetch_add(1, Ordering::SeqCst);
        self.table.commit(&Commit::append(u128::from(id), add)).await.unwrap();
    }

    pub(crate) fn options(&self) -> EngineOptions {
        EngineOptions {
            target_partitions: 2,
            clock: Arc::new(FixedClock),
            ..EngineOptions::new(self.spill.path().to_owned())
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::new(Arc::clone(&self.table), &self.options()).unwrap()
    }
}

/// The rows, or the error.
pub(crate) async fn rows(
    engine: &Engine,
    caller: impl Into<Caller>,
    sql: &str,
    values: &[ScalarValue],
) -> Result<Vec<RecordBatch>, QueryError> {
    let stream = engine.execute(caller, sql, values).await?;
    Ok(stream.try_collect().await?)
}

/// The rows as a table for people.
pub(crate) async fn table(engine: &Engine, caller: impl Into<Caller>, sql: &str) -> String {
    match rows(engine, caller, sql, &[]).await {
        Ok(rows) => pretty_format_batches(&rows).unwrap().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// The first value as text.
pub(crate) async fn value(engine: &Engine, caller: impl Into<Caller>, sql: &str) -> String {
    match rows(engine, caller, sql, &[]).await {
        Ok(rows) => {
            let Some(batch) = rows.iter().find(|batch| batch.num_rows() > 0) else {
                return "no rows".into();
            };
            let formatter = arrow::util::display::ArrayFormatter::try_new(batch.column(0), &Default::default());
            formatter.unwrap().value(0).to_string()
        }
        Err(error) => format!("{error:?}"),
    }
}

/// The requests that reached Parquet files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads(Arc<Mutex<Vec<Path>>>);

impl Reads {
    /// Their number since the last call.
    pub(crate) fn take(&self) -> usize {
        std::mem::take(&mut *self.0.lock()).len()
    }

    /// The files that were read since the last call.
    pub(crate) fn files(&self) -> BTreeSet<Path> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }

    fn count(&self, path: &Path) {
        if path.as_ref().ends_with(".parquet") && !path.as_ref().contains("_delta_log") {
            self.0.lock().push(path.clone());
        }
    }
}

#[derive(Debug, Default)]
struct CountingStore {
    inner: InMemory,
    reads: Reads,
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> StoreResult<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
        self.reads.count(path);
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<bytes::Bytes>> {
        self.reads.count(path);
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, StoreResult<Path>>) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
