//! Merges, retention and verification over a lake with files of events and the segments of all rollups.

mod closing;
mod inline;

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64};

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use footfall_lake::{BatchLimit, NewFile, partitions, read_rows, write_file};
use footfall_model::clock::{DAY, HOUR, Micros, SECOND};
use footfall_model::rollup::built_in;
use footfall_model::schema;
use futures::TryStreamExt;
use object_store::memory::InMemory;

use super::*;
use crate::RollupSegments;

const ALL: BatchLimit = BatchLimit {
    rows: 1_000,
    bytes: usize::MAX,
};

/// The first day of the events, since 1970.
const FIRST: i32 = 20_000;

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct CountedIds(AtomicU64);

impl IdGen for CountedIds {
    fn next_id(&self) -> u128 {
        self.0.fetch_add(1, Ordering::Relaxed).into()
    }
}

/// A site's event: day after [`FIRST`], and a number that is its visitor, its time and its id.
type Event = (&'static str, i32, i64);

struct TestLake {
    lake: Lake,
    clock: Arc<HandClock>,
    ids: Arc<CountedIds>,
    compactor: Compactor,
}

async fn test_lake() -> TestLake {
    let mut specs = vec![Arc::clone(events())];
    specs.extend(built_in().iter().map(|rollup| Arc::new(rollup.table().unwrap())));
    let clock = Arc::new(HandClock(AtomicI64::new(Micros::from(FIRST) * DAY)));
    let lake = Lake::open(Arc::new(InMemory::new()), &specs, Arc::clone(&clock) as _)
        .await
        .unwrap();
    let ids = Arc::new(CountedIds::default());
    let kinds: Vec<Arc<dyn SegmentKind>> = vec![Arc::new(RollupSegments(built_in()))];
    let policy = Policy {
        fresh_age: 0,
        fresh_bytes: 0,
        ..Policy::default()
    };
    let compactor = Compactor::new(&lake, kinds, policy, Arc::clone(&clock) as _, Arc::clone(&ids) as _).unwrap();
    TestLake {
        lake,
        clock,
        ids,
        compactor,
    }
}

fn batch(rows: &[Event]) -> RecordBatch {
    let schema = schema::event_file();
    let text = |of: fn(&Event) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "tracking_id" => text(|event| event.0.to_owned()),
        "client_hash" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|event| event.2 % 7))),
        "event_timestamp" | "created_at" => {
            let times = rows
                .iter()
                .map(|event| Micros::from(FIRST + event.1) * DAY + event.2 * SECOND);
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
        }
        "is_bot" => Arc::new(BooleanArray::from(vec![false; rows.len()])),
        "event_id" => text(|event| event.2.to_string()),
        _ if !field.is_nullable() => text(|_| "x".to_owned()),
        _ => new_null_array(field.data_type(), rows.len()),
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

impl TestLake {
    fn events(&self) -> &Arc<Table> {
        self.lake.table("events").unwrap()
    }

    /// Commits events, a file for each day.
    async fn add(&self, origin: Origin, rows: &[Event]) {
        let id = self.ids.next_id();
        let mut add = Vec::new();
        for (nth, day) in partitions(&batch(rows)).unwrap().into_iter().enumerate() {
            let name = footfall_lake::file_name(id, nth);
            let new = NewFile::new(events(), day.event_date, name, origin, self.clock.now());
            add.push(write_file(self.events().store(), new, day.rows).await.unwrap());
        }
        self.events().commit(&Commit::append(id, add)).await.unwrap();
    }

    async fn merge_all(&self) {
        for task in self.compactor.plan() {
            self.compactor.execute(&task, None).await.unwrap();
        }
    }

    /// Does what retention plans; returns how many events went.
    async fn retain(&self) -> u64 {
        let mut gone = 0;
        for task in self.compactor.plan_retention() {
            gone += self.compactor.retain(&task, None).await.unwrap();
        }
        gone
    }

    /// Rows of segments of a rollup.
    fn segment_rows(&self) -> u64 {
        let table = self.lake.table("events_daily").unwrap();
        table.snapshot().files().filter_map(|file| file.rows).sum()
    }

    /// Site, day and number of every event, sorted.
    async fn rows(&self) -> Vec<(String, i32, i64)> {
        let mut all = Vec::new();
        for file in self.events().snapshot().files() {
            let mut batches = read_rows(self.events().store(), events(), file, ALL).await.unwrap();
            while let Some(batch) = batches.try_next().await.unwrap() {
                let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
                let (sites, ids) = (text("tracking_id"), text("event_id"));
                let rows = sites
                    .iter()
                    .zip(ids.iter())
                    .map(|(site, id)| (site.unwrap(), id.unwrap()));
                all.extend(rows.map(|(site, id)| (site.to_owned(), file.partition_date - FIRST, id.parse().unwrap())));
            }
        }
        all.sort();
        all
    }

    /// Every segment covers a live file of events, and is what that file gives; returns their number.
    async fn verify(&self) -> usize {
        let live = self.events().snapshot();
        let names: HashSet<_> = live.files().filter_map(|file| file.path.filename()).collect();
        for (_, table) in kind_tables(&self.compactor.kinds()) {
            let segments = table.snapshot();
            assert!(
                segments
                    .files()
                    .all(|file| names.contains(file.path.filename().unwrap())),
                "a segment is left"
            );
        }
        let mut segments = 0;
        for file in self.compactor.merged_files(None) {
            let verified = self.compactor.verify(&file).await.unwrap();
            assert_eq!(verified.differences, [""; 0]);
            segments += verified.segments;
        }
        segments
    }

    async fn overwrite(&self, path: &Path, bytes: &'static str) {
        self.events().store().put(path, bytes.into()).await.unwrap();
    }
}

fn keep(days: i64, sites: &[(&str, i64)]) -> RetentionPolicy {
    RetentionPolicy {
        keep: days * DAY,
        sites: sites
            .iter()
            .map(|(site, days)| ((*site).to_owned(), days * DAY))
            .collect(),
        rollups: 3 * days * DAY,
    }
}

fn owned(rows: &[Event]) -> Vec<(String, i32, i64)> {
    let mut rows: Vec<_> = rows
        .iter()
        .map(|(site, day, number)| ((*site).to_owned(), *day, *number))
        .collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn days_and_sites_go_at_their_horizon_with_their_segments() {
    let mut lake = test_lake().await;
    let all: Vec<Event> = (0..4)
        .flat_map(|day| (0..60).map(move |n| (["a", "m", "z"][n as usize % 3], day, n)))
        .collect();
    lake.add(Origin::Wal, &all[..150]).await;
    lake.add(Origin::Wal, &all[140..]).await;
    lake.clock.0.fetch_add(5 * DAY, Ordering::Relaxed);
    lake.compactor = lake.compactor.with_retention(keep(20, &[("m", 6), ("z", 40)]));
    lake.merge_all().await;
    assert_eq!(lake.rows().await, owned(&all));
    let per_file = built_in().len();
    assert_eq!(lake.verify().await, 4 * per_file);
    assert_eq!(lake.retain().await, 0);

    // Day 0 ends with day 1: at day 7 it is six days old for `m`.
    lake.clock.0.fetch_add(2 * DAY, Ordering::Relaxed);
    assert_eq!(lake.retain().await, 20);
    let is_kept = |event: &&Event| !(event.0 == "m" && event.1 == 0);
    let kept: Vec<Event> = all.iter().filter(is_kept).copied().collect();
    assert_eq!(lake.rows().await, owned(&kept));
    assert_eq!(lake.verify().await, 4 * per_file);
    assert_eq!(lake.retain().await, 0, "once is enough");
    assert!(
        lake.events()
            .snapshot()
            .files()
            .all(|file| FileState::of(file).stage == Stage::Final)
    );

    // Day 22: days 0 and 1 are over for all, and `m` for the others. Rollups stay, but not those of `m`.
    lake.clock.0.fetch_add(15 * DAY, Ordering::Relaxed);
    let rollups = lake.segment_rows();
    assert_eq!(lake.retain().await, 40 + 3 * 20);
    assert_eq!(lake.retain().await, 40, "day 1 is retired without `m`");
    let kept: Vec<Event> = all
        .iter()
        .filter(|event| event.0 != "m" && event.1 > 1)
        .copied()
        .collect();
    assert_eq!(lake.rows().await, owned(&kept));
    assert_eq!(lake.verify().await, 2 * per_file);
    assert_eq!(lake.segment_rows(), rollups - 3);
    assert_eq!((lake.retain().await, lake.compactor.plan().len()), (0, 0));
    lake.clock.0.fetch_add(3 * DAY, Ordering::Relaxed);
    assert_eq!(lake.retain().await, kept.len() as u64);
    assert_eq!(lake.compactor.remove_orphan_segments().await.unwrap(), 0);
    assert_eq!(lake.segment_rows(), rollups - 3);
    assert!(lake.rows().await.is_empty());

    // Rollups are over.
    lake.clock.0.fetch_add(60 * DAY, Ordering::Relaxed);
    assert_eq!(lake.retain().await, 0);
    assert!(lake.events().snapshot().is_empty());
    assert_eq!((lake.segment_rows(), lake.verify().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_files_get_segments_before_they_are_retired() {
    let mut lake = test_lake().await;
    lake.add(Origin::Wal, &[("a", 0, 1), ("b", 0, 2)]).await;
    lake.add(Origin::Import, &[("a", 0, 1), ("b", 0, 3)]).await;
    lake.compactor = lake.compactor.with_retention(keep(10, &[]));
    lake.clock.0.fetch_add(11 * DAY, Ordering::Relaxed);
    assert_eq!(lake.retain().await, 0, "a merge comes first");
    assert_eq!(lake.verify().await, built_in().len());
    assert_eq!(lake.retain().await, 3);
    assert_eq!((lake.rows().await.len(), lake.segment_rows()), (0, 2));
    // Late events of a day whose events are gone go the same way.
    lake.add(Origin::Wal, &[("a", 0, 4)]).await;
    assert_eq!((lake.retain().await, lake.retain().await), (0, 1));
    assert_eq!((lake.rows().await.len(), lake.segment_rows()), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_expired_sites_alone_leaves_nothing() {
    let mut lake = test_lake().await;
    lake.add(Origin::Wal, &[("m", 0, 1), ("m", 0, 2)]).await;
    lake.merge_all().await;
    lake.compactor = lake.compactor.with_retention(keep(100, &[("m", 5)]));
    lake.clock.0.fetch_add(6 * DAY, Ordering::Relaxed);
    assert_eq!(lake.retain().await, 2);
    assert!(lake.events().snapshot().is_empty());
    assert_eq!(lake.verify().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_without_events_are_removed_when_a_merge_is_given_up() {
    let lake = test_lake().await;
    lake.add(Origin::Wal, &[("a", 0, 1), ("a", 0, 2)]).await;
    lake.merge_all().await;
    // As if the process was killed before its second commit: segments of a file that is not live.
    for (_, table) in kind_tables(&lake.compactor.kinds()) {
        let segment = DataFile::clone(table.snapshot().files().next().unwrap());
        let orphan = DataFile {
            path: footfall_lake::data_path(table.spec(), FIRST, "killed"),
            ..segment
        };
        table
            .commit(&Commit::append(lake.ids.next_id(), vec![orphan]))
            .await
            .unwrap();
    }
    assert_eq!(
        lake.compactor.remove_orphan_segments().await.unwrap(),
        0,
        "its file may be committed yet"
    );
    lake.clock.0.fetch_add(3 * DAY, Ordering::Relaxed);
    assert_eq!(lake.compactor.remove_orphan_segments().await.unwrap(), built_in().len());
    assert_eq!(lake.compactor.remove_orphan_segments().await.unwrap(), 0);
    assert_eq!(lake.verify().await, built_in().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_file_is_named_and_left_out() {
    let lake = test_lake().await;
    for number in 0..4 {
        lake.add(Origin::Wal, &[("a", 0, number), ("a", 1, number)]).await;
    }
    let damaged = lake.events().snapshot().files().next().unwrap().path.clone();
    lake.overwrite(&damaged, "no Parquet").await;
    lake.clock.0.fetch_add(3 * DAY, Ordering::Relaxed);
    let mut failures = Vec::new();
    for _ in 0..3 {
        for task in lake.compactor.plan() {
            if let Err(error) = lake.compactor.execute(&task, None).await {
                assert_eq!(error.damaged(), Some(&damaged));
                failures.push(error.to_string());
            }
        }
    }
    let [failure] = &failures[..] else {
        panic!("tried again: {failures:?}")
    };
    assert!(failure.contains(damaged.as_ref()), "{failure}");
    assert_eq!(
        lake.events().snapshot().len(),
        3,
        "the other files of both days are merged"
    );
    lake.clock.0.fetch_add(HOUR, Ordering::Relaxed);
    assert!(
        lake.compactor
            .plan()
            .iter()
            .any(|task| task.inputs.iter().any(|file| file.path == damaged))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_altered_segments_and_damaged_files() {
    let lake = test_lake().await;
    lake.add(Origin::Wal, &[("a", 0, 1), ("b", 0, 2), ("b", 1, 3)]).await;
    lake.merge_all().await;
    let [first, second] = &lake.compactor.merged_files(None)[..] else {
        panic!("two files")
    };
    assert_eq!(lake.compactor.merged_files(Some(FIRST)), std::slice::from_ref(first));
    let segment = |file: &DataFile| {
        let table = lake.lake.table("events_daily").unwrap();
        let found = table
            .snapshot()
            .files()
            .find(|segment| segment.path.filename() == file.path.filename())
            .cloned();
        (Arc::clone(table), found.unwrap())
    };
    // The segment of the first file becomes that of the second, which is of one site less.
    let (table, of_first) = segment(first);
    let (_, of_second) = segment(second);
    let bytes = table.store().get(&of_second.path).await.unwrap().bytes().await.unwrap();
    table.store().put(&of_first.path, bytes.into()).await.unwrap();
    let size = DataFile {
        size: of_second.size,
        ..DataFile::clone(&of_first)
    };
    table
        .commit(&Commit::append(lake.ids.next_id(), vec![size]))
        .await
        .unwrap();
    let verified = lake.compactor.verify(first).await.unwrap();
    assert_eq!(verified.segments, built_in().len());
    assert_eq!(
        verified.differences,
        [format!("{}: 1 rows instead of 2", of_first.path)]
    );

    lake.overwrite(&second.path, "no Parquet").await;
    let verified = lake.compactor.verify(second).await.unwrap();
    let [difference] = &verified.differences[..] else {
        panic!("{verified:?}")
    };
    assert!(difference.contains(second.path.as_ref()), "{difference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_import_stays_an_import_until_it_joins_others() {
    let lake = test_lake().await;
    for number in 0..2 {
        lake.add(Origin::Import, &[("a", 0, number)]).await;
    }
    lake.add(Origin::Wal, &[("a", 0, 9)]).await;
    lake.clock.0.fetch_add(HOUR, Ordering::Relaxed);
    lake.merge_all().await;
    let origins = || {
        let mut origins: Vec<_> = lake.events().snapshot().files().map(|file| file.origin).collect();
        origins.sort_by_key(|origin| format!("{origin:?}"));
        origins
    };
    assert_eq!(origins(), [Origin::Compaction, Origin::Import]);
    assert_eq!(lake.verify().await, 2 * built_in().len());
    lake.clock.0.fetch_add(3 * DAY, Ordering::Relaxed);
    lake.merge_all().await;
    assert_eq!(origins(), [Origin::Compaction]);
    assert_eq!(lake.verify().await, built_in().len());
}
