//! Each event once: drops rows of the staged files that the lake has already, or that came earlier in the import.
//!
//! ```text
//! for each day: staged files -> keys (site, event id) in memory, with their places  \
//!               the lake's files of the day, of these sites -> keys                  > rows to drop -> file rewritten
//! ```
//!
//! Memory is bounded: a day with more keys than fit is gone over several times, each time for another share of all keys.
//! Of several rows of one event in an import, the first in the order of the file's sort columns stays.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use arrow::array::{AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use footfall_lake::{
    BatchLimit, DataFile, FileWriter, LakeError, NewFile, Origin, Snapshot, Table, TextRange, read_columns_in,
    read_rows,
};
use footfall_model::clock::Micros;
use footfall_model::field::EventField;
use futures::TryStreamExt;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use object_store::ObjectStoreExt;
use tokio::task::JoinSet;

use super::staged::Staged;
use super::{ImportError, Progress};
use crate::writer::EventKey;

/// Bytes of a slot of a table of keys, of which seven of eight are used.
const SLOT_BYTES: usize = size_of::<(EventKey, Place)>() + 1;

/// Rows of a file that are rewritten at a time.
const BATCH: BatchLimit = BatchLimit {
    rows: 16 * 1_024,
    bytes: 32 * 1_024 * 1_024,
};

const SITE: &str = EventField::TrackingId.name();

const ID: &str = EventField::EventId.name();

/// Days that are compared at the same time, at most.
const JOBS: usize = 4;

/// What a comparison did.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub duplicates: u64,
    pub days: u64,
}

/// Compares the staged files of an import with the lake.
pub(super) struct Comparison<'a> {
    pub table: &'a Arc<Table>,
    /// Bytes of all keys that are in memory at the same time.
    pub memory: usize,
    pub now: Micros,
    pub progress: &'a Progress,
}

impl Comparison<'_> {
    /// Drops from the staged files the rows whose events are in `snapshot`; those that `earlier` has are known not to be.
    pub(super) async fn drop_duplicates(
        &self,
        staged: &mut Staged,
        earlier: Option<&Snapshot>,
        snapshot: &Snapshot,
    ) -> Result<Compared, ImportError> {
        let jobs = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(JOBS);
        let mut unread = unread_files(&days(&staged.files), earlier, snapshot);
        let mut waiting = Vec::new();
        for (day, files) in by_day(std::mem::take(&mut staged.files)) {
            let lake = unread.remove(&day).unwrap_or_default();
            if earlier.is_some() && lake.is_empty() {
                staged.files.extend(files);
                continue;
            }
            let files = files.into_iter().map(|file| (file, staged.next_name()));
            waiting.push(DayJob {
                table: Arc::clone(self.table),
                staged: files.collect(),
                lake,
                keys: keys_in(self.memory / jobs),
                now: self.now,
            });
        }
        self.run(waiting, jobs, staged).await
    }

    async fn run(&self, waiting: Vec<DayJob>, jobs: usize, staged: &mut Staged) -> Result<Compared, ImportError> {
        let mut compared = Compared {
            days: waiting.len() as u64,
            ..Compared::default()
        };
        self.progress.days.store(compared.days, Ordering::Relaxed);
        self.progress.days_compared.store(0, Ordering::Relaxed);
        let mut running = JoinSet::new();
        let mut waiting = waiting.into_iter();
        loop {
            running_up_to(jobs, &mut running, &mut waiting);
            let Some(done) = running.join_next().await else {
                return Ok(compared);
            };
            let (files, duplicates) = done??;
            staged.files.extend(files);
            compared.duplicates += duplicates;
            self.progress.days_compared.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The keys of a table that takes no more than these bytes: tables have a power of two of slots.
fn keys_in(bytes: usize) -> usize {
    let slots = (bytes / SLOT_BYTES).max(2);
    let slots = 1 << slots.ilog2();
    (slots * 7 / 8).max(1)
}

type Outcome = Result<(Vec<DataFile>, u64), LakeError>;

fn running_up_to(jobs: usize, running: &mut JoinSet<Outcome>, waiting: &mut impl Iterator<Item = DayJob>) {
    while running.len() < jobs
        && let Some(job) = waiting.next()
    {
        running.spawn(job.run());
    }
}

pub(super) fn days(files: &[DataFile]) -> BTreeSet<i32> {
    files.iter().map(|file| file.partition_date).collect()
}

fn by_day(files: Vec<DataFile>) -> BTreeMap<i32, Vec<DataFile>> {
    let mut days: BTreeMap<i32, Vec<DataFile>> = BTreeMap::new();
    for file in files {
        days.entry(file.partition_date).or_default().push(file);
    }
    days
}

/// The lake's files of these days.
fn unread_files(
    days: &BTreeSet<i32>,
    earlier: Option<&Snapshot>,
    snapshot: &Snapshot,
) -> BTreeMap<i32, Vec<Arc<DataFile>>> {
    let mut unread: BTreeMap<i32, Vec<Arc<DataFile>>> = BTreeMap::new();
    let mut add = |file: &Arc<DataFile>| {
        if days.contains(&file.partition_date) {
            unread.entry(file.partition_date).or_default().push(Arc::clone(file));
        }
    };
    match earlier {
        None => snapshot.files().for_each(&mut add),
        Some(earlier) => snapshot.added_since(earlier).for_each(&mut add),
    }
    unread
}

/// The comparison of one day.
struct DayJob {
    table: Arc<Table>,
    /// With the name of the file that takes its place if rows are dropped.
    staged: Vec<(DataFile, String)>,
    lake: Vec<Arc<DataFile>>,
    /// Keys that are in memory at the same time.
    keys: usize,
    now: Micros,
}

/// Where a key is: the staged file, and the row in it.
type Place = (u32, u32);

impl DayJob {
    async fn run(self) -> Outcome {
        let dropped = self.dropped().await?;
        let mut files = Vec::with_capacity(self.staged.len());
        let mut duplicates = 0;
        for ((file, name), dropped) in self.staged.into_iter().zip(dropped) {
            if dropped.count == 0 {
                files.push(file);
                continue;
            }
            duplicates += dropped.count;
            if dropped.count < dropped.rows.len() as u64 {
                let new = NewFile::new(self.table.spec(), file.partition_date, name, Origin::Import, self.now);
                files.push(rewrite(&self.table, &file, &dropped.rows, new).await?);
            }
            let store = self.table.store();
            if let Err(error) = store.delete(&file.path).await {
                tracing::warn!(path = %file.path, %error, "a file that no table has was not removed");
            }
        }
        Ok((files, duplicates))
    }

    /// The rows to drop of each staged file.
    async fn dropped(&self) -> Result<Vec<Dropped>, LakeError> {
        let rows = |file: &DataFile| {
            file.rows
                .and_then(|rows| usize::try_from(rows).ok())
                .unwrap_or_default()
        };
        let mut dropped: Vec<_> = self.staged.iter().map(|(file, _)| Dropped::new(rows(file))).collect();
        let all: usize = dropped.iter().map(|dropped| dropped.rows.len()).sum();
        let shares = all.div_ceil(self.keys).max(1) as u64;
        let sites = self.sites();
        let lake: Vec<_> = self
            .lake
            .iter()
            .filter(|file| self.may_have(file, sites.as_ref()))
            .collect();
        for share in 0..shares {
            let mut known: HashTable<(EventKey, Place)> = HashTable::with_capacity(all.min(self.keys));
            for ((file, _), nth) in self.staged.iter().zip(0_u32..) {
                let again = &mut dropped[nth as usize];
                keys(&self.table, file, None, |row, key| {
                    if key.share(shares) != share {
                        return;
                    }
                    match known.entry(key.index(), |(known, _)| *known == key, |(known, _)| known.index()) {
                        Entry::Occupied(_) => again.drop(row),
                        Entry::Vacant(free) => {
                            free.insert((key, (nth, row)));
                        }
                    }
                })
                .await?;
            }
            for file in &lake {
                let read = keys(&self.table, file, sites.as_ref(), |_, key| {
                    if key.share(shares) == share
                        && let Some((_, (nth, row))) = known.find(key.index(), |(known, _)| *known == key)
                    {
                        dropped[*nth as usize].drop(*row);
                    }
                });
                if let Err(error) = read.await {
                    self.unless_replaced(file, error).await?;
                }
            }
        }
        Ok(dropped)
    }

    /// The range of sites that the staged files have; `None`: unknown.
    fn sites(&self) -> Option<TextRange> {
        let mut sites: Option<TextRange> = None;
        for (file, _) in &self.staged {
            let (first, last) = self.sites_of(file)?;
            let range = sites.get_or_insert_with(|| TextRange {
                column: SITE,
                min: first.to_owned(),
                max: last.to_owned(),
            });
            if first < range.min.as_str() {
                first.clone_into(&mut range.min);
            }
            if last > range.max.as_str() {
                last.clone_into(&mut range.max);
            }
        }
        sites
    }

    fn sites_of<'a>(&self, file: &'a DataFile) -> Option<(&'a str, &'a str)> {
        file.column(self.table.spec(), SITE)?.text_range()
    }

    fn may_have(&self, file: &DataFile, sites: Option<&TextRange>) -> bool {
        let (Some(sites), Some((first, last))) = (sites, self.sites_of(file)) else {
            return true;
        };
        first <= sites.max.as_str() && sites.min.as_str() <= last
    }

    /// A file that another process has merged into another one and removed: the table has a newer version, so the commit
    /// will be refused and the new file compared.
    async fn unless_replaced(&self, file: &DataFile, error: LakeError) -> Result<(), LakeError> {
        self.table.refresh().await?;
        match self.table.snapshot().file(&file.path) {
            Some(_) => Err(error),
            None => Ok(()),
        }
    }
}

/// Rows of a file that are dropped.
struct Dropped {
    rows: BooleanBufferBuilder,
    count: u64,
}

impl Dropped {
    fn new(rows: usize) -> Self {
        let mut builder = BooleanBufferBuilder::new(rows);
        builder.append_n(rows, false);
        Self {
            rows: builder,
            count: 0,
        }
    }

    fn drop(&mut self, row: u32) {
        let row = row as usize;
        if row < self.rows.len() && !self.rows.get_bit(row) {
            self.rows.set_bit(row, true);
            self.count += 1;
        }
    }
}

/// Calls `take` with each row and its key, at least with those of `sites`. A file of another writer without events' ids
/// has none.
async fn keys(
    table: &Table,
    file: &DataFile,
    sites: Option<&TextRange>,
    mut take: impl FnMut(u32, EventKey),
) -> Result<(), LakeError> {
    let mut batches = read_columns_in(table.store(), file, &[SITE, ID], sites).await?;
    let mut row = 0;
    while let Some(batch) = batches.try_next().await? {
        let text = |name: &str| cast(batch.column_by_name(name)?, &DataType::Utf8).ok();
        let (Some(sites), Some(ids)) = (text(SITE), text(ID)) else {
            return Ok(());
        };
        for (site, id) in sites.as_string::<i32>().iter().zip(ids.as_string::<i32>()) {
            if let (Some(site), Some(id)) = (site, id) {
                take(row, EventKey::new(site, id));
            }
            row += 1;
        }
    }
    Ok(())
}

/// The file without the dropped rows.
async fn rewrite(
    table: &Table,
    file: &DataFile,
    dropped: &BooleanBufferBuilder,
    new: NewFile,
) -> Result<DataFile, LakeError> {
    let mut batches = read_rows(table.store(), table.spec(), file, BATCH).await?;
    let mut writer = FileWriter::new(table.store(), new)?;
    let mut first = 0;
    while let Some(batch) = batches.try_next().await? {
        let rows = first..first + batch.num_rows();
        first = rows.end;
        let kept: BooleanArray = rows
            .map(|row| Some(row >= dropped.len() || !dropped.get_bit(row)))
            .collect();
        let kept = filter_record_batch(&batch, &kept).map_err(|error| LakeError::Encode(error.to_string()))?;
        if kept.num_rows() > 0 {
            writer.write(kept).await?;
        }
    }
    writer.finish().await
}
