//! Bulk load: a file of events into the lake, past the log, as one transaction that happens once.
//!
//! ```text
//! file -> source (Parquet, NDJSON, CSV) -> conform (cast, check, enrich) -> dedupe -> chunk
//!                                                                                      |  bounded channel
//!                                       one Delta commit (txn: the file's digest) <- partitions -> files
//! ```
//!
//! The digest of the file's bytes names the transaction: the same file again adds nothing. Memory is bounded by the
//! size of a chunk, whatever the size of the file.

mod chunk;
mod conform;
mod report;
mod source;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use footfall_lake::{Commit, DataFile, IMPORTED, LakeError, Table, Txn, partitions, write_file};
use footfall_model::clock::{Clock, IdGen};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use crate::enrich::Enricher;
use crate::writer::DedupeOptions;

pub use report::{Rejected, Report};
pub use source::Format;

/// Files that are written at the same time.
const PARALLEL_FILES: usize = 2;

/// What an import works with.
#[derive(Debug, Clone)]
pub struct ImportParts {
    pub table: Arc<Table>,
    pub enricher: Arc<Enricher>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGen>,
    /// The sites that there are: rows of others are rejected.
    pub sites: Arc<BTreeSet<String>>,
}

/// How an import works.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// `None`: told from the file's name.
    pub format: Option<Format>,
    pub dedupe: DedupeOptions,
    /// Rows that are sorted and written together.
    pub chunk_rows: usize,
    /// Bytes of memory at which a chunk is written although it has fewer rows.
    pub chunk_bytes: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            format: None,
            dedupe: DedupeOptions::default(),
            chunk_rows: 1_000_000,
            chunk_bytes: 256 * 1_024 * 1_024,
        }
    }
}

/// How far an import is, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of the file that were read; its whole size at the end.
    pub bytes_read: AtomicU64,
    pub rows_read: AtomicU64,
}

/// Why a file was not imported. Nothing of it is in the lake.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path} can't be read: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: the format can't be told from the name; give --format parquet, ndjson or csv")]
    UnknownFormat { path: PathBuf },
    #[error("{path} is not readable as {format}: {source}")]
    Content {
        path: PathBuf,
        format: Format,
        source: arrow::error::ArrowError,
    },
    #[error("{path} lacks the column {column}; it has: {present}")]
    MissingColumn {
        path: PathBuf,
        column: &'static str,
        present: String,
    },
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("a background step failed: {0}")]
    Join(#[from] tokio::task::JoinError),
}

/// Brings one file into the lake; a file that is there already adds nothing.
pub async fn import_file(
    parts: &ImportParts,
    options: &ImportOptions,
    path: PathBuf,
    progress: Arc<Progress>,
) -> Result<Report, ImportError> {
    let digest = tokio::task::spawn_blocking({
        let path = path.clone();
        move || source::digest(&path)
    })
    .await??;
    let app_id = format!("footfall-import-{digest:032x}");
    if parts.table.transaction(&app_id).await?.is_some() {
        return Ok(Report::repeated());
    }
    let (send, mut chunks) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking({
        let (parts, options) = (parts.clone(), options.clone());
        move || chunk::read(&parts, &options, &path, &progress, &send)
    });
    let id = parts.ids.next_id();
    let mut add = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        add.extend(write_chunk(parts, chunk, id, add.len()).await?);
    }
    let report = reading.await??;
    if add.is_empty() {
        return Ok(report);
    }
    let commit = Commit {
        id,
        add,
        txn: Some(Txn {
            app_id,
            after: 0,
            upto: 1,
            fingerprint: None,
        }),
    };
    match parts.table.commit(&commit).await {
        Ok(_) => Ok(report),
        // Somebody else has just imported the same file.
        Err(LakeError::Fenced { .. }) => Ok(Report::repeated()),
        Err(error) => Err(error.into()),
    }
}

async fn write_chunk(
    parts: &ImportParts,
    chunk: arrow::array::RecordBatch,
    id: u128,
    written: usize,
) -> Result<Vec<DataFile>, ImportError> {
    let days = tokio::task::spawn_blocking(move || {
        let days = partitions(&chunk)?;
        days.into_iter()
            .map(conform::assign_sessions)
            .collect::<Result<Vec<_>, _>>()
    })
    .await??;
    let now = parts.clock.now();
    let files = futures::stream::iter(days.into_iter().zip(written..).map(|(day, number)| {
        let name = format!("{IMPORTED}{id:032x}-{number:05}");
        async move { write_file(parts.table.store(), day, &name, now).await }
    }));
    Ok(files.buffered(PARALLEL_FILES).try_collect().await?)
}

impl Progress {
    fn advance(&self, bytes: u64, rows: u64) {
        self.bytes_read.store(bytes, Ordering::Relaxed);
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
