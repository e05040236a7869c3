//! Rows of Arrow become the reply in JSON.

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::dates::Period;
use super::plan::Report;
use super::sql::TOTALS;
use crate::flight::Answer;
use crate::json;
use crate::problem::Problem;
use crate::provenance::Origin;

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

impl Run {
    /// How many bytes it is at the start of a reply.
    fn written(&self) -> usize {
        let alone = json!({"query_id": self.query_id, "execution_time_ms": self.execution_time_ms});
        // All but the closing brace.
        alone.to_string().len() - 1
    }
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
pub(crate) fn reply(report: &Report, answer: &Answer, run: &Run) -> Result<ReplyBody, Problem> {
    let names = report.column_names();
    let provenance = &answer.provenance;
    let found = Found::read(report, &answer.batches, &names)?;
    let returned = found.rows.len();
    // Beyond the last page there is no row that could say how many there are.
    let total_rows = found.counted.or((report.offset == 0).then_some(returned));
    let next = report.offset + returned;
    let more = total_rows.is_some_and(|total| next < total) && returned > 0;
    let body = ReportReply {
        query_id: &run.query_id,
        execution_time_ms: run.execution_time_ms,
        compare: report.compared.map(|period| found.compared(period)),
        rows: found.rows,
        total_rows,
        is_sampled: provenance.is_sampled,
        sample_rate: provenance.sample_rate,
        provenance: &provenance.origin,
        totals: found.totals,
        next_cursor: more.then(|| report.cursor(next)),
        warnings: &report.warnings,
        query: report.normalised(),
        sql: report.rows_sql().literal(),
    };
    let json = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?;
    Ok(ReplyBody {
        json,
        run: run.written(),
    })
}

/// The reply in JSON.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    pub(crate) json: Vec<u8>,
    /// Bytes of the run, which come first.
    run: usize,
}

impl ReplyBody {
    /// What is the same when the same is asked again.
    pub(crate) fn without_run(&self) -> &[u8] {
        self.json.get(self.run..).unwrap_or_default()
    }
}

/// What the rows of the statement say.
struct Found<'a> {
    rows: Vec<Row<'a>>,
    /// How many rows there are without the limit.
    counted: Option<usize>,
    totals: Option<Value>,
    compared_totals: Option<Value>,
}

impl<'a> Found<'a> {
    fn read(report: &Report, batches: &[RecordBatch], names: &'a [String]) -> Result<Self, Problem> {
        let mut found = Self {
            rows: Vec::new(),
            counted: None,
            totals: None,
            compared_totals: None,
        };
        for batch in batches {
            for index in 0..batch.num_rows() {
                found.add(report, values(batch, index, report.zone)?, names);
            }
        }
        if report.totals && found.totals.is_none() {
            return Err(Problem::internal(&"an answer without its totals"));
        }
        if report.dimensions.is_empty() {
            // The one row is the totals.
            found.compared_totals = found.rows.first().and_then(|row| row.compared.clone());
        }
        Ok(found)
    }

    /// The columns: the part, the dimensions, the metrics, those of the other range, the count.
    fn add(&mut self, report: &Report, values: Vec<Value>, names: &'a [String]) {
        let mut values = values.into_iter();
        let part = report.totals.then(|| values.next()).flatten();
        let width = report.metric_columns().len();
        let mut row: Vec<Value> = values.by_ref().take(report.dimensions.len()).collect();
        row.extend(report.metric_values(values.by_ref().take(width).collect()));
        let compared = report.compared.map(|_| {
            let metrics: Vec<Value> = values.by_ref().take(width).collect();
            match metrics.iter().all(Value::is_null) {
                true => Value::Null,
                false => named(report, report.metric_values(metrics)),
            }
        });
        if part == Some(json!(TOTALS)) {
            self.totals = Some(named(report, row.split_off(report.dimensions.len())));
            self.compared_totals = compared;
            return;
        }
        let counted = values.next();
        self.counted = counted
            .and_then(|count| usize::try_from(count.as_u64()?).ok())
            .or(self.counted);
        self.rows.push(Row {
            names,
            values: row,
            compared,
        });
    }

    /// The other range, and its totals.
    fn compared(&self, period: Period) -> Value {
        let mut body = Map::new();
        body.insert("date_range".into(), period.to_json());
        if let Some(totals) = &self.compared_totals {
            body.insert("totals".into(), totals.clone());
        }
        body.into()
    }
}

fn values(batch: &RecordBatch, row: usize, zone: Tz) -> Result<Vec<Value>, Problem> {
    let columns = batch.columns().iter();
    columns.map(|column| json::value(column, row, zone)).collect()
}

fn named(report: &Report, metrics: Vec<Value>) -> Value {
    let names = report.metrics.iter().map(|metric| metric.name.to_owned());
    Value::Object(names.zip(metrics).collect())
}
