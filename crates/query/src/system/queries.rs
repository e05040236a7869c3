//! `system.queries`: the statements that ended lately.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;
use footfall_model::access::SiteScope;
use footfall_model::clock::Micros;
use footfall_model::rollup::{MeasureDefinition, Rollup, RollupDefinition};
use parking_lot::Mutex;

use crate::advise::{covers, to_json};
use crate::routing::MissingRollup;

/// How many records are kept.
const KEPT: usize = 1_000;

/// Characters of a text that are kept.
const SQL_KEPT: usize = 4_000;

/// A statement that ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct QueryRecord {
    pub(crate) started_at: Micros,
    /// From its slot to its last row, or to its end.
    pub(crate) seconds: f64,
    pub(crate) token_id: Arc<str>,
    pub(crate) sql: String,
    /// `ok`, or how it failed.
    pub(crate) status: &'static str,
    /// The version of `events`.
    pub(crate) snapshot: Option<u64>,
    /// How each aggregate over events was answered, a line each.
    pub(crate) source: Option<String>,
    /// What would have answered the aggregates that were computed from events.
    pub(crate) missing_rollups: Vec<MissingRollup>,
    pub(crate) rows: u64,
    /// What its scans read, those left out by their conditions included, and the bytes of files.
    pub(crate) rows_read: u64,
    pub(crate) bytes_read: u64,
    /// Whether it is a result that was kept.
    pub(crate) cached: bool,
}

/// The last statements of this process, newest last.
#[derive(Debug, Default)]
pub(crate) struct QueryLog(Mutex<VecDeque<QueryRecord>>);

impl QueryLog {
    /// What is kept of a text.
    pub(crate) fn kept(text: &str) -> String {
        text.chars().take(SQL_KEPT).collect()
    }

    pub(crate) fn push(&self, record: QueryRecord) {
        let mut records = self.0.lock();
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// A rollup that is one of `configured` now is not missing any more.
    pub(super) fn rows<'a>(&self, configured: impl Iterator<Item = &'a Rollup>) -> Result<RecordBatch> {
        let configured: Vec<RollupDefinition> = configured.map(definition).collect();
        let is_missing = |missing: &MissingRollup| !configured.iter().any(|known| covers(known, &missing.rollup));
        let records: Vec<QueryRecord> = self.0.lock().iter().cloned().collect();
        let missing = records.iter().map(|record| {
            let mut missing = record.missing_rollups.clone();
            missing.retain(is_missing);
            to_json(&missing)
        });
        let missing: StringArray = missing.collect();
        let counts = |count: fn(&QueryRecord) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(records.iter().map(count)))
        };
        let texts = |text: fn(&QueryRecord) -> Option<&str>| -> ArrayRef {
            Arc::new(records.iter().map(text).collect::<StringArray>())
        };
        let started_at = records.iter().map(|record| record.started_at);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from_iter_values(started_at).with_timezone("UTC")),
            Arc::new(Float64Array::from_iter_values(
                records.iter().map(|record| record.seconds),
            )),
            texts(|record| Some(&record.token_id)),
            texts(|record| Some(&record.sql)),
            texts(|record| Some(record.status)),
            Arc::new(records.iter().map(|record| record.snapshot).collect::<UInt64Array>()),
            texts(|record| record.source.as_deref()),
            counts(|record| record.rows),
            counts(|record| record.rows_read),
            counts(|record| record.bytes_read),
            Arc::new(BooleanArray::from_iter(
                records.iter().map(|record| Some(record.cached)),
            )),
            Arc::new(missing),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

fn definition(rollup: &Rollup) -> RollupDefinition {
    RollupDefinition {
        name: rollup.name.clone(),
        sites: match &rollup.sites {
            SiteScope::All => None,
            SiteScope::Only(sites) => Some(sites.iter().cloned().collect()),
        },
        grain: rollup.grain,
        per_visitor: rollup.per_visitor,
        dimensions: rollup.dimensions.clone(),
        measures: rollup.measures.iter().map(MeasureDefinition::from).collect(),
    }
}

pub(super) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let count = |name: &str| Field::new(name, DataType::UInt64, false);
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        Arc::new(Schema::new(vec![
            Field::new("started_at", utc, false),
            Field::new("seconds", DataType::Float64, false),
            text("token_id"),
            text("sql"),
            text("status"),
            Field::new("snapshot", DataType::UInt64, true),
            Field::new("source", DataType::Utf8, true),
            count("rows"),
            count("rows_read"),
            count("bytes_read"),
            Field::new("cached", DataType::Boolean, false),
            Field::new("missing_rollups", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_records_are_dropped_and_long_texts_cut() {
        let log = QueryLog::default();
        for rows in 0..1_005 {
            log.push(QueryRecord {
                rows,
                sql: QueryLog::kept(&"ü".repeat(5_000)),
                ..QueryRecord::default()
            });
        }
        let records = log.0.lock();
        assert_eq!((records.len(), records[0].rows), (KEPT, 5));
        assert_eq!(records[0].sql.chars().count(), SQL_KEPT);
    }
}
