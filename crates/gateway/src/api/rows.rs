//! Rows by the names of their columns.

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::json;
use crate::problem::Problem;

/// One row.
#[derive(Debug)]
pub(super) struct Record(Map<String, Value>);

/// All rows of a small result; times in `zone`.
pub(super) fn records(batches: &[RecordBatch], zone: Tz) -> Result<Vec<Record>, Problem> {
    let mut records = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let columns = schema.fields().iter().zip(batch.columns());
            let values = columns.map(|(field, column)| Ok((field.name().clone(), json::value(column, row, zone)?)));
            records.push(Record(values.collect::<Result<_, Problem>>()?));
        }
    }
    Ok(records)
}

impl Record {
    /// A count; 0 if it is none.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn value(&self, name: &str) -> Value {
        self.0.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}
