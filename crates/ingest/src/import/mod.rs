//! Bulk load: a file of events into the lake, past the log, as one transaction that happens once.
//!
//! ```text
//! file -> source (Parquet, NDJSON, CSV) -> conform (cast, check, enrich) -> dedupe -> day buffers, coded
//!                                                                                      |  a day at a time
//!                                 one Delta commit (txn: the file's digest) <- files <- sort, encode
//! ```
//!
//! The digest of the file's bytes names the transaction: the same file again adds nothing. Memory is bounded,
//! whatever the size of the file: what waits and what is written share it. While a day is sorted and encoded, the next
//! is read and the one before is stored.

mod codes;
mod conform;
mod day_buffers;
mod reading;
mod report;
mod source;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use footfall_lake::{
    Commit, DataFile, EncodedFile, LakeError, NewFile, Origin, SortedPieces, Table, Txn, blocking, encode_pieces,
    file_name,
};
use footfall_model::clock::{Clock, IdGen};
use tokio::task::JoinHandle;

use crate::enrich::Enricher;
use crate::writer::DedupeOptions;
use day_buffers::Day;
use reading::Reading;

pub use report::{Rejected, Report};
pub use source::Format;

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
    /// Rows at which a day is written, about.
    pub chunk_rows: usize,
    /// Bytes of memory of the rows that wait to be written and of those that are being written. The rest of an import
    /// takes about 420 MB (50 million rows on two cores, `make bench-import`).
    pub memory: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            format: None,
            dedupe: DedupeOptions::default(),
            chunk_rows: 1_000_000,
            memory: 128 * 1_024 * 1_024,
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
    let digest = blocking({
        let path = path.clone();
        move || source::digest(&path)
    })
    .await??;
    let app_id = format!("footfall-import-{digest:032x}");
    if parts.table.transaction(&app_id).await?.is_some() {
        return Ok(Report::repeated());
    }
    let id = parts.ids.next_id();
    let (report, add) = write_days(parts, options, path, progress, id).await?;
    if add.is_empty() {
        return Ok(report);
    }
    let commit = Commit {
        txn: Some(Txn {
            app_id,
            after: 0,
            upto: 1,
            fingerprint: None,
        }),
        ..Commit::append(id, add)
    };
    match parts.table.commit(&commit).await {
        Ok(_) => Ok(report),
        // Somebody else has just imported the same file.
        Err(LakeError::Fenced { .. }) => Ok(Report::repeated()),
        Err(error) => Err(error.into()),
    }
}

/// Reads, encodes and stores, all three at the same time.
async fn write_days(
    parts: &ImportParts,
    options: &ImportOptions,
    path: PathBuf,
    progress: Arc<Progress>,
    id: u128,
) -> Result<(Report, Vec<DataFile>), ImportError> {
    let now = parts.clock.now();
    let reading = tokio::task::spawn_blocking({
        let (parts, options) = (parts.clone(), options.clone());
        move || Reading::open(&parts, &options, path, progress)
    });
    let (mut files, mut encoded) = (Vec::new(), None);
    let mut reading = read_on(reading.await??);
    loop {
        let (read, day) = reading.await??;
        let Some(day) = day else {
            files.extend(store(parts, encoded).await?);
            return Ok((read.report, files));
        };
        reading = read_on(read);
        // One is still to be stored.
        let name = file_name(id, files.len() + usize::from(encoded.is_some()));
        let new = NewFile::new(parts.table.spec(), day.event_date, name, Origin::Import, now);
        let encoding = blocking(move || encode(day, &new));
        let (stored, next) = futures::join!(store(parts, encoded), encoding);
        files.extend(stored?);
        encoded = Some(next??);
    }
}

fn read_on(mut reading: Reading) -> JoinHandle<Result<(Reading, Option<Day>), ImportError>> {
    tokio::task::spawn_blocking(move || {
        let day = reading.next()?;
        Ok((reading, day))
    })
}

fn encode(day: Day, new: &NewFile) -> Result<EncodedFile, LakeError> {
    encode_pieces(new, &SortedPieces::new(day.pieces, &day.texts)?)
}

async fn store(parts: &ImportParts, file: Option<EncodedFile>) -> Result<Option<DataFile>, LakeError> {
    match file {
        Some(file) => Ok(Some(file.put(parts.table.store()).await?)),
        None => Ok(None),
    }
}

impl Progress {
    fn advance(&self, bytes: u64, rows: u64) {
        self.bytes_read.store(bytes, Ordering::Relaxed);
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
