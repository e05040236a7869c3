//! Bulk load: a file of events into the lake, past the WAL, as one transaction that happens once.
//!
//! ```text
//! file -> source (Parquet, NDJSON, CSV) -> conform (the rules, enrich) -> day buffers, coded
//!                                                                             |  a day at a time
//!               compare: rows that the lake has are dropped <- staged files <- sort, encode
//!                  |            ^
//!                  v            | the days have changed meanwhile
//! one Delta commit (txn: the file's digest, if no row was rejected)
//! ```
//!
//! All or nothing: if a row is rejected, nothing is committed, unless the caller skips such rows. The digest of the
//! file's bytes names the transaction, so the same file again adds nothing and is not read; after rows were skipped it
//! is read again, and only what the lake has not yet is added.
//!
//! Memory is bounded, whatever the size of the file: what waits and what is written share it. While a day is sorted and
//! encoded, the next is read and the one before is stored.

mod codes;
mod compare;
mod conform;
mod day_buffers;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod names;
mod reading;
mod report;
mod source;
mod staged;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use footfall_lake::{Commit, LakeError, ReadSet, Table, Txn, blocking};
use footfall_model::clock::{Clock, IdGen};

use crate::collect::CollectOptions;
use crate::enrich::Enricher;
use compare::{Compared, Comparison};
use reading::Reading;
use staged::Staged;

pub use conform::Sites;
pub use report::{Outcome, Rejected, Report};
pub use source::Format;

/// How often the staged files are compared with what other processes have added since the last time.
const ROUNDS: usize = 100;

/// What an import works with.
#[derive(Debug, Clone)]
pub struct ImportParts {
    pub table: Arc<Table>,
    pub enricher: Arc<Enricher>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGen>,
    /// The sites that there are: rows of others are rejected.
    pub sites: Arc<Sites>,
}

/// How an import works.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// `None`: told from the file's name.
    pub format: Option<Format>,
    /// What collection accepts, and so does an import.
    pub limits: CollectOptions,
    /// Whether rows that are rejected are left out. Otherwise nothing of their file is imported.
    pub skip_rejected: bool,
    /// Rows at which a day is written, about.
    pub chunk_rows: usize,
    /// Bytes of memory of the rows that wait to be written and of those that are being written, and later of the keys
    /// that are compared. The rest of an import takes about 420 MB (50 million rows on two cores, `make bench-import`).
    pub memory: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            format: None,
            limits: CollectOptions::default(),
            skip_rejected: false,
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
    /// Days that are to be compared with the lake; 0 until the file is read.
    pub days: AtomicU64,
    pub days_compared: AtomicU64,
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
    #[error("{path}: the columns {names} both mean {field}; remove or rename one of them")]
    AmbiguousColumns {
        path: PathBuf,
        names: String,
        field: &'static str,
    },
    #[error("{path}: other processes kept changing its days while they were compared; import it again")]
    Busy { path: PathBuf },
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("a background step failed: {0}")]
    Join(#[from] tokio::task::JoinError),
}

/// Brings one file into the lake; a file that is there already adds nothing, and neither does a row.
///
/// # Errors
/// The file or the lake can't be read, or the lake can't be written.
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
    let mut staged = Staged::new(parts.ids.next_id(), parts.clock.now());
    let import = Import {
        parts,
        options,
        path,
        progress,
    };
    let outcome = import.run(&mut staged, app_id).await;
    // What is committed, or may be, is staged no longer.
    staged.discard(parts).await;
    outcome
}

struct Import<'a> {
    parts: &'a ImportParts,
    options: &'a ImportOptions,
    path: PathBuf,
    progress: Arc<Progress>,
}

impl Import<'_> {
    async fn run(&self, staged: &mut Staged, app_id: String) -> Result<Report, ImportError> {
        let reading = blocking({
            let (parts, options) = (self.parts.clone(), self.options.clone());
            let (path, progress) = (self.path.clone(), Arc::clone(&self.progress));
            move || Reading::open(&parts, &options, path, progress)
        });
        let mut report = staged.write(self.parts, reading.await??).await?;
        let rejected = report.rejected_rows();
        if rejected > 0 && !self.options.skip_rejected {
            report.outcome = Outcome::Refused;
            return Ok(report);
        }
        // A file of which rows were skipped is not done with: it may be given again after a repair.
        let txn = (rejected == 0).then_some(Txn {
            app_id,
            after: 0,
            upto: 1,
            fingerprint: None,
        });
        self.commit(staged, txn, &mut report).await?;
        if report.outcome == Outcome::Repeated {
            return Ok(Report::repeated());
        }
        report.imported = report.rows - rejected - report.duplicates;
        Ok(report)
    }

    /// Compares and commits, until the table is at the commit as it was at the comparison.
    async fn commit(&self, staged: &mut Staged, txn: Option<Txn>, report: &mut Report) -> Result<(), ImportError> {
        let table = &self.parts.table;
        let mut earlier = None;
        for _ in 0..ROUNDS {
            table.refresh().await?;
            let snapshot = table.snapshot();
            let comparison = Comparison {
                table,
                memory: self.options.memory,
                now: self.parts.clock.now(),
                progress: &self.progress,
            };
            let compared = comparison.drop_duplicates(staged, earlier.as_ref(), &snapshot).await?;
            let Compared { duplicates, days } = compared;
            report.duplicates += duplicates;
            report.days = report.days.max(days);
            if staged.files.is_empty() {
                return Ok(());
            }
            let commit = Commit {
                txn: txn.clone(),
                read_set: Some(ReadSet {
                    partitions: compare::days(&staged.files),
                    snapshot: snapshot.clone(),
                }),
                staged_at: Some(staged.at),
                ..Commit::append(staged.id, staged.files.clone())
            };
            match table.commit(&commit).await {
                Ok(_) => {
                    staged.files.clear();
                    return Ok(());
                }
                Err(LakeError::ReadSetChanged { .. }) => earlier = Some(snapshot),
                // Somebody else has just imported the same file.
                Err(LakeError::Fenced { .. }) => {
                    report.outcome = Outcome::Repeated;
                    return Ok(());
                }
                Err(error) => {
                    // It may be in the table all the same.
                    staged.files.clear();
                    return Err(error.into());
                }
            }
        }
        Err(ImportError::Busy {
            path: self.path.clone(),
        })
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
