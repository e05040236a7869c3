//! `system.compactions`: what the compactor of this process has done lately.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;
use footfall_model::clock::Micros;
use parking_lot::Mutex;

/// How many records are kept.
const KEPT: usize = 1_000;

/// One merge, or the attempt of one.
#[derive(Debug, Clone, PartialEq)]
pub struct CompactionRecord {
    pub started_at: Micros,
    pub seconds: f64,
    /// Days since 1970-01-01.
    pub event_date: i32,
    /// Why the files were merged.
    pub reason: &'static str,
    pub files_read: u64,
    pub files_written: u64,
    pub rows_read: u64,
    pub rows_written: u64,
    pub duplicates: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub segment_bytes: u64,
    /// Why nothing was merged.
    pub error: Option<String>,
}

/// The last merges of this process, newest last. Shared by the compactor, which writes it, and queries.
#[derive(Debug, Default)]
pub struct CompactionLog(Mutex<VecDeque<CompactionRecord>>);

impl CompactionLog {
    pub fn push(&self, record: CompactionRecord) {
        let mut records = self.0.lock();
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(super) fn rows(&self) -> Result<RecordBatch> {
        let records: Vec<CompactionRecord> = self.0.lock().iter().cloned().collect();
        let counts = |count: fn(&CompactionRecord) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(records.iter().map(count)))
        };
        let started_at = records.iter().map(|record| record.started_at);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(started_at).with_timezone("UTC")),
            Arc::new(Float64Array::from_iter_values(
                records.iter().map(|record| record.seconds),
            )),
            Arc::new(Date32Array::from_iter_values(
                records.iter().map(|record| record.event_date),
            )),
            Arc::new(StringArray::from_iter_values(
                records.iter().map(|record| record.reason),
            )),
            counts(|record| record.files_read),
            counts(|record| record.files_written),
            counts(|record| record.rows_read),
            counts(|record| record.rows_written),
            counts(|record| record.duplicates),
            counts(|record| record.bytes_read),
            counts(|record| record.bytes_written),
            counts(|record| record.segment_bytes),
            Arc::new(
                records
                    .iter()
                    .map(|record| record.error.as_deref())
                    .collect::<StringArray>(),
            ),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

pub(super) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let count = |name: &str| Field::new(name, DataType::UInt64, false);
        Arc::new(Schema::new(vec![
            Field::new("started_at", utc, false),
            Field::new("seconds", DataType::Float64, false),
            Field::new("event_date", DataType::Date32, false),
            Field::new("reason", DataType::Utf8, false),
            count("files_read"),
            count("files_written"),
            count("rows_read"),
            count("rows_written"),
            count("duplicates"),
            count("bytes_read"),
            count("bytes_written"),
            count("segment_bytes"),
            Field::new("error", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_records_are_dropped() {
        let log = CompactionLog::default();
        for files_read in 0..1_005 {
            log.push(CompactionRecord {
                started_at: 0,
                seconds: 1.5,
                event_date: 0,
                reason: "fresh files",
                files_read,
                files_written: 1,
                rows_read: 10,
                rows_written: 9,
                duplicates: 1,
                bytes_read: 100,
                bytes_written: 90,
                segment_bytes: 5,
                error: None,
            });
        }
        let rows = log.rows().unwrap();
        assert_eq!(rows.num_rows(), KEPT);
        let files = rows.column_by_name("files_read").unwrap();
        assert_eq!(files.as_any().downcast_ref::<UInt64Array>().unwrap().value(0), 5);
    }
}
