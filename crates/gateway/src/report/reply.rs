//! Rows of Arrow become the reply in JSON.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::dates::Period;
use super::plan::Report;
use crate::flight::Answer;
use crate::json;
use crate::problem::Problem;
use crate::provenance::Origin;

/// What the statements of a report gave.
pub(crate) struct Answers {
    pub(crate) rows: Answer,
    pub(crate) totals: Option<Answer>,
    pub(crate) compared: Option<Answer>,
    pub(crate) compared_totals: Option<Answer>,
}

/// A row whose fields keep their order.
pub(crate) struct Row<'a> {
    names: &'a [String],
    values: Vec<Value>,
    compared: Option<Value>,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.names.iter().zip(&self.values) {
            map.serialize_entry(name, value)?;
        }
        if let Some(compared) = &self.compared {
            map.serialize_entry("compare", compared)?;
        }
        map.end()
    }
}

/// What the reply says of the run itself.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) query_id: String,
    pub(crate) execution_time_ms: u64,
}

/// The reply to a report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportReply<'a> {
    query_id: &'a str,
    execution_time_ms: u64,
    /// A field for each dimension and metric; with `compare`, that of the other range, too.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Row<'a>>,
    /// Without the limit; null beyond the last page.
    total_rows: Option<usize>,
    /// Whether the rows are of a sample of the visitors.
    is_sampled: bool,
    /// The share of visitors that were read: 1 for all.
    sample_rate: f64,
    /// What the rows were computed from.
    provenance: &'a Origin,
    /// Each metric over all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Value>,
    /// The other range, and its totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    compare: Option<Value>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
    warnings: &'a [String],
    /// The request, with all that was implied.
    query: Value,
    /// What gives the rows, as it can be pasted anywhere.
    sql: String,
}

/// The body of the reply.
pub(crate) fn reply(report: &Report, answers: &Answers, run: &Run) -> Result<Vec<u8>, Problem> {
    let names = report.column_names();
    let provenance = &answers.rows.provenance;
    let (mut rows, counted) = rows(report, &answers.rows.batches, &names)?;
    if report.dimensions.is_empty() {
        // The one row is the totals.
        compare(report, &mut rows, answers.compared_totals.as_ref())?;
    } else {
        compare(report, &mut rows, answers.compared.as_ref())?;
    }
    // Beyond the last page there is no row that could say how many there are.
    let total_rows = counted.or((report.offset == 0).then_some(rows.len()));
    let next = report.offset + rows.len();
    let more = total_rows.is_some_and(|total| next < total) && !rows.is_empty();
    let totals = match &answers.totals {
        Some(answer) => Some(metrics_of(report, &answer.batches)?),
        None => None,
    };
    let body = ReportReply {
        query_id: &run.query_id,
        execution_time_ms: run.execution_time_ms,
        rows,
        total_rows,
        is_sampled: provenance.is_sampled,
        sample_rate: provenance.sample_rate,
        provenance: &provenance.origin,
        totals,
        compare: report
            .compared
            .map(|period| compared(report, period, answers))
            .transpose()?,
        next_cursor: more.then(|| report.cursor(next)),
        warnings: &report.warnings,
        query: report.normalised(),
        sql: report.rows_sql().literal(),
    };
    serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))
}

fn compared(report: &Report, period: Period, answers: &Answers) -> Result<Value, Problem> {
    let mut body = Map::new();
    body.insert("date_range".into(), period.to_json());
    if let Some(answer) = &answers.compared_totals {
        body.insert("totals".into(), metrics_of(report, &answer.batches)?);
    }
    Ok(body.into())
}

/// The rows, and how many there are without the limit.
fn rows<'a>(
    report: &Report,
    batches: &[RecordBatch],
    names: &'a [String],
) -> Result<(Vec<Row<'a>>, Option<usize>), Problem> {
    let mut rows = Vec::new();
    let mut total = None;
    for batch in batches {
        for index in 0..batch.num_rows() {
            let mut values = report.gathered(report.dimensions.len(), values(batch, index, report.zone)?);
            if values.len() > names.len() {
                total = values.pop().and_then(|value| usize::try_from(value.as_u64()?).ok());
            }
            rows.push(Row {
                names,
                values,
                compared: None,
            });
        }
    }
    Ok((rows, total))
}

fn values(batch: &RecordBatch, row: usize, zone: Tz) -> Result<Vec<Value>, Problem> {
    let columns = batch.columns().iter();
    columns.map(|column| json::value(column, row, zone)).collect()
}

/// The metrics of the only row.
fn metrics_of(report: &Report, batches: &[RecordBatch]) -> Result<Value, Problem> {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0);
    let batch = batch.ok_or_else(|| Problem::internal(&"totals without a row"))?;
    Ok(named(report, &report.gathered(0, values(batch, 0, report.zone)?)))
}

fn named(report: &Report, metrics: &[Value]) -> Value {
    let names = report.metrics.iter().map(|metric| metric.name.to_owned());
    Value::Object(names.zip(metrics.iter().cloned()).collect())
}

/// Gives each row the numbers of the compared range. A period is compared with the one of the same number.
fn compare(report: &Report, rows: &mut [Row<'_>], answer: Option<&Answer>) -> Result<(), Problem> {
    let (Some(answer), Some(period)) = (answer, report.compared) else {
        return Ok(());
    };
    let time = report.dimensions.iter().position(|column| column.unit().is_some());
    let numbered = |period: Period| -> HashMap<String, usize> {
        let buckets = report.buckets(period).unwrap_or_default().into_iter();
        buckets
            .enumerate()
            .map(|(number, bucket)| (bucket.to_json(report.zone).to_string(), number))
            .collect()
    };
    let key = |values: &[Value], numbers: &HashMap<String, usize>| -> String {
        let dimensions = values.iter().take(report.dimensions.len()).enumerate();
        let parts = dimensions.map(|(index, value)| match Some(index) == time {
            true => json!(numbers.get(&value.to_string())),
            false => value.clone(),
        });
        Value::Array(parts.collect()).to_string()
    };
    let numbers = numbered(period);
    let mut known = HashMap::new();
    let width = report.dimensions.len();
    for batch in &answer.batches {
        for index in 0..batch.num_rows() {
            let values = report.gathered(width, values(batch, index, report.zone)?);
            let metrics = values[width..]
                .iter()
                .take(report.metrics.len())
                .cloned()
                .collect::<Vec<_>>();
            known.insert(key(&values, &numbers), named(report, &metrics));
        }
    }
    let numbers = numbered(report.period);
    for row in rows {
        row.compared = Some(known.remove(&key(&row.values, &numbers)).unwrap_or(Value::Null));
    }
    Ok(())
}
