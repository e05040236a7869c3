//! Files of events as iterators of batches, each run of them read by a task of its own.
//!
//! Outside of a tokio runtime there are no such tasks: the files are read one after another, and merged once all of them
//! are in memory. A simulation, which is its own runtime, so stays deterministic; its files are small.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use footfall_lake::{BatchLimit, DataFile, LakeError, Table, read_rows};
use footfall_model::table::SITE_COLUMN;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::CompactError;
use crate::FileState;
use crate::plan::runs;
use crate::retention::ExpiredSites;

/// Rows of a batch: fewer cost more time for each, more gain nothing.
const BATCH_ROWS: usize = 8 * 1_024;

/// Batches that a file is ahead of the merge, beside the one that is merged and the one that is being read.
const AHEAD: usize = 1;

/// The rows of one run of files that are kept, in order. Its iterator may block: it is for a thread that may.
pub(super) struct Input {
    batches: Batches,
    rows: Arc<InputRows>,
    expired: Option<Arc<ExpiredSites>>,
}

type Batch = Result<RecordBatch, LakeError>;

enum Batches {
    /// A task sends them.
    Arriving(mpsc::Receiver<Batch>),
    InMemory(std::vec::IntoIter<Batch>),
}

/// What the merge has taken from all inputs.
#[derive(Debug, Default)]
pub(super) struct InputRows {
    pub(super) read: AtomicU64,
    /// Of these, rows of sites whose retention is over.
    pub(super) expired: AtomicU64,
}

/// The files in what is read one after another.
pub(super) fn runs_of(files: &[Arc<DataFile>]) -> Vec<Vec<Arc<DataFile>>> {
    let states: Vec<_> = files.iter().map(|file| FileState::of(file)).collect();
    let states: Vec<_> = states.iter().collect();
    let mut files = files.iter().cloned();
    runs(&states)
        .map(|run| files.by_ref().take(run.len()).collect())
        .collect()
}

/// Begins to read runs of files without the rows of expired sites, with this much memory for all of their batches. `rows`
/// counts what the merge takes.
pub(super) async fn open(
    table: &Arc<Table>,
    files: Vec<Vec<Arc<DataFile>>>,
    expired: Option<&Arc<ExpiredSites>>,
    memory_bytes: usize,
    rows: &Arc<InputRows>,
) -> Vec<Input> {
    let limit = BatchLimit {
        rows: BATCH_ROWS,
        bytes: memory_bytes / ((AHEAD + 2) * files.len().max(1)),
    };
    let mut inputs = Vec::with_capacity(files.len());
    for run in files {
        let (sender, arriving) = mpsc::channel(AHEAD);
        let reading = read(Arc::clone(table), run, limit, sender);
        let batches = match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(reading);
                Batches::Arriving(arriving)
            }
            Err(_) => Batches::InMemory(collect(reading, arriving).await.into_iter()),
        };
        inputs.push(Input {
            batches,
            rows: Arc::clone(rows),
            expired: expired.cloned(),
        });
    }
    inputs
}

/// What arrives while `reading` runs.
async fn collect(reading: impl Future<Output = ()>, arriving: mpsc::Receiver<Batch>) -> Vec<Batch> {
    let arriving = stream::unfold(arriving, async |mut arriving| Some((arriving.recv().await?, arriving)));
    futures::join!(reading, arriving.collect()).1
}

/// Sends the rows of one file after the other, and the first error.
async fn read(table: Arc<Table>, run: Vec<Arc<DataFile>>, limit: BatchLimit, sender: mpsc::Sender<Batch>) {
    for file in run {
        if let Err(error) = send(&table, &file, limit, &sender).await {
            // A merge that is gone needs no error.
            let _ = sender.send(Err(error)).await;
            break;
        }
    }
}

async fn send(
    table: &Table,
    file: &DataFile,
    limit: BatchLimit,
    sender: &mpsc::Sender<Batch>,
) -> Result<(), LakeError> {
    let mut rows = read_rows(table.store(), table.spec(), file, limit).await?;
    while let Some(batch) = rows.try_next().await? {
        if sender.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Input {
    /// The batch without the rows of expired sites.
    fn keep(&self, batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
        self.rows.read.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        let Some(expired) = &self.expired else { return Ok(batch) };
        let sites = batch
            .column_by_name(SITE_COLUMN)
            .and_then(|column| column.as_string_opt::<i32>());
        let sites = sites.ok_or_else(|| ArrowError::SchemaError("events without a column of sites".into()))?;
        let kept: BooleanArray = sites
            .iter()
            .map(|site| Some(!site.is_some_and(|site| expired.contains(site))))
            .collect();
        let dropped = kept.false_count() as u64;
        if dropped == 0 {
            return Ok(batch);
        }
        self.rows.expired.fetch_add(dropped, Ordering::Relaxed);
        filter_record_batch(&batch, &kept)
    }
}

impl Iterator for Input {
    type Item = Result<RecordBatch, CompactError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match &mut self.batches {
            Batches::Arriving(batches) => batches.blocking_recv(),
            Batches::InMemory(batches) => batches.next(),
        }?;
        Some(
            batch
                .map_err(CompactError::from)
                .and_then(|batch| Ok(self.keep(batch)?)),
        )
    }
}
