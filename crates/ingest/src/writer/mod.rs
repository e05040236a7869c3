//! The shard writer: WAL to lake.
//!
//! ```text
//! wal.read_from(next) -> wire -> dedupe -> RowBuffer --- flush::decide ---> days, sorted -> columns -> files
//!                                                                       -> one Delta commit (txn: WAL id, position)
//! ```
//!
//! Invariants: every record behind the committed position is read again after a crash, none before it; a commit holds
//! whole records. The window of seen ids is rebuilt from the lake's newest rows, so a restart forgets no id.

mod columns;
mod dedupe;
mod flush;
mod recall;
mod retry;
mod row_buffer;
mod timer;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use footfall_lake::{
    Commit, DataFile, EncodedFile, LakeError, NewFile, Origin, Table, Txn, blocking, encode_ordered, file_name,
};
use footfall_model::clock::{Clock, IdGen, Micros};
use futures::{StreamExt, TryStreamExt};
use metrics::{counter, gauge, histogram};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::wal::{EventLog, Position, Record, WalError};
use flush::{Backlog, FlushDecision, FlushReason, decide};
use retry::with_retries;
use row_buffer::{DayRows, RowBuffer};
use timer::TokioTimer;

#[cfg(test)]
pub(crate) use columns::rows;
use dedupe::Coverage;
pub(crate) use dedupe::EventKey;
use dedupe::Window;
pub(crate) use timer::Timer;

pub use dedupe::DedupeOptions;
pub use flush::FlushPolicy;
pub use wire::Malformed;

/// Bytes of the WAL that are decoded at once.
const READ_BYTES: usize = 1_024 * 1_024;

/// Files of one commit that are written at the same time.
const PARALLEL_FILES: usize = 4;

/// Logged when the window is shorter than configured.
const TOO_MANY_IDS: &str = "there are more event ids than dedupe_ids keeps: duplicates are found in a shorter window than \
                            dedupe_window, later ones when files are merged";

/// A writer's dependencies.
#[derive(Debug, Clone)]
pub struct WriterParts {
    pub log: Arc<dyn EventLog>,
    pub table: Arc<Table>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGen>,
}

/// A writer's settings.
#[derive(Debug, Clone, Default)]
pub struct WriterOptions {
    pub flush: FlushPolicy,
    pub dedupe: DedupeOptions,
}

/// Why a writer had to stop. Nothing is lost: the WAL has everything that is not in the lake.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    #[error(transparent)]
    Log(#[from] WalError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("the WAL's record {position} is not a batch of events: {source}; was it written by a newer Footfall?")]
    Undecodable { position: Position, source: Malformed },
    #[error(
        "the lake has this WAL's records up to {lake}, but the WAL ends at {log}: it is from an old copy of the state \
         folder; put the newer copy back"
    )]
    OldLog { lake: Position, log: Position },
    #[error(
        "the WAL's record {position} is not what the lake has under this number: another process has continued a copy of \
         this state folder, and some events of this WAL may not be in the lake; go on with the other process's state \
         folder"
    )]
    OtherLog { position: Position },
    #[error("the events can't be converted to columns: {0}")]
    Columns(#[from] arrow::error::ArrowError),
    #[error("a background step failed: {0}")]
    Join(#[from] tokio::task::JoinError),
}

/// Writes a shard's WAL to its lake, each record once.
#[derive(Debug)]
pub struct ShardWriter {
    parts: WriterParts,
    options: WriterOptions,
    app_id: String,
    /// The last position committed to the lake.
    committed: Position,
    /// The next position to read.
    next: Position,
    row_buffer: RowBuffer,
    window: Window,
    /// As last reported.
    coverage: Coverage,
    timer: Arc<dyn Timer>,
    /// When the oldest record since the last commit was read.
    since: Option<Duration>,
    /// Of the last record read.
    fingerprint: i64,
}

impl ShardWriter {
    /// Reads the last committed position from the lake.
    pub async fn open(parts: WriterParts, options: WriterOptions) -> Result<Self, WriterError> {
        Self::open_with(parts, options, Arc::new(TokioTimer::new())).await
    }

    /// The same with any timer.
    pub(crate) async fn open_with(
        parts: WriterParts,
        options: WriterOptions,
        timer: Arc<dyn Timer>,
    ) -> Result<Self, WriterError> {
        let app_id = format!("footfall-log-{:032x}", parts.log.id());
        let progress = parts.table.progress(&app_id).await?;
        let committed = progress.map_or(0, |progress| Position::try_from(progress.upto).unwrap_or_default());
        let last = parts.log.last();
        if committed > last {
            return Err(WriterError::OldLog {
                lake: committed,
                log: last,
            });
        }
        if let Some(theirs) = progress.and_then(|progress| progress.fingerprint)
            && let Some(ours) = held(parts.log.as_ref(), committed).await?
            && fingerprint(&ours) != theirs
        {
            return Err(WriterError::OtherLog { position: committed });
        }
        tracing::info!(committed, last, "the writer continues from its last commit");
        Ok(Self {
            app_id,
            committed,
            next: committed + 1,
            row_buffer: RowBuffer::default(),
            window: Window::new(&options.dedupe, parts.clock.now()),
            coverage: Coverage::Full,
            timer,
            since: None,
            fingerprint: Txn::UNKNOWN,
            parts,
            options,
        })
    }

    /// Writes until `stop`, then what is still buffered. Fails if it can't continue: another writer or WAL version.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), WriterError> {
        if !self.recall(&stop).await? {
            return Ok(());
        }
        loop {
            let decision = decide(&self.options.flush, &self.backlog());
            if let FlushDecision::Flush(reason) = decision {
                if !self.flush(reason, &stop).await? {
                    return Ok(());
                }
                continue;
            }
            let stopping = stop.is_cancelled();
            if self.read().await? {
                continue;
            }
            if stopping {
                if self.since.is_some() {
                    self.flush(FlushReason::Shutdown, &stop).await?;
                }
                return Ok(());
            }
            let timeout = match decision {
                FlushDecision::Wait(timeout) => timeout,
                FlushDecision::Idle | FlushDecision::Flush(_) => Duration::MAX,
            };
            // In a fixed order, so that a simulation can be repeated.
            tokio::select! { biased;
                there = self.parts.log.wait_for(self.next) => there?,
                () = self.timer.sleep(timeout) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn backlog(&self) -> Backlog {
        Backlog {
            records: self.next - 1 - self.committed,
            rows: self.row_buffer.rows(),
            bytes: self.row_buffer.bytes(),
            age: self
                .since
                .map(|since| self.timer.now().saturating_sub(since))
                .unwrap_or_default(),
        }
    }

    /// Fills the window with the ids of the lake's newest rows; false if the lake did not answer before the stop.
    async fn recall(&mut self, stop: &CancellationToken) -> Result<bool, WriterError> {
        let started = Instant::now();
        let unwritten = held(self.parts.log.as_ref(), self.next).await?;
        let unwritten = unwritten.as_ref().and_then(recall::received);
        let start = recall::window_start(&self.options.dedupe, self.parts.clock.now(), unwritten);
        let (table, timer) = (&self.parts.table, self.timer.as_ref());
        let Some(recalled) = recall::fill(&mut self.window, table, start, timer, stop).await? else {
            return Ok(false);
        };
        let ids = self.window.len();
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(files = recalled.files, ids, seconds, "recalled recent event ids");
        if let Some(before) = recalled.forgotten_before {
            let window = self.window.age(self.parts.clock.now());
            tracing::warn!(ids, before, ?window, wanted = ?self.options.dedupe.window, "{TOO_MANY_IDS}");
        }
        self.report_window();
        Ok(true)
    }

    /// Reports how far back duplicates are found, and logs when that starts or stops to differ from the configuration.
    fn report_window(&mut self) {
        let window = self.window.age(self.parts.clock.now());
        gauge!("footfall_writer_dedupe_window_seconds").set(window.as_secs_f64());
        gauge!("footfall_writer_dedupe_ids").set(self.window.len() as f64);
        let coverage = self.window.coverage();
        let wanted = self.options.dedupe.window;
        match (self.coverage, coverage) {
            (Coverage::Full, Coverage::Reduced(window)) => tracing::warn!(?window, ?wanted, "{TOO_MANY_IDS}"),
            (Coverage::Reduced(_), Coverage::Full) => {
                tracing::info!(?wanted, "event ids are kept for the dedupe window")
            }
            _ => {}
        }
        self.coverage = coverage;
    }

    /// Reads the next records of the WAL; false if it has none.
    async fn read(&mut self) -> Result<bool, WriterError> {
        let records = match self.parts.log.read_from(self.next, READ_BYTES).await {
            Ok(records) => records,
            Err(WalError::Damaged(damage)) => {
                // Records behind the damage must not wait for it; lost records are reported, never hidden.
                let lost = damage.resume_at.saturating_sub(self.next);
                counter!("footfall_writer_lost_records_total").increment(lost);
                tracing::error!(%damage, lost, "records of the WAL are lost");
                self.next = damage.resume_at;
                self.fingerprint = Txn::UNKNOWN;
                self.since.get_or_insert(self.timer.now());
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        for record in &records {
            self.take(record)?;
        }
        if let Some(last) = records.last() {
            self.fingerprint = fingerprint(last);
        }
        gauge!("footfall_writer_lag_records").set((self.parts.log.last() - self.committed) as f64);
        self.report_window();
        Ok(!records.is_empty())
    }

    fn take(&mut self, record: &Record) -> Result<(), WriterError> {
        let position = record.position;
        let now = self.parts.clock.now();
        let duplicates = self
            .row_buffer
            .add(&record.payload, |key| self.window.insert(key, now))
            .map_err(|source| WriterError::Undecodable { position, source })?;
        counter!("footfall_writer_duplicates_total").increment(duplicates);
        self.since.get_or_insert(self.timer.now());
        self.next = position + 1;
        Ok(())
    }

    /// Commits what is buffered; false if the lake did not answer before the stop.
    async fn flush(&mut self, reason: FlushReason, stop: &CancellationToken) -> Result<bool, WriterError> {
        let started = Instant::now();
        let upto = self.next - 1;
        let row_buffer = std::mem::take(&mut self.row_buffer);
        let count = row_buffer.rows();
        let id = self.parts.ids.next_id();
        let files = self.encode(row_buffer, id).await?;
        let Some(version) = self.commit(&files, id, stop).await? else {
            return Ok(false);
        };
        self.committed = upto;
        self.since = None;
        let (files, reason) = (files.len(), reason.as_str());
        counter!("footfall_writer_rows_total").increment(count as u64);
        counter!("footfall_writer_files_total").increment(files as u64);
        counter!("footfall_writer_flushes_total", "reason" => reason).increment(1);
        histogram!("footfall_writer_flush_seconds").record(started.elapsed());
        tracing::debug!(version, rows = count, files, upto, reason, "committed");
        if let Err(error) = self.parts.log.trim(upto).await {
            tracing::warn!(%error, "the WAL keeps what the lake already has; trimming is retried after the next commit");
        }
        Ok(true)
    }

    /// Stores the files and commits them as what has been read so far; `None` if the lake did not answer before the stop.
    async fn commit(
        &self,
        files: &[EncodedFile],
        id: u128,
        stop: &CancellationToken,
    ) -> Result<Option<u64>, WriterError> {
        let upto = self.next - 1;
        loop {
            let stored = with_retries(self.timer.as_ref(), stop, || self.put(files)).await?;
            let Some((stored_at, add)) = stored else {
                return Ok(None);
            };
            let commit = Commit {
                txn: Some(Txn {
                    app_id: self.app_id.clone(),
                    after: self.committed.cast_signed(),
                    upto: upto.cast_signed(),
                    fingerprint: Some(self.fingerprint),
                }),
                staged_at: Some(stored_at),
                ..Commit::append(id, add)
            };
            let committing = Instant::now();
            match with_retries(self.timer.as_ref(), stop, || self.parts.table.commit(&commit)).await {
                // The lake has not answered for days.
                Err(error @ LakeError::StagedTooLong { .. }) => tracing::warn!(%error, "storing the files again"),
                committed => {
                    histogram!("footfall_writer_commit_seconds").record(committing.elapsed());
                    return Ok(committed?);
                }
            }
        }
    }

    /// Encodes a file for each day.
    async fn encode(&mut self, row_buffer: RowBuffer, id: u128) -> Result<Vec<EncodedFile>, WriterError> {
        let (spec, now) = (Arc::clone(self.parts.table.spec()), self.parts.clock.now());
        let (all, days) = blocking(move || row_buffer.into_days()).await?;
        let files = futures::stream::iter(days.into_iter().enumerate())
            .map(|(nth, day)| {
                let new = NewFile::new(&spec, day.date(), file_name(id, nth), Origin::Wal, now);
                blocking(move || encode_day(&day, &new))
            })
            .buffered(PARALLEL_FILES)
            .map(|encoded| encoded?)
            .try_collect()
            .await?;
        if let Some(written) = Arc::into_inner(all) {
            self.row_buffer = RowBuffer::reusing(written.into_blocks());
        }
        Ok(files)
    }

    /// Stores the files; returns since when they are there.
    async fn put(&self, files: &[EncodedFile]) -> Result<(Micros, Vec<DataFile>), LakeError> {
        let now = self.parts.clock.now();
        let put = futures::stream::iter(files.to_vec())
            .map(|file| file.put(self.parts.table.store()))
            .buffered(PARALLEL_FILES)
            .try_collect();
        Ok((now, put.await?))
    }
}

fn encode_day(day: &DayRows, new: &NewFile) -> Result<EncodedFile, WriterError> {
    encode_ordered(new, day.columns().map(|rows| Ok(rows?)))
}

/// The record at `position`, if the WAL still has it whole.
async fn held(log: &dyn EventLog, position: Position) -> Result<Option<Record>, WalError> {
    match log.read_from(position, 1).await {
        Ok(records) => Ok(records.into_iter().next()),
        Err(WalError::NotHeld(_) | WalError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Not negative, so that it is never [`Txn::UNKNOWN`].
fn fingerprint(record: &Record) -> i64 {
    (xxhash_rust::xxh3::xxh3_64(&record.payload) >> 1).cast_signed()
}

#[cfg(test)]
mod tests;
