//! Files that are imported, as any software writes them.
//!
//! The first byte chooses: `J` NDJSON, `C` CSV, and what follows is the file; `T` a program for a Parquet file: the type
//! of its times, the types of twelve other columns, then the values, 8 bytes each, 3 of each column.
//!
//! Checked: no panic; a row is an event or is rejected with a reason; events keep to every limit; the reasons of a report
//! and its examples are few. Damaged Parquet is left out: its library panics, and the reader makes an error of that.

#![no_main]

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray,
    MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use bytes::Bytes;
use footfall_ingest::enrich::{EnrichOptions, Enricher};
use footfall_ingest::import::fuzzing::{read, to_parquet};
use footfall_ingest::import::{Format, Report, Sites};
use footfall_model::schema;
use libfuzzer_sys::fuzz_target;

/// 2026-02-02T10:30:00Z.
const NOW: i64 = 1_770_028_200_000_000;

/// Rows of a file of columns.
const ROWS: usize = 3;

/// The columns whose type a program chooses, after the times.
const COLUMNS: [&str; 12] = [
    "client_id",
    "event_type",
    "event_id",
    "session_id",
    "page_url",
    "page_title",
    "country",
    "revenue",
    "custom_properties",
    "is_bot",
    "created_at",
    "channel",
];

static ENRICHER: LazyLock<Arc<Enricher>> =
    LazyLock::new(|| Arc::new(Enricher::new(EnrichOptions::default()).expect("the built-in data are good")));

static SITES: LazyLock<Arc<Sites>> = LazyLock::new(|| Arc::new(Sites::from([("t".to_owned(), None)])));

fuzz_target!(
    // The rules take seconds to compile with instrumentation.
    init: {
        LazyLock::force(&ENRICHER);
    },
    |data: &[u8]| run(data)
);

fn run(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else { return };
    let (format, file) = match kind {
        b'J' => (Format::Ndjson, Bytes::copy_from_slice(file)),
        b'C' => (Format::Csv, Bytes::copy_from_slice(file)),
        b'T' => match written(file) {
            Some(file) => (Format::Parquet, file),
            None => return,
        },
        _ => return,
    };
    match read(file, format, &SITES, &ENRICHER, NOW) {
        Ok((batches, report)) => assert_events(&batches, &report),
        Err(reason) => assert!(reason.len() < 10_000, "long: {reason}"),
    }
}

/// The Parquet file of a program; `None` if it is too short, or of types that Parquet does not have.
fn written(program: &[u8]) -> Option<Bytes> {
    let (kinds, mut values) = program.split_at_checked(1 + COLUMNS.len())?;
    let mut columns = vec![("tracking_id", Arc::new(StringArray::from(vec!["t"; ROWS])) as ArrayRef)];
    for (name, kind) in std::iter::once("event_timestamp").chain(COLUMNS).zip(kinds) {
        let (own, rest) = values.split_at_checked(ROWS * 8)?;
        values = rest;
        let numbers = own
            .chunks_exact(8)
            .filter_map(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)));
        columns.push((name, column(*kind, &numbers.collect::<Vec<_>>())?));
    }
    to_parquet(&RecordBatch::try_from_iter(columns).ok()?)
}

/// A column of one of 16 types, with nulls where a number is odd and the kind is 128 or more.
fn column(kind: u8, numbers: &[i64]) -> Option<ArrayRef> {
    let numbers: Vec<_> = numbers
        .iter()
        .map(|number| (kind < 128 || number % 2 == 0).then_some(*number))
        .collect();
    let integers = Int64Array::from(numbers.clone());
    let bytes = || numbers.iter().map(|number| number.map(i64::to_le_bytes));
    let texts = || bytes().map(|bytes| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    let strings = || StringArray::from_iter(texts());
    let as_type = |array: &dyn Array, data_type: DataType| cast(array, &data_type).ok();
    let times = |unit, zone: Option<&str>| as_type(&integers, DataType::Timestamp(unit, zone.map(Into::into)));
    match kind % 16 {
        0 => Some(Arc::new(integers)),
        1 => times(TimeUnit::Microsecond, None),
        2 => times(TimeUnit::Nanosecond, Some("Europe/Berlin")),
        3 => times(TimeUnit::Millisecond, Some("+05:45")),
        4 => as_type(&as_type(&integers, DataType::Int32)?, DataType::Date32),
        5 => Some(Arc::new(strings())),
        6 => as_type(
            &strings(),
            DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8)),
        ),
        7 => as_type(&strings(), DataType::Utf8View),
        8 => Some(Arc::new(Float64Array::from_iter(
            numbers.iter().map(|number| number.map(|n| f64::from_bits(n as u64))),
        ))),
        9 => Some(Arc::new(BinaryArray::from_iter(bytes()))),
        10 => Some(Arc::new(BooleanArray::from_iter(
            numbers.iter().map(|number| number.map(|n| n % 3 == 0)),
        ))),
        11 => {
            let wide =
                Decimal128Array::from_iter(numbers.iter().map(|number| number.map(|n| i128::from(n) * 1_000_003)));
            Some(Arc::new(wide.with_precision_and_scale(38, 7).ok()?))
        }
        12 => {
            let members: Vec<(Arc<Field>, ArrayRef)> = vec![
                (
                    Arc::new(Field::new("revenue", DataType::Int64, true)),
                    Arc::new(integers),
                ),
                (Arc::new(Field::new("\"", DataType::Utf8, true)), Arc::new(strings())),
            ];
            Some(Arc::new(StructArray::from(members)))
        }
        13 => {
            let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
            for text in texts() {
                map.keys().append_value(text.as_deref().unwrap_or("k"));
                map.values().append_option(text.as_deref());
                map.append(text.is_some()).ok()?;
            }
            Some(Arc::new(map.finish()))
        }
        14 => Some(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
            numbers.iter().map(|n| n.map(|n| [Some(n), None])),
        ))),
        _ => as_type(&strings(), DataType::LargeUtf8),
    }
}

fn assert_events(batches: &[RecordBatch], report: &Report) {
    let events: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(report.rows, events as u64 + report.rejected_rows(), "{report:?}");
    assert!(report.rejected.len() <= 51 && report.ignored.len() <= 50);
    for batch in batches {
        assert_eq!(batch.schema(), schema::event_file());
        for (field, column) in schema::file_columns().zip(batch.columns()) {
            let spec = field.spec();
            assert!(spec.nullable || column.null_count() == 0, "{} is null", spec.name);
            for text in column.as_string_opt::<i32>().into_iter().flatten().flatten() {
                // What is derived has limits of its own.
                if spec.json.is_some() {
                    assert!(
                        !text.contains('\0') && !text.trim_start().is_empty(),
                        "{}: {text:?}",
                        spec.name
                    );
                    assert!(spec.excess_chars(text).is_none(), "{}: {text:?}", spec.name);
                }
            }
        }
    }
}
