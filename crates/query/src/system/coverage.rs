//! `system.coverage`: how much of each day's events has segments, for every table of segments.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

use crate::segments::ScopedLake;

const COUNTS: [&str; 6] = [
    "files",
    "covered_files",
    "rows",
    "covered_rows",
    "bytes",
    "covered_bytes",
];

pub(super) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let keys = [
            Field::new("table_name", DataType::Utf8, false),
            Field::new("event_date", DataType::Date32, false),
        ];
        let counts = COUNTS.map(|name| Field::new(name, DataType::UInt64, false));
        Arc::new(Schema::new(keys.into_iter().chain(counts).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}

/// In the order of [`COUNTS`].
type Counts = [u64; COUNTS.len()];

pub(super) fn rows(lake: &ScopedLake) -> Result<RecordBatch> {
    let mut lines: Vec<(String, i32, Counts)> = Vec::new();
    for name in lake.segment_tables() {
        let mut days: BTreeMap<i32, Counts> = BTreeMap::new();
        let uncovered = lake.uncovered(name)?;
        for file in lake.pinned.events.files() {
            let covered = u64::from(uncovered.file(&file.path).is_none());
            let rows = file.rows.unwrap_or_default();
            let day = days.entry(file.partition_date).or_default();
            let added = [1, covered, rows, covered * rows, file.size, covered * file.size];
            for (sum, added) in day.iter_mut().zip(added) {
                *sum += added;
            }
        }
        lines.extend(days.into_iter().map(|(day, counts)| (name.to_owned(), day, counts)));
    }
    let names = lines.iter().map(|(name, ..)| name);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(names)),
        Arc::new(Date32Array::from_iter_values(lines.iter().map(|(_, day, _)| *day))),
    ];
    for nth in 0..COUNTS.len() {
        let counts = lines.iter().map(|(.., counts)| counts[nth]);
        columns.push(Arc::new(UInt64Array::from_iter_values(counts)));
    }
    Ok(RecordBatch::try_new(schema(), columns)?)
}
