//! Results of statements, kept while what they were computed from is the same: never stale, however long they lie.
//!
//! ```text
//! text, values, sites, versions of the lake ---> fingerprint ---> rows
//!                                                     ^
//! plan, and the files that its scans read ------------+
//! ```
//!
//! The first way answers without planning, until the next commit. The second way finds a result of an older version if
//! the commits since then touched no file that the statement reads.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use footfall_model::access::SiteScope;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use metrics::{counter, gauge};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Provenance;
use crate::caller::Caller;
use crate::segments::{LakeIdentity, PinnedLake};

/// The largest result that is kept; it is computed as a whole before its first row is returned.
const MAX_RESULT_BYTES: usize = 1024 * 1024;

/// Weight of what is known of texts.
const MAX_STATEMENT_BYTES: u64 = 8 * 1024 * 1024;

/// 128 bits that stand for a plan, its scans' files and the sites of its caller.
pub(crate) type Fingerprint = [u64; 2];

/// Of all that `value` hashes. Keyed by this process, so that nobody can look for collisions.
pub(crate) fn fingerprint(value: &impl Hash) -> Fingerprint {
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    let [first, second] = &*KEYS;
    [first.hash_one(value), second.hash_one(value)]
}

/// A statement as it is asked, over one version of the lake.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct StatementKey {
    sql: Arc<str>,
    values: Vec<ScalarValue>,
    sites: SiteScope,
    routing: bool,
    sampling: bool,
    lake: LakeIdentity,
}

impl StatementKey {
    pub(crate) fn new(sql: &str, values: &[ScalarValue], caller: &Caller, lake: &PinnedLake) -> Self {
        Self {
            sql: sql.into(),
            values: values.to_vec(),
            sites: caller.sites.clone(),
            routing: caller.routing,
            sampling: caller.sampling,
            lake: lake.identity(),
        }
    }

    fn weight(&self) -> usize {
        let values = self.values.iter().map(ScalarValue::size).sum::<usize>();
        size_of::<Self>() + self.sql.len() + values + self.lake.size()
    }
}

/// How a statement's result may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It depends on more than the lake: chance, or what this process does.
    Never,
    /// By its plan: it depends on the time, which is a part of it.
    ByPlan(Fingerprint),
    /// By its text too.
    ByText(Fingerprint),
}

impl Keeping {
    fn fingerprint(self) -> Option<Fingerprint> {
        match self {
            Self::Never => None,
            Self::ByPlan(fingerprint) | Self::ByText(fingerprint) => Some(fingerprint),
        }
    }
}

/// What is known of a statement.
#[derive(Debug, Clone)]
enum Known {
    /// Its rows may be kept.
    Result(Fingerprint, Arc<Provenance>),
    /// It can't be, or it is too large: nobody waits for another's result.
    NotKept,
}

/// All rows of a statement.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Rows {
    pub(crate) fn count(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    pub(crate) fn stream(&self) -> SendableRecordBatchStream {
        let batches = stream::iter(self.batches.clone()).map(Ok);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// The results of an engine.
#[derive(Debug)]
pub(crate) struct ResultCache {
    statements: Cache<StatementKey, Known>,
    results: Cache<Fingerprint, Arc<Rows>>,
    computing: Arc<Mutex<HashMap<StatementKey, watch::Receiver<()>>>>,
    max_result: usize,
}

/// What a statement finds.
pub(crate) enum Found {
    Rows(Arc<Rows>, Arc<Provenance>),
    /// It is to be computed; equal statements wait until the lead is dropped.
    Nothing(Option<Lead>),
}

/// Equal statements wait for this one.
#[derive(Debug)]
pub(crate) struct Lead {
    key: StatementKey,
    computing: Arc<Mutex<HashMap<StatementKey, watch::Receiver<()>>>>,
    _ended: watch::Sender<()>,
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.computing.lock().remove(&self.key);
    }
}

impl ResultCache {
    /// `bytes`: of all results; 0 keeps none.
    pub(crate) fn new(bytes: usize) -> Self {
        let weight = |weight: usize| u32::try_from(weight).unwrap_or(u32::MAX);
        Self {
            statements: Cache::builder()
                .max_capacity(MAX_STATEMENT_BYTES.min(bytes as u64))
                .weigher(move |key: &StatementKey, _| weight(key.weight()))
                .build(),
            results: Cache::builder()
                .max_capacity(bytes as u64)
                .weigher(move |_, rows: &Arc<Rows>| weight(rows.bytes))
                .build(),
            computing: Arc::default(),
            max_result: MAX_RESULT_BYTES.min(bytes / 16),
        }
    }

    /// The result of `key`, for which equal statements that are being computed are waited for.
    pub(crate) async fn find(&self, key: &StatementKey) -> Found {
        if self.max_result == 0 {
            return Found::Nothing(None);
        }
        match self.known(key) {
            Some(found) => found,
            None => match self.lead(key) {
                Ok(lead) => Found::Nothing(Some(lead)),
                Err(mut others) => {
                    // An error is the other's end.
                    let _ = others.changed().await;
                    self.known(key).unwrap_or(Found::Nothing(None))
                }
            },
        }
    }

    fn known(&self, key: &StatementKey) -> Option<Found> {
        match self.statements.get(key)? {
            Known::NotKept => Some(Found::Nothing(None)),
            Known::Result(fingerprint, provenance) => {
                let rows = self.results.get(&fingerprint)?;
                self.count("hit");
                Some(Found::Rows(rows, provenance))
            }
        }
    }

    fn lead(&self, key: &StatementKey) -> Result<Lead, watch::Receiver<()>> {
        let mut computing = self.computing.lock();
        if let Some(other) = computing.get(key) {
            return Err(other.clone());
        }
        let (ended, receiver) = watch::channel(());
        computing.insert(key.clone(), receiver);
        Ok(Lead {
            key: key.clone(),
            computing: Arc::clone(&self.computing),
            _ended: ended,
        })
    }

    /// The result of a planned statement, computed for another text or over another version.
    pub(crate) fn planned(&self, key: &StatementKey, keeping: Keeping, provenance: &Provenance) -> Option<Arc<Rows>> {
        if self.max_result == 0 {
            return None;
        }
        let Some(fingerprint) = keeping.fingerprint() else {
            self.count("not_kept");
            self.statements.insert(key.clone(), Known::NotKept);
            return None;
        };
        match keeping {
            Keeping::ByText(_) => self.learn(key, fingerprint, provenance),
            // Another time is another plan: equal texts don't wait for each other.
            _ => self.statements.insert(key.clone(), Known::NotKept),
        }
        let rows = self.results.get(&fingerprint);
        self.count(if rows.is_some() { "hit" } else { "miss" });
        rows
    }

    fn learn(&self, key: &StatementKey, fingerprint: Fingerprint, provenance: &Provenance) {
        let known = Known::Result(fingerprint, Arc::new(provenance.clone()));
        self.statements.insert(key.clone(), known);
    }

    /// Keeps the result, unless it is too large. Returns its rows; what is not kept goes on flowing.
    pub(crate) async fn keep(
        &self,
        key: &StatementKey,
        keeping: Keeping,
        rows: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let Some(fingerprint) = keeping.fingerprint().filter(|_| self.max_result > 0) else {
            return rows;
        };
        match collect(rows, self.max_result).await {
            Collected::All(rows) => {
                let rows = Arc::new(rows);
                self.results.insert(fingerprint, Arc::clone(&rows));
                gauge!("footfall_query_cache_bytes").set(self.results.weighted_size() as f64);
                rows.stream()
            }
            Collected::TooLarge(rows) => {
                self.statements.insert(key.clone(), Known::NotKept);
                rows
            }
            // The next one may not fail.
            Collected::Failed(rows) => rows,
        }
    }

    fn count(&self, result: &'static str) {
        counter!("footfall_query_cache_total", "result" => result).increment(1);
    }
}

enum Collected {
    All(Rows),
    /// What has been collected, and what follows.
    TooLarge(SendableRecordBatchStream),
    /// What has been collected, and the error.
    Failed(SendableRecordBatchStream),
}

/// The rows of a stream, if they are no more than `limit` bytes and it doesn't fail.
async fn collect(mut rows: SendableRecordBatchStream, limit: usize) -> Collected {
    let schema = rows.schema();
    let (mut batches, mut bytes) = (Vec::new(), size_of::<Rows>());
    while bytes <= limit {
        match rows.try_next().await {
            Ok(Some(batch)) => {
                bytes += batch.get_array_memory_size();
                batches.push(batch);
            }
            Ok(None) => return Collected::All(Rows { schema, batches, bytes }),
            Err(error) => return Collected::Failed(after(batches, schema, stream::iter([Err(error)]))),
        }
    }
    Collected::TooLarge(after(batches, schema, rows))
}

/// The batches, and then `rest`.
fn after(
    batches: Vec<RecordBatch>,
    schema: SchemaRef,
    rest: impl Stream<Item = Result<RecordBatch, DataFusionError>> + Send + 'static,
) -> SendableRecordBatchStream {
    let all = stream::iter(batches).map(Ok).chain(rest);
    Box::pin(RecordBatchStreamAdapter::new(schema, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_differ_with_what_they_stand_for() {
        assert_eq!(fingerprint(&"a"), fingerprint(&"a"));
        assert_ne!(fingerprint(&"a"), fingerprint(&"b"));
        let [first, second] = fingerprint(&"a");
        assert_ne!(first, second);
    }
}
