//! Each event once, whatever else is in the file, in the lake, or on its way there.

use std::fmt;
use std::sync::atomic::AtomicUsize;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use bytes::Bytes;
use footfall_lake::{DataFile, NewFile, Operation, Origin, partitions, write_file};
use footfall_model::proto::Event;
use futures::stream::BoxStream;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult,
};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn file_is_imported_once() {
    let lake = Lake::new().await;
    let content = [line(""), String::new(), line(r#","event_id":"2""#)].join("\n");
    let path = lake.file("events.ndjson", content);
    let first = lake.import(&path).await.unwrap();
    assert_eq!((first.rows, first.imported, first.outcome), (2, 2, Outcome::Imported));
    let copy = lake.folder.path().join("the-same-under-another-name.ndjson");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(lake.import(&copy).await.unwrap().outcome, Outcome::Repeated);
    assert_eq!(lake.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_files_add_what_is_new() {
    let lake = Lake::new().await;
    let days = |from: u32, to: u32| {
        (from..=to)
            .map(|day| lines(day, day * 100..day * 100 + 100))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(lake.import_text("1.ndjson", &days(10, 13)).await.imported, 400);
    let report = lake.import_text("2.ndjson", &days(12, 15)).await;
    assert_eq!((report.imported, report.duplicates, report.days), (200, 200, 4));
    let report = lake
        .import_text("3.ndjson", &lines(12, (1_250..1_300).chain(5_000..5_050)))
        .await;
    assert_eq!(
        (report.imported, report.duplicates),
        (50, 50),
        "a file of which a part is new"
    );
    let report = lake.import_text("4.ndjson", &days(13, 13)).await;
    assert_eq!((report.imported, report.duplicates), (0, 100));
    let mut ids = lake.texts("event_id").await;
    assert_eq!(ids.len(), 650);
    ids.dedup();
    assert_eq!(ids.len(), 650);
    let files = lake.parts.table.snapshot().len();
    assert_eq!(
        (files, lake.stored_files().await),
        (files, files),
        "no file is left over"
    );
}

/// Events of site a as they come from the WAL, in a file of their day.
async fn collected(store: &Arc<dyn ObjectStore>, name: &str, ids: std::ops::Range<u32>) -> DataFile {
    let table = table::events();
    let events: Vec<_> = ids
        .map(|id| Event {
            tracking_id: "a".into(),
            client_id: (id % 7).to_string(),
            event_type: "x".into(),
            event_timestamp: NOW - 86_400_000_000 + i64::from(id),
            created_at: NOW,
            event_id: id.to_string(),
            ..Event::default()
        })
        .collect();
    let rows = crate::writer::rows(&events);
    let day = partitions(&rows).unwrap().remove(0);
    let new = NewFile::new(table, day.event_date, name, Origin::Wal, NOW);
    write_file(store, new, day.rows).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_came_over_http_are_not_added() {
    let lake = Lake::new().await;
    let file = collected(&lake.store, "http", 50..150).await;
    lake.parts.table.commit(&Commit::append(7, vec![file])).await.unwrap();
    let report = lake.import_text("x.ndjson", &lines(31, 0..100)).await;
    assert_eq!((report.imported, report.duplicates), (50, 50));
    let other_site = lines(31, 0..100).replace(r#""a""#, r#""b""#);
    assert_eq!(
        lake.import_text("y.ndjson", &other_site).await.imported,
        100,
        "ids are per site"
    );
    assert_eq!(lake.count(), 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_shares_and_day_files_drop_the_same_rows() {
    let path = |lake: &Lake| lake.folder.path().join("x.parquet");
    let rows = 10_000_i64;
    for (chunk_rows, memory) in [(1_000, 128 << 20), (1_000_000, 100_000), (300, 1 << 20)] {
        let lake = Lake::new().await;
        let sites = (0..rows).map(|row| if row % 2 == 0 { "b" } else { "a" });
        let numbers = |of: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..rows).map(of))) as ArrayRef;
        parquet(
            &path(&lake),
            vec![
                (
                    "tracking_id",
                    Arc::new(StringArray::from_iter_values(sites)) as ArrayRef,
                ),
                ("client_id", numbers(|row| row % 100)),
                ("event_id", numbers(|row| row % 9_000)),
                ("event_type", Arc::new(StringArray::from(vec!["x"; rows as usize]))),
                ("event_timestamp", numbers(|row| NOW / 1_000 - (row % 9_000) * 10_000)),
            ],
        );
        let options = ImportOptions {
            chunk_rows,
            memory,
            ..ImportOptions::default()
        };
        let report = lake.import_with(&path(&lake), options).await.unwrap();
        assert_eq!((report.imported, report.duplicates), (9_000, 1_000));
        assert_eq!(lake.count(), 9_000);
        assert_eq!(lake.stored_files().await, lake.parts.table.snapshot().len());
        assert_sorted(&lake).await;
    }
}

async fn assert_sorted(lake: &Lake) {
    for file in lake.parts.table.snapshot().files() {
        let batches = read_columns(&lake.store, file, &["tracking_id", "client_hash", "event_timestamp"]);
        let batches = batches.await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        let keys: Vec<_> = batches
            .iter()
            .flat_map(|batch| {
                let sites = batch.column(0).as_string::<i32>();
                let hashes = batch.column(1).as_primitive::<Int64Type>();
                let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
                (0..batch.num_rows()).map(move |row| (sites.value(row).to_owned(), hashes.value(row), times.value(row)))
            })
            .collect();
        assert!(keys.is_sorted(), "{} is not sorted", file.path);
    }
}

/// A store in which somebody else commits whenever an import has compared.
struct Crowded {
    store: Arc<dyn ObjectStore>,
    others: Vec<Commit>,
    next: AtomicUsize,
}

impl fmt::Debug for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crowded")
    }
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crowded")
    }
}

#[async_trait]
impl ObjectStore for Crowded {
    async fn put_opts(
        &self,
        path: &StorePath,
        bytes: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if path.as_ref().contains("_delta_log") && path.as_ref().ends_with(".json") {
            let next = self.next.fetch_add(1, Ordering::SeqCst);
            if let Some(other) = self.others.get(next) {
                table_in(&self.store).await.commit(other).await.unwrap();
            }
        }
        self.store.put_opts(path, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &StorePath,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &StorePath, options: GetOptions) -> object_store::Result<GetResult> {
        self.store.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &StorePath, ranges: &[std::ops::Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.store.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<StorePath>>,
    ) -> BoxStream<'static, object_store::Result<StorePath>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_added_between_comparison_and_commit_are_compared() {
    let mut lake = Lake::new().await;
    let (first, second) = (
        collected(&lake.store, "first", 0..30).await,
        collected(&lake.store, "second", 20..60).await,
    );
    let merged = collected(&lake.store, "merged", 0..30).await;
    let others = vec![
        Commit::append(7, vec![first.clone()]),
        Commit::append(8, vec![second]),
        Commit {
            operation: Operation::Merge,
            remove: vec![first.path],
            ..Commit::append(9, vec![merged])
        },
    ];
    let crowded: Arc<dyn ObjectStore> = Arc::new(Crowded {
        store: Arc::clone(&lake.store),
        others,
        next: AtomicUsize::new(0),
    });
    lake.parts.table = table_in(&crowded).await;
    let report = lake.import_text("x.ndjson", &lines(31, 0..100)).await;
    assert_eq!((report.imported, report.duplicates), (40, 60));
    let ids = lake.texts("event_id").await;
    assert_eq!(
        ids.len(),
        30 + 40 + 40,
        "those that came twice over HTTP are the writer's matter"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn import_of_same_file_at_the_same_time_is_one() {
    let lake = Lake::new().await;
    let path = lake.file("x.ndjson", lines(31, 0..100));
    let other = ImportParts {
        table: table_in(&lake.store).await,
        ..lake.parts.clone()
    };
    let options = ImportOptions::default();
    let (one, two) = futures::join!(
        import_file(&lake.parts, &options, path.clone(), Arc::default()),
        import_file(&other, &options, path.clone(), Arc::default())
    );
    let imported = [one.unwrap(), two.unwrap()].map(|report| report.imported);
    assert_eq!(imported.iter().sum::<u64>(), 100, "{imported:?}");
    lake.parts.table.refresh().await.unwrap();
    assert_eq!(
        (lake.count(), lake.stored_files().await),
        (100, lake.parts.table.snapshot().len())
    );
}
