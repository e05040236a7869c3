//! Large files on a real S3 server: run by `tests/e2e/test_file_writer.py`, which starts one.

#![expect(clippy::unwrap_used, reason = "a test: its helpers too")]

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use footfall_lake::{Commit, FileWriter, Location, NewFile, Origin, S3Options, Table};
use footfall_model::clock::SystemClock;
use footfall_model::table::{SITE_COLUMN, TableColumns, TableSpec};

const BATCH: i64 = 65_536;
const MIB: u64 = 1_024 * 1_024;

fn spec() -> Arc<TableSpec> {
    let columns = TableColumns {
        file: vec![
            Field::new(SITE_COLUMN, DataType::Utf8, false),
            Field::new("n", DataType::Int64, false),
            Field::new("hash", DataType::Int64, false),
        ],
        partition: Field::new("day", DataType::Date32, false),
        sort: &[SITE_COLUMN, "n"],
        statistics: &["n"],
    };
    Arc::new(TableSpec::new("large", "large", 1, columns).unwrap())
}

/// The last column does not compress: splitmix64 of the one before.
fn rows(spec: &TableSpec, first: i64) -> RecordBatch {
    let hash = |n: i64| {
        let z = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as i64
    };
    let numbers = first..first + BATCH;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["acme"; BATCH as usize])),
        Arc::new(Int64Array::from_iter_values(numbers.clone())),
        Arc::new(Int64Array::from_iter_values(numbers.map(hash))),
    ];
    RecordBatch::try_new(Arc::clone(spec.file_schema()), columns).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: run by tests/e2e/test_file_writer.py"]
async fn large_file_is_streamed_to_s3() {
    let location = std::env::var("FOOTFALL_TEST_LAKE").unwrap();
    let mib: u64 = std::env::var("FOOTFALL_TEST_MIB").unwrap().parse().unwrap();
    let store = Location::from_str(&location).unwrap();
    let options = S3Options {
        allow_http: true,
        ..S3Options::default()
    };
    let store = store.shard_store(0, &options).unwrap();
    let spec = spec();
    let table = Table::open(Arc::clone(&store), Arc::clone(&spec), Arc::new(SystemClock))
        .await
        .unwrap();

    let new = NewFile::new(&spec, 20_758, "large", Origin::Compaction, 0);
    let mut writer = FileWriter::new(&store, new).unwrap();
    let (mut next, mut buffered) = (0, 0);
    while (next as u64) * 8 < mib * MIB {
        writer.write(rows(&spec, next)).await.unwrap();
        buffered = buffered.max(writer.buffered());
        next += BATCH;
    }
    let file = writer.finish().await.unwrap();
    assert!(buffered < 64 * 1_024 * 1_024, "{buffered} bytes are buffered");
    assert!(file.size > mib * MIB);
    assert_eq!(file.rows, Some(next as u64));
    table.commit(&Commit::append(1, vec![file])).await.unwrap();

    // Dropped before its end: nothing of it may be visible.
    let new = NewFile::new(&spec, 20_758, "dropped", Origin::Compaction, 0);
    let mut writer = FileWriter::new(&store, new).unwrap();
    for batch in 0..24 {
        writer.write(rows(&spec, batch * BATCH)).await.unwrap();
    }
    writer.abort().await.unwrap();
}
