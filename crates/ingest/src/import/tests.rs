use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use footfall_lake::read_columns;
use footfall_model::clock::{Micros, RandomIds};
use footfall_model::table;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::*;
use crate::enrich::EnrichOptions;

/// 2026-11-01T00:00:00Z.
const NOW: Micros = 1_793_491_200_000_000;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        NOW
    }
}

struct Lake {
    folder: TempDir,
    parts: ImportParts,
}

impl Lake {
    async fn new() -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table = Table::open(store, Arc::clone(table::events()), Arc::new(FixedClock))
            .await
            .unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            parts: ImportParts {
                table: Arc::new(table),
                enricher: Arc::new(Enricher::new(EnrichOptions::default()).unwrap()),
                clock: Arc::new(FixedClock),
                ids: Arc::new(RandomIds),
                sites: Arc::new(BTreeSet::from(["a".into(), "b".into()])),
            },
        }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn import(&self, path: &Path) -> Result<Report, ImportError> {
        self.import_with(path, ImportOptions::default()).await
    }

    async fn import_with(&self, path: &Path, options: ImportOptions) -> Result<Report, ImportError> {
        import_file(&self.parts, &options, path.to_path_buf(), Arc::default()).await
    }

    /// All rows, in the order of the files.
    async fn rows(&self, columns: &[&str]) -> RecordBatch {
        let table = &self.parts.table;
        let mut batches = Vec::new();
        for file in table.snapshot().files() {
            let stream = read_columns(table.store(), file, columns).await.unwrap();
            batches.extend(stream.try_collect::<Vec<_>>().await.unwrap());
        }
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    fn count(&self) -> u64 {
        self.parts.table.snapshot().files().filter_map(|file| file.rows).sum()
    }
}

fn rejected(report: &Report) -> BTreeMap<&str, Vec<u64>> {
    let reasons = report.rejected.iter();
    reasons
        .map(|(reason, rows)| (reason.as_str(), rows.examples.clone()))
        .collect()
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_once_however_often_it_is_given() {
    let lake = Lake::new().await;
    let path = lake.file(
        "events.ndjson",
        concat!(
            r#"{"tracking_id":"a","client_id":"1","event_type":"pageview","event_timestamp":"2026-10-31T10:00:00Z"}"#,
            "\n\n",
            r#"{"tracking_id":"b","client_id":"2","event_type":"click","event_timestamp":"2026-10-30T10:00:00Z"}"#,
        ),
    );
    let first = lake.import(&path).await.unwrap();
    assert_eq!((first.rows, first.imported, first.already_there), (2, 2, false));
    let copy = lake.folder.path().join("the-same-under-another-name.ndjson");
    std::fs::copy(&path, &copy).unwrap();
    assert!(lake.import(&copy).await.unwrap().already_there);
    assert_eq!(lake.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_of_other_types_is_cast_and_what_is_missing_is_filled_in() {
    let lake = Lake::new().await;
    let path = lake.folder.path().join("x.parquet");
    let millis = NOW / 1_000;
    parquet(
        &path,
        vec![
            ("tracking_id", Arc::new(StringArray::from(vec!["a"; 4]))),
            ("client_id", Arc::new(Int64Array::from(vec![7; 4]))),
            ("event_type", Arc::new(StringArray::from(vec!["pageview"; 4]))),
            (
                "event_timestamp",
                Arc::new(TimestampMillisecondArray::from(vec![
                    millis - 5_000_000,
                    millis - 4_000_000,
                    millis - 1_000_000,
                    millis - 3_999_999,
                ])),
            ),
            (
                "revenue",
                Arc::new(Float64Array::from(vec![Some(9.99), None, Some(1.0), None])),
            ),
            (
                "page_url",
                Arc::new(StringArray::from(vec![
                    "https://x.org/?utm_source=news&utm_medium=email";
                    4
                ])),
            ),
            ("a_column_of_their_own", Arc::new(StringArray::from(vec!["ignored"; 4]))),
        ],
    );
    let report = lake.import(&path).await.unwrap();
    assert_eq!((report.imported, report.rejected_rows()), (4, 0));
    let rows = lake
        .rows(&[
            "client_id",
            "session_id",
            "page_host",
            "page_path",
            "revenue",
            "utm_source",
            "channel",
            "event_id",
        ])
        .await;
    let text = |name: &str| {
        let column = rows.column_by_name(name).unwrap().as_string::<i32>();
        column
            .iter()
            .map(|value| value.unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(text("client_id"), ["7"; 4]);
    assert_eq!(
        rows.column_by_name("session_id").unwrap().null_count(),
        4,
        "none is assigned"
    );
    assert_eq!(
        (text("page_host"), text("page_path")),
        (vec!["x.org".into(); 4], vec!["/".into(); 4])
    );
    assert_eq!(text("utm_source"), ["news"; 4]);
    assert_eq!(text("channel"), ["Email"; 4]);
    assert_eq!(BTreeSet::from_iter(text("event_id")).len(), 4);
    let revenue = rows.column_by_name("revenue").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!(revenue.value(0), 99_900);
    assert!(revenue.is_null(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_text_is_null_and_derived_columns_of_the_file_are_ignored() {
    let lake = Lake::new().await;
    let row = |hour: u32, url: &str| {
        format!(
            r#"{{"tracking_id":"a","client_id":"1","event_type":"x","event_timestamp":"2026-10-31T1{hour}:00:00Z","event_id":"",
                "session_id":"","page_title":"","channel":"","page_url":"{url}","page_host":"no","page_path":"no",
                "client_hash":7}}"#
        )
        .replace('\n', "")
    };
    let path = lake.file(
        "x.ndjson",
        &[row(0, "https://A.org/b/?c"), row(1, "about:blank")].join("\n"),
    );
    assert_eq!(
        lake.import(&path).await.unwrap().imported,
        2,
        "an empty event id is none"
    );
    let columns = [
        "page_host",
        "page_path",
        "session_id",
        "page_title",
        "channel",
        "client_hash",
    ];
    let rows = lake.rows(&columns).await;
    let column = |name: &str| {
        rows.column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(column("page_host"), [Some("a.org"), None]);
    assert_eq!(column("page_path"), [Some("/b"), None]);
    assert_eq!(
        (column("session_id"), column("page_title")),
        (vec![None; 2], vec![None; 2])
    );
    assert_eq!(column("channel"), [Some("Direct"); 2]);
    let hash = rows
        .column_by_name("client_hash")
        .unwrap()
        .as_primitive::<Int64Type>()
        .value(0);
    assert_eq!(hash, footfall_model::hash::client_hash("a", "1").cast_signed());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_no_events_are_reported_with_their_reason_and_the_rest_is_imported() {
    let lake = Lake::new().await;
    let good = "a,1,pageview,2026-10-31T10:00:00Z";
    let path = lake.file(
        "events.csv",
        &[
            "tracking_id,client_id,event_type,event_timestamp,custom_properties,revenue",
            &format!("{good},{{}},1.5"),
            "nobody,1,pageview,2026-10-31T10:00:00Z,,",
            "a,,pageview,2026-10-31T10:00:00Z,,",
            "a,1,pageview,yesterday,,",
            "a,1,pageview,,,",
            "a,1,pageview,2027-10-31T10:00:00Z,,",
            "a,1,pageview,2020-10-31T10:00:00Z,,",
            &format!("{good},[1],"),
            &format!("{good},,cheap"),
            &format!("a,{},pageview,2026-10-31T10:00:00Z,,", "x".repeat(300)),
        ]
        .join("\n"),
    );
    let report = lake.import(&path).await.unwrap();
    assert_eq!((report.rows, report.imported, report.rejected_rows()), (10, 1, 9));
    insta::assert_debug_snapshot!(rejected(&report));
    assert_eq!(lake.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_not_json_are_rejected_by_their_number() {
    let lake = Lake::new().await;
    let line = |client: u32| {
        format!(
            r#"{{"tracking_id":"a","client_id":{client},"event_type":"x","event_timestamp":"2026-10-31T10:00:00Z"}}"#
        )
    };
    let path = lake.file("x.jsonl", &[&line(1), "{", &line(2), "[]", "\u{0}"].join("\n"));
    let report = lake.import(&path).await.unwrap();
    assert_eq!((report.rows, report.imported), (5, 2));
    assert_eq!(
        rejected(&report),
        BTreeMap::from([
            ("the line is no JSON object", vec![4]),
            ("the line is not valid JSON", vec![2, 5])
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_in_by_chunks_sorted_and_without_its_duplicates() {
    let lake = Lake::new().await;
    let path = lake.folder.path().join("x.parquet");
    let rows = 10_000_i64;
    let ids = |row: i64| row % 9_000;
    parquet(
        &path,
        vec![
            (
                "tracking_id",
                Arc::new(StringArray::from_iter_values(
                    (0..rows).map(|row| if row % 2 == 0 { "b" } else { "a" }),
                )),
            ),
            (
                "client_id",
                Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row % 100))),
            ),
            ("event_id", Arc::new(Int64Array::from_iter_values((0..rows).map(ids)))),
            ("event_type", Arc::new(StringArray::from(vec!["x"; rows as usize]))),
            (
                "event_timestamp",
                Arc::new(Int64Array::from_iter_values(
                    (0..rows).map(|row| NOW - (row % 9_000) * 10_000_000),
                )),
            ),
        ],
    );
    let options = ImportOptions {
        chunk_rows: 1_000,
        ..ImportOptions::default()
    };
    let report = lake.import_with(&path, options).await.unwrap();
    assert_eq!((report.imported, report.duplicates), (9_000, 1_000));
    assert_eq!(lake.count(), 9_000);
    for file in lake.parts.table.snapshot().files() {
        let batches = read_columns(
            lake.parts.table.store(),
            file,
            &["tracking_id", "client_hash", "event_timestamp"],
        );
        let batches = batches.await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        let keys: Vec<_> = batches
            .iter()
            .flat_map(|batch| {
                let sites = batch.column(0).as_string::<i32>();
                let hashes = batch.column(1).as_primitive::<arrow::datatypes::Int64Type>();
                let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
                (0..batch.num_rows()).map(move |row| (sites.value(row).to_owned(), hashes.value(row), times.value(row)))
            })
            .collect();
        assert!(keys.is_sorted(), "{} is not sorted", file.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_can_not_be_imported_says_why_and_leaves_nothing() {
    let lake = Lake::new().await;
    let mut told = Vec::new();
    for (name, content) in [
        ("x.xls", ""),
        ("x.parquet", "no parquet"),
        ("x.csv", "tracking_id,event_type\na,x"),
        ("ragged.csv", "tracking_id,client_id,event_type,event_timestamp\na,1"),
    ] {
        let error = lake.import(&lake.file(name, content)).await.unwrap_err().to_string();
        told.push(error.replace(lake.folder.path().to_str().unwrap(), "FOLDER"));
    }
    told.push(lake.import(Path::new("nowhere.csv")).await.unwrap_err().to_string());
    insta::assert_debug_snapshot!(told);
    assert_eq!(lake.count(), 0);
    assert_eq!(lake.parts.table.snapshot().version(), 0);
}
