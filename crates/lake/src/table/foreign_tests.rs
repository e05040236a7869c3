//! What other writers do to a table while we follow it, and before we open it.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::array::{BooleanArray, Int64Array};
use arrow::datatypes::{DataType, Field};
use footfall_model::clock::SystemClock;
use footfall_model::schema;
use footfall_model::table::{TableColumns, events};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use serde_json::{Value, json};

use super::*;
use crate::{DataFile, NewFile, Origin, write_file};

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn open(store: &Arc<dyn ObjectStore>) -> Result<Table, LakeError> {
    Table::open(Arc::clone(store), Arc::clone(events()), Arc::new(SystemClock)).await
}

/// Events of a site, one a microsecond.
fn rows(site: &str, count: usize) -> RecordBatch {
    let numbers = || 0..count as i64;
    let file = schema::event_file();
    let columns = file.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if field.name() == "tracking_id" => Arc::new(StringArray::from(vec![site; count])) as ArrayRef,
        DataType::Utf8 if !field.is_nullable() => {
            Arc::new(StringArray::from_iter_values(numbers().map(|n| n.to_string())))
        }
        DataType::Int64 => Arc::new(Int64Array::from_iter_values(numbers())),
        DataType::Boolean => Arc::new(BooleanArray::from(vec![false; count])),
        DataType::Timestamp(..) => {
            Arc::new(TimestampMicrosecondArray::from_iter_values(numbers()).with_timezone("UTC"))
        }
        other => new_null_array(other, count),
    });
    RecordBatch::try_new(Arc::clone(&file), columns.collect()).unwrap()
}

async fn written(store: &Arc<dyn ObjectStore>, name: &str, site: &str, count: usize) -> DataFile {
    let new = NewFile::new(events(), 0, name, Origin::Wal, 0);
    write_file(store, new, rows(site, count)).await.unwrap()
}

/// An `add` action as others write it: without our tags.
fn add(file: &DataFile, more: &Value) -> Value {
    let mut action = json!({
        "path": layout::table_path(events(), &file.path).unwrap(),
        "partitionValues": {"event_date": "1970-01-01"},
        "size": file.size, "modificationTime": 1_000, "dataChange": true,
    });
    for (key, value) in more.as_object().unwrap() {
        action[key] = value.clone();
    }
    json!({ "add": action })
}

/// Commits the actions as the version after the newest.
async fn foreign(store: &Arc<dyn ObjectStore>, actions: &[Value]) {
    for version in 0.. {
        let path = layout::commit_path(events(), version);
        let lines: Vec<_> = actions.iter().map(ToString::to_string).collect();
        let put = store.put_opts(&path, lines.join("\n").into(), PutMode::Create.into());
        if put.await.is_ok() {
            return;
        }
    }
}

fn only_file(table: &Table) -> DataFile {
    let snapshot = table.snapshot();
    assert_eq!(snapshot.len(), 1);
    snapshot.files().next().unwrap().as_ref().clone()
}

/// The table as a follower sees it, and as freshly opened.
async fn seen(store: &Arc<dyn ObjectStore>, actions: &[Value]) -> [Result<Table, LakeError>; 2] {
    let follower = open(store).await.unwrap();
    foreign(store, actions).await;
    let followed = follower.refresh().await.map(|()| follower);
    [followed, open(store).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_statistics_are_read_from_footer() {
    for stats in [json!({}), json!({"stats": null}), json!({"stats": "{}"})] {
        let store = memory();
        open(&store).await.unwrap();
        let ours = written(&store, "x", "acme", 10).await;
        for table in seen(&store, &[add(&ours, &stats)]).await {
            let file = only_file(&table.unwrap());
            assert_eq!((file.rows, file.origin), (Some(10), Origin::Foreign));
            assert_eq!(file.statistics, ours.statistics);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_row_count_is_read_from_footer() {
    let store = memory();
    open(&store).await.unwrap();
    let ours = written(&store, "x", "acme", 10).await;
    let stats = json!({"stats": r#"{"minValues":{"tracking_id":"a"},"maxValues":{"tracking_id":"b"}}"#});
    for table in seen(&store, &[add(&ours, &stats)]).await {
        assert_eq!(only_file(&table.unwrap()).rows, Some(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_file_keeps_unknown_statistics() {
    let store = memory();
    open(&store).await.unwrap();
    let ours = written(&store, "x", "acme", 10).await;
    store.delete(&ours.path).await.unwrap();
    for table in seen(&store, &[add(&ours, &json!({}))]).await {
        let file = only_file(&table.unwrap());
        assert_eq!(file.rows, None);
        assert!(file.statistics.iter().all(|column| column.min.is_none()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_add_replaces_file() {
    let store = memory();
    let table = open(&store).await.unwrap();
    let ours = written(&store, "x", "acme", 10).await;
    table.commit(&Commit::append(1, vec![ours.clone()])).await.unwrap();
    let stats = json!({"stats": r#"{"numRecords":7}"#, "size": ours.size});
    for table in seen(&store, &[add(&ours, &stats)]).await {
        only_file(&table.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_paths_are_decoded() {
    let store = memory();
    let table = open(&store).await.unwrap();
    let odd = written(&store, "a b%c", "acme", 3).await;
    table.commit(&Commit::append(1, vec![odd.clone()])).await.unwrap();
    let log = layout::commit_path(events(), 1);
    let bytes = store.get(&log).await.unwrap().bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("a%20b%2525c"));
    for table in [&table, &open(&store).await.unwrap()] {
        assert_eq!(only_file(table).path, odd.path);
    }
    let remove = json!({"remove": {"path": "event_date=1970-01-01/a%20b%2525c.parquet", "dataChange": true}});
    for table in seen(&store, &[remove]).await {
        assert!(table.unwrap().snapshot().is_empty());
    }
}

fn refused(outcome: Result<Table, LakeError>, because: &str) {
    let error = outcome.expect_err(because);
    assert!(error.to_string().contains(because), "{error}");
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_vectors_are_refused() {
    let store = memory();
    open(&store).await.unwrap();
    let ours = written(&store, "x", "acme", 10).await;
    let vector = json!({"storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "sizeInBytes": 40, "cardinality": 6});
    let protocol = json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}});
    let add = add(
        &ours,
        &json!({"stats": r#"{"numRecords":10}"#, "deletionVector": vector}),
    );
    for table in seen(&store, &[protocol, add]).await {
        refused(table, "deletion vector");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_protocol_is_refused() {
    for (feature, protocol) in [
        (
            "rowTracking",
            json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking", "domainMetadata"]}),
        ),
        (
            "clustering",
            json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["clustering", "domainMetadata"]}),
        ),
    ] {
        let store = memory();
        open(&store).await.unwrap();
        for table in seen(&store, &[json!({ "protocol": protocol })]).await {
            refused(table, feature);
        }
    }
}

async fn metadata_of(store: &Arc<dyn ObjectStore>) -> Value {
    let bytes = store
        .get(&layout::commit_path(events(), 0))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let text = String::from_utf8(bytes.into()).unwrap();
    let mut actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    actions.find(|action| action.get("metaData").is_some()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_metadata_is_refused() {
    for (because, change) in [
        (
            "delta.enableDeletionVectors",
            (|data| data["configuration"]["delta.enableDeletionVectors"] = "true".into()) as fn(&mut Value),
        ),
        ("columns are of version 77", |data| {
            data["configuration"]["footfall.schemaVersion"] = "77".into()
        }),
        ("a column mine", |data| {
            let mut schema: Value = serde_json::from_str(data["schemaString"].as_str().unwrap()).unwrap();
            let mine = json!({"name": "mine", "type": "string", "nullable": true, "metadata": {}});
            schema["fields"].as_array_mut().unwrap().push(mine);
            data["schemaString"] = schema.to_string().into();
        }),
    ] {
        let store = memory();
        open(&store).await.unwrap();
        let mut action = metadata_of(&store).await;
        change(&mut action["metaData"]);
        for table in seen(&store, &[action]).await {
            refused(table, because);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn harmless_metadata_change_is_followed() {
    let store = memory();
    open(&store).await.unwrap();
    let mut action = metadata_of(&store).await;
    action["metaData"]["description"] = "all clicks".into();
    action["metaData"]["configuration"]["delta.enableChangeDataFeed"] = "true".into();
    for table in seen(&store, &[action]).await {
        assert_eq!(table.unwrap().snapshot().version(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_after_refused_change_is_refused() {
    let store = memory();
    let table = open(&store).await.unwrap();
    let ours = written(&store, "x", "acme", 10).await;
    foreign(
        &store,
        &[json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking"]}})],
    )
    .await;
    for id in 1..3 {
        let error = table.commit(&Commit::append(id, vec![ours.clone()])).await.unwrap_err();
        assert!(matches!(error, LakeError::Unsupported { .. }), "{error}");
    }
    assert_eq!(table.snapshot().version(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_outside_table_are_refused() {
    let store = memory();
    open(&store).await.unwrap();
    let ours = written(&store, "x", "acme", 10).await;
    for table in seen(&store, &[add(&ours, &json!({"path": "s3://elsewhere/x.parquet"}))]).await {
        refused(table, "outside of the table");
    }
}

fn spec(version: u32, columns: &[&str]) -> Arc<TableSpec> {
    let site = [Field::new("tracking_id", DataType::Utf8, false)];
    let others = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    let columns = TableColumns {
        file: site.into_iter().chain(others).collect(),
        partition: Field::new("day", DataType::Date32, false),
        sort: &["tracking_id"],
        statistics: &["tracking_id"],
    };
    Arc::new(TableSpec::new("visits", "rollups/visits", version, columns).unwrap())
}

/// Counts the commits that change columns.
async fn upgrades(store: &Arc<dyn ObjectStore>, spec: &TableSpec) -> usize {
    let mut upgrades = 0;
    for version in 1.. {
        let Ok(found) = store.get(&layout::commit_path(spec, version)).await else {
            break;
        };
        let bytes = found.bytes().await.unwrap();
        upgrades += usize::from(String::from_utf8_lossy(&bytes).contains("\"metaData\""));
    }
    upgrades
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_starts_add_columns_once() {
    let store = memory();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let opened =
        async |spec: &Arc<TableSpec>| Table::open(Arc::clone(&store), Arc::clone(spec), Arc::clone(&clock)).await;
    let (old, new) = (spec(1, &["page"]), spec(2, &["page", "country"]));
    let follower = opened(&old).await.unwrap();
    let done = AtomicU64::new(0);
    let race = (0..8).map(|_| async {
        opened(&new).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    });
    futures::future::join_all(race).await;
    assert_eq!(done.load(Ordering::Relaxed), 8);
    assert_eq!(upgrades(&store, &new).await, 1);
    let refused = follower.refresh().await.unwrap_err();
    assert!(refused.to_string().contains("columns are of version 2"), "{refused}");
    assert!(opened(&old).await.is_err());
    opened(&new).await.unwrap().checkpoint().await.unwrap();
    assert_eq!(opened(&new).await.unwrap().snapshot().version(), 1);
}
