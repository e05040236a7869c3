//! Rebuilds the window of seen ids at startup from the newest rows of the lake.
//!
//! ```text
//! snapshot -> candidates: files that may hold rows of the window, newest first; no imports
//!          -> tracking_id, event_id, created_at -> NewestKeys: the newest that fit -> Window, the oldest first
//! ```
//!
//! Ids are selected by their rows' `created_at`, not by file: a merge keeps it, so an id is recalled from the file that
//! has its row now.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use footfall_lake::{DataFile, LakeError, Origin, Snapshot, StatValue, Table, read_columns};
use footfall_model::clock::Micros;
use footfall_model::table::TableSpec;
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::dedupe::{DedupeOptions, EventKey, Window};
use super::retry::with_retries;
use super::timer::Timer;
use super::wire::{Fields, RecordEvents};
use crate::wal::Record;

/// When the window begins: its length before the oldest unwritten event, which may be a duplicate of an earlier one.
pub(super) fn window_start(options: &DedupeOptions, now: Micros, unwritten: Option<Micros>) -> Micros {
    unwritten
        .map_or(now, |unwritten| unwritten.min(now))
        .saturating_sub(options.window_micros())
}

/// When the oldest event of a record was received; `None` if none can be read, which the writer's read reports.
pub(super) fn received(record: &Record) -> Option<Micros> {
    let events = RecordEvents::of(&record.payload).map_while(Result::ok);
    events
        .filter_map(|event| Some(Fields::read(event).ok()?.created_at()))
        .min()
}

/// The latest `created_at` that a row of `file` can have: a row is received before it is written.
fn newest_row(spec: &TableSpec, file: &DataFile) -> Micros {
    match file
        .column(spec, "created_at")
        .and_then(|received| received.max.as_ref())
    {
        Some(StatValue::Timestamp(newest)) => *newest,
        _ => file.written_at,
    }
}

/// Files that may hold rows received at `start` or later, with the time of the newest, newest first. Imports are
/// left out: import finds a repeated file by its digest, and their rows must not push out ids from the WAL.
fn candidates(snapshot: &Snapshot, start: Micros) -> Vec<(Micros, Arc<DataFile>)> {
    let files = snapshot.files().filter(|file| file.origin != Origin::Import);
    let dated = files.map(|file| (newest_row(snapshot.spec(), file), Arc::clone(file)));
    let mut recent: Vec<_> = dated.filter(|(newest, _)| *newest >= start).collect();
    recent.sort_by_key(|(newest, _)| std::cmp::Reverse(*newest));
    recent
}

/// The result of a recall.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recalled {
    pub(super) files: usize,
    /// Ids received before this are not remembered: there were too many.
    pub(super) forgotten_before: Option<Micros>,
}

/// Fills `window` with the ids of the rows received at `start` or later, as many of the newest as fit. `None` if the
/// lake did not answer before the stop.
pub(super) async fn fill(
    window: &mut Window,
    table: &Table,
    start: Micros,
    timer: &dyn Timer,
    stop: &CancellationToken,
) -> Result<Option<Recalled>, LakeError> {
    let capacity = window.capacity();
    let (newest, files) = loop {
        match read_snapshot(table, NewestKeys::new(capacity, start), timer, stop).await? {
            FilesRead::Stopped => return Ok(None),
            FilesRead::Outdated => {}
            FilesRead::Read(newest, files) => break (newest, files),
        }
    };
    let recalled = Recalled {
        files,
        forgotten_before: newest.forgotten_before,
    };
    for (received, key) in newest.into_oldest_first() {
        window.insert(key, received);
    }
    Ok(Some(recalled))
}

#[derive(Debug)]
enum FilesRead {
    Stopped,
    /// A file is gone: its rows are in a file of a newer snapshot.
    Outdated,
    /// The keys, from so many files.
    Read(NewestKeys, usize),
}

async fn read_snapshot(
    table: &Table,
    mut newest: NewestKeys,
    timer: &dyn Timer,
    stop: &CancellationToken,
) -> Result<FilesRead, LakeError> {
    let mut files = 0;
    for (newest_row, file) in candidates(&table.snapshot(), newest.start) {
        if newest.is_beyond(newest_row) {
            break;
        }
        // Into keys of its own, so that a file that is read again after an error counts once.
        match with_retries(timer, stop, || read_file(table, &file, newest.empty())).await? {
            None => return Ok(FilesRead::Stopped),
            Some(FileKeys::Removed) => return Ok(FilesRead::Outdated),
            Some(FileKeys::Read(keys)) => newest.merge(keys),
        }
        files += 1;
    }
    Ok(FilesRead::Read(newest, files))
}

#[derive(Debug)]
enum FileKeys {
    Read(NewestKeys),
    /// The file can't be read, and the newest snapshot no longer has it.
    Removed,
}

async fn read_file(table: &Table, file: &DataFile, mut keys: NewestKeys) -> Result<FileKeys, LakeError> {
    let Err(error) = read_keys(table, file, &mut keys).await else {
        return Ok(FileKeys::Read(keys));
    };
    table.refresh().await?;
    match table.snapshot().file(&file.path) {
        Some(_) => Err(error),
        None => Ok(FileKeys::Removed),
    }
}

async fn read_keys(table: &Table, file: &DataFile, newest: &mut NewestKeys) -> Result<(), LakeError> {
    let mut batches = read_columns(table.store(), file, &["tracking_id", "event_id", "created_at"]).await?;
    while let Some(batch) = batches.try_next().await? {
        let Some(columns) = RecallColumns::of(&batch) else {
            tracing::warn!(path = %file.path, "a file of another writer has no event ids or times; they are not recalled");
            return Ok(());
        };
        let sites_and_ids = columns.sites.iter().zip(columns.ids.iter());
        for ((site, id), received) in sites_and_ids.zip(columns.received.iter()) {
            if let (Some(site), Some(id), Some(received)) = (site, id, received)
                && newest.wants(received)
            {
                newest.push(received, EventKey::new(site, id));
            }
        }
    }
    Ok(())
}

/// The columns that recall reads. Another writer of the table may have chosen other types for the same values.
struct RecallColumns {
    sites: StringArray,
    ids: StringArray,
    received: TimestampMicrosecondArray,
}

impl RecallColumns {
    fn of(batch: &RecordBatch) -> Option<Self> {
        let column = |name: &str, wanted: &DataType| cast(batch.column_by_name(name)?, wanted).ok();
        let text = |name: &str| column(name, &DataType::Utf8)?.as_string_opt::<i32>().cloned();
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Some(Self {
            sites: text("tracking_id")?,
            ids: text("event_id")?,
            received: column("created_at", &micros)?.as_primitive_opt().cloned()?,
        })
    }
}

/// The newest of the pushed keys, at most `capacity` of them; a quarter more while filling.
#[derive(Debug)]
struct NewestKeys {
    capacity: usize,
    /// Older keys are not kept.
    start: Micros,
    keys: Vec<(Micros, EventKey)>,
    forgotten_before: Option<Micros>,
}

impl NewestKeys {
    fn new(capacity: usize, start: Micros) -> Self {
        Self {
            capacity,
            start,
            keys: Vec::new(),
            forgotten_before: None,
        }
    }

    /// An empty set with the same limits.
    fn empty(&self) -> Self {
        Self::new(self.capacity, self.start)
    }

    fn wants(&self, received: Micros) -> bool {
        received >= self.start
    }

    /// Whether there are enough keys, all of them newer than `received`.
    fn is_beyond(&self, received: Micros) -> bool {
        self.forgotten_before.is_some() && received < self.start
    }

    fn push(&mut self, received: Micros, key: EventKey) {
        self.keys.push((received, key));
        if self.keys.len() > self.capacity + self.capacity / 4 {
            self.shrink();
        }
    }

    fn merge(&mut self, other: Self) {
        let forgotten = [self.forgotten_before, other.forgotten_before];
        self.forgotten_before = forgotten.into_iter().flatten().max();
        self.start = self.start.max(other.start);
        self.keys.extend(other.keys);
        self.shrink();
    }

    fn shrink(&mut self) {
        let Some(excess) = self.keys.len().checked_sub(self.capacity).filter(|excess| *excess > 0) else {
            return;
        };
        let (_, oldest_kept, _) = self.keys.select_nth_unstable(excess);
        self.start = oldest_kept.0;
        self.forgotten_before = Some(oldest_kept.0);
        self.keys.drain(..excess);
    }

    fn into_oldest_first(mut self) -> Vec<(Micros, EventKey)> {
        self.shrink();
        self.keys.sort_unstable();
        self.keys
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use footfall_lake::ColumnStatistics;
    use footfall_model::table::events;
    use object_store::path::Path;

    use super::*;

    fn file(name: &str, origin: Origin, newest: Option<Micros>) -> DataFile {
        let unknown = ColumnStatistics::default();
        let received = newest.map(|newest| ColumnStatistics {
            max: Some(StatValue::Timestamp(newest)),
            ..unknown.clone()
        });
        let statistics = events().statistics_columns().map(|column| match column {
            "created_at" => received.clone().unwrap_or_default(),
            _ => unknown.clone(),
        });
        DataFile {
            path: Path::from(format!("events/event_date=2026-11-01/{name}.parquet")),
            size: 1,
            rows: None,
            written_at: 95,
            partition_date: 0,
            statistics: statistics.collect(),
            origin,
            tags: Vec::new(),
        }
    }

    fn key(id: i64) -> EventKey {
        EventKey::new("site", id.to_string())
    }

    fn kept(newest: NewestKeys) -> Vec<Micros> {
        newest
            .into_oldest_first()
            .into_iter()
            .map(|(received, _)| received)
            .collect()
    }

    #[test]
    fn candidates_are_newest_first_without_imports() {
        let files = [
            file("c", Origin::Wal, Some(98)),
            file("d", Origin::Compaction, Some(99)),
            file("merged today, rows of yesterday", Origin::Compaction, Some(89)),
            file("x", Origin::Import, Some(97)),
            file("b", Origin::Wal, Some(90)),
            file("no statistics", Origin::Foreign, None),
        ];
        let snapshot = Snapshot::new(Arc::clone(events()), 1, files);
        let candidates = candidates(&snapshot, 90);
        let names: Vec<_> = candidates.iter().filter_map(|(_, file)| file.path.filename()).collect();
        assert_eq!(names, ["d.parquet", "c.parquet", "no statistics.parquet", "b.parquet"]);
    }

    #[test]
    fn window_starts_before_the_oldest_unwritten_event() {
        let options = DedupeOptions {
            window: Duration::from_micros(10),
            ids: 4,
        };
        assert_eq!(window_start(&options, 100, None), 90);
        assert_eq!(window_start(&options, 100, Some(40)), 30);
        assert_eq!(window_start(&options, 100, Some(140)), 90, "a clock that was set back");
    }

    #[test]
    fn newest_keys_ignore_push_order() {
        for order in [
            [7, 1, 5, 3, 2, 6, 8, 4],
            [8, 7, 6, 5, 4, 3, 2, 1],
            [1, 2, 3, 4, 5, 6, 7, 8],
        ] {
            let mut newest = NewestKeys::new(4, 2);
            for at in order {
                if newest.wants(at) {
                    newest.push(at, key(at));
                }
            }
            assert!(newest.keys.len() <= 5, "memory is bounded");
            assert_eq!(kept(newest), [5, 6, 7, 8]);
        }
    }

    #[test]
    fn merged_newest_keys_keep_newest_of_both() {
        let mut newest = NewestKeys::new(4, 0);
        (1..=4).for_each(|at| newest.push(at, key(at)));
        assert!(!newest.is_beyond(0), "nothing was forgotten");
        let mut other = newest.empty();
        (3..=6).for_each(|at| other.push(at, key(at + 10)));
        newest.merge(other);
        assert_eq!(newest.keys.len(), 4, "memory is bounded");
        assert_eq!(newest.forgotten_before, Some(4));
        assert_eq!(kept(newest), [4, 4, 5, 6]);
    }

    #[test]
    fn full_newest_keys_skip_older_files() {
        let mut newest = NewestKeys::new(4, 0);
        (1..=6).for_each(|at| newest.push(at, key(at)));
        assert!(newest.is_beyond(2));
        assert!(!newest.is_beyond(3), "it may have a row of the same moment");
    }
}
