//! Files of events as iterators of batches, each read by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use footfall_lake::{BatchLimit, DataFile, LakeError, Table, read_rows};
use futures::TryStreamExt;
use tokio::sync::mpsc;

use super::CompactError;

/// Rows of a batch: fewer cost more time for each, more gain nothing.
const BATCH_ROWS: usize = 8 * 1_024;

/// Batches that a file is ahead of the merge, beside the one that is merged and the one that is being read.
const AHEAD: usize = 1;

/// The rows of one file, in order. Its iterator blocks: it is for a thread that may.
pub(super) struct Input {
    batches: mpsc::Receiver<Result<RecordBatch, LakeError>>,
    rows: Arc<AtomicU64>,
}

/// Begins to read files, with this much memory for all of their batches. `rows` counts what the merge takes.
pub(super) fn open(
    table: &Arc<Table>,
    files: &[Arc<DataFile>],
    memory_bytes: usize,
    rows: &Arc<AtomicU64>,
) -> Vec<Input> {
    let limit = BatchLimit {
        rows: BATCH_ROWS,
        bytes: memory_bytes / ((AHEAD + 2) * files.len().max(1)),
    };
    let open = |file: &Arc<DataFile>| {
        let (sender, batches) = mpsc::channel(AHEAD);
        let (table, file) = (Arc::clone(table), Arc::clone(file));
        tokio::spawn(async move {
            if let Err(error) = send(&table, &file, limit, &sender).await {
                // A merge that is gone needs no error.
                let _ = sender.send(Err(error)).await;
            }
        });
        Input {
            batches,
            rows: Arc::clone(rows),
        }
    };
    files.iter().map(open).collect()
}

async fn send(
    table: &Table,
    file: &DataFile,
    limit: BatchLimit,
    sender: &mpsc::Sender<Result<RecordBatch, LakeError>>,
) -> Result<(), LakeError> {
    let mut rows = read_rows(table.store(), table.spec(), file, limit).await?;
    while let Some(batch) = rows.try_next().await? {
        if sender.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Iterator for Input {
    type Item = Result<RecordBatch, CompactError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.blocking_recv()?;
        if let Ok(batch) = &batch {
            self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        }
        Some(batch.map_err(CompactError::from))
    }
}
