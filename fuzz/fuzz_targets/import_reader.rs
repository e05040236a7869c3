//! Files that are imported, as any software writes them.
//!
//! The first byte chooses: `J` NDJSON, `C` CSV, `P` Parquet, `T` columns of any type as an Arrow IPC stream, written to
//! Parquet here. What follows is the file.
//!
//! Checked: no panic; a row is an event or is rejected with a reason; events keep to every limit; the reasons of a report
//! and its examples are few.

#![no_main]

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use footfall_ingest::enrich::{EnrichOptions, Enricher};
use footfall_ingest::import::fuzzing::{read, to_parquet};
use footfall_ingest::import::{Format, Report, Sites};
use footfall_model::schema;
use libfuzzer_sys::fuzz_target;

/// 2026-02-02T10:30:00Z.
const NOW: i64 = 1_770_028_200_000_000;

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
        b'P' => (Format::Parquet, Bytes::copy_from_slice(file)),
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

/// The rows of an IPC stream as a Parquet file; `None` if it is no stream, or of types that Parquet does not have.
fn written(stream: &[u8]) -> Option<Bytes> {
    let mut reader = StreamReader::try_new(stream, None).ok()?;
    let batch = reader.next()?.ok()?;
    to_parquet(&batch)
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
                assert!(
                    !text.contains('\0') && !text.trim_start().is_empty(),
                    "{}: {text:?}",
                    spec.name
                );
                // What is derived has limits of its own.
                assert!(
                    spec.json.is_none() || spec.excess_chars(text).is_none(),
                    "{}: {text:?}",
                    spec.name
                );
            }
        }
    }
}
