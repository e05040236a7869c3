//! Large files are written in bounded memory. A test process of its own, so that its peak is the writer's.

#![expect(clippy::unwrap_used, reason = "a test: its helpers too")]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use footfall_lake::{FileWriter, Location, NewFile, Origin, S3Options, StatValue};
use footfall_model::table::{TableColumns, TableSpec};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Serializes the tests: each measures the memory of the whole process.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const MIB: usize = 1_024 * 1_024;

/// Rows of a batch, and bytes of text in a row: more than half of the text does not compress.
const BATCH: usize = 4_096;
const TEXT: usize = 512;

fn spec() -> Arc<TableSpec> {
    let columns = TableColumns {
        file: vec![
            Field::new("tracking_id", DataType::Utf8, false),
            Field::new("n", DataType::Int64, false),
            Field::new("text", DataType::Utf8, true),
        ],
        partition: Field::new("day", DataType::Date32, false),
        sort: &["tracking_id", "n"],
        statistics: &["tracking_id", "n"],
    };
    Arc::new(TableSpec::new("large", "rollups/large", 1, columns).unwrap())
}

fn rows(spec: &TableSpec, batch: usize) -> RecordBatch {
    let mut state = batch as u64 + 1;
    let mut text = || {
        let letters = (0..TEXT).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state % 90) as u8)
        });
        letters.collect::<String>()
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["acme"; BATCH])),
        Arc::new(Int64Array::from_iter_values(
            (0..BATCH).map(|row| (batch * BATCH + row) as i64),
        )),
        Arc::new(StringArray::from_iter_values((0..BATCH).map(|_| text()))),
    ];
    RecordBatch::try_new(Arc::clone(spec.file_schema()), columns).unwrap()
}

fn store(folder: &std::path::Path) -> Arc<dyn ObjectStore> {
    Location::Local(folder.to_path_buf())
        .shard_store(0, &S3Options::default())
        .unwrap()
}

fn new(spec: &Arc<TableSpec>) -> NewFile {
    NewFile::new(spec, 20_758, "large", Origin::Compaction, 0)
}

fn files(folder: &std::path::Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.insert(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    names
}

/// The peak memory of this process since the last reset, in bytes.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_file_takes_little_memory() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (store, spec) = (store(folder.path()), spec());
    let mut writer = FileWriter::new(&store, new(&spec)).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, mut batch, mut stored) = (peak(), 0, 0);
    while stored < 128 * MIB {
        let rows = rows(&spec, batch);
        stored += rows.num_rows() * TEXT * 4 / 5;
        writer.write(rows).await.unwrap();
        assert!(writer.buffered() < 64 * MIB, "{} bytes are buffered", writer.buffered());
        batch += 1;
    }
    let file = writer.finish().await.unwrap();
    let used = peak() - before;
    assert!(file.size as usize > 128 * MIB);
    assert!(
        used < 96 * MIB,
        "{} MiB of memory for {} MiB",
        used / MIB,
        file.size as usize / MIB
    );

    assert_eq!(file.rows, Some((batch * BATCH) as u64));
    assert_eq!(
        file.column(&spec, "n").unwrap().max,
        Some(StatValue::Int64((batch * BATCH) as i64 - 1))
    );
    let meta = store.head(&file.path).await.unwrap();
    assert_eq!(meta.size, file.size);
    let path = folder.path().join("shard=00").join(file.path.as_ref());
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows() as usize, batch * BATCH);
    let last = reader.metadata().num_row_groups() - 1;
    let last: Vec<_> = reader
        .with_row_groups(vec![last])
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let last = last.last().unwrap();
    let expected = rows(&spec, batch - 1);
    let tail = last.num_rows().min(expected.num_rows());
    assert_eq!(
        last.slice(last.num_rows() - tail, tail),
        expected.slice(BATCH - tail, tail)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_file_leaves_nothing() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (store, spec) = (store(folder.path()), spec());
    for aborted in [true, false] {
        let mut writer = FileWriter::new(&store, new(&spec)).unwrap();
        for batch in 0..24 {
            writer.write(rows(&spec, batch)).await.unwrap();
        }
        assert_eq!(files(folder.path()).len(), 1, "a part is stored");
        assert!(files(folder.path()).iter().all(|name| name.contains('#')));
        if aborted {
            writer.abort().await.unwrap();
        } else {
            drop(writer);
        }
        while !files(folder.path()).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_schema_aborts_file() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (store, spec) = (store(folder.path()), spec());
    let mut writer = FileWriter::new(&store, new(&spec)).unwrap();
    writer.write(rows(&spec, 0)).await.unwrap();
    let wrong = rows(&spec, 1).project(&[0]).unwrap();
    writer.write(wrong).await.unwrap_err();
    assert!(writer.write(rows(&spec, 1)).await.is_err());
    assert!(writer.finish().await.is_err());
    assert!(files(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_file_is_put_at_once() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let (store, spec) = (store(folder.path()), spec());
    let mut writer = FileWriter::new(&store, new(&spec)).unwrap();
    writer.write(rows(&spec, 0)).await.unwrap();
    assert!(files(folder.path()).is_empty());
    let file = writer.finish().await.unwrap();
    assert_eq!(store.head(&file.path).await.unwrap().size, file.size);
    assert_eq!(files(folder.path()), BTreeSet::from(["large.parquet".to_owned()]));
}
