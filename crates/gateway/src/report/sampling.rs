//! Reports from a sample of the visitors: whether to, and the SQL. Each metric is estimated with the bounds that hold it in
//! 95 of 100 samples.
//!
//! ```text
//! SELECT d0 AS "country", estimate of pageviews …
//! FROM (SELECT country AS d0, client_hash, count(*) … FROM events TABLESAMPLE SYSTEM (10) WHERE … GROUP BY 1, 2) AS visitors
//! GROUP BY d0
//! ```
//!
//! A row is a visitor, which is the sampling unit. `sample_estimate` estimates totals, `sample_ratio` ratios of two totals:
//! the formulas are theirs.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::dates::Period;
use super::plan::Report;
use super::request::Direction;
use crate::problem::Problem;
use crate::statement::{Statement, Value};
use crate::vocabulary::{Metric, MetricType};

/// The specification's tenth.
const DEFAULT_RATE: f64 = 0.1;
const MIN_RATE: f64 = 0.0001;

/// A report over more days, or over more events, is sampled if nothing aggregated answers it.
const MAX_EXACT_DAYS: i64 = 90;
const MAX_EXACT_EVENTS: u64 = 1_000_000_000;

/// The columns of one metric: its estimate, its bounds, and the visitors that it was made from.
pub(crate) const ESTIMATE: [&str; 4] = ["value", "lower", "upper", "sample_size"];

/// Whether a report reads all visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sampling {
    #[default]
    Exact,
    Sampled,
    /// Sampled where it would take long.
    Auto,
}

/// The share of visitors, above 0 and below 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SampleRate(f64);

impl SampleRate {
    pub(crate) fn of(given: Option<f64>) -> Result<Self, Problem> {
        let rate = given.unwrap_or(DEFAULT_RATE);
        let invalid = || Problem::invalid("sample_rate", format!("the share of visitors is {MIN_RATE} to 0.99"));
        let known = Some(rate).filter(|rate| (MIN_RATE..=0.99).contains(rate));
        known.map(Self).ok_or_else(invalid)
    }

    /// As SQL has it.
    fn percent(self) -> String {
        // Six digits, so that 0.07 is 7 and not 7.000000000000001.
        let text = format!("{:.6}", self.0 * 100.0);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    pub(crate) fn to_json(self) -> Json {
        json!(self.0)
    }
}

/// What is known of a report before it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Facts {
    pub(crate) days: i64,
    /// Whether rollups answer all of it.
    pub(crate) routed: bool,
    /// Events of the range.
    pub(crate) events: u64,
}

/// Why a report is sampled; `None` if it is not.
pub(crate) fn decide(facts: Facts) -> Option<&'static str> {
    match facts {
        Facts { routed: true, .. } => None,
        Facts { days, .. } if days > MAX_EXACT_DAYS => {
            Some("sampled: the range has more than 90 days and no rollup answers the report")
        }
        Facts { events, .. } if events > MAX_EXACT_EVENTS => {
            Some("sampled: the range has more than a billion events and no rollup answers the report")
        }
        _ => None,
    }
}

impl Report {
    /// Days of the range, begun ones included.
    pub(crate) fn days(&self) -> i64 {
        let length = self.period.to - self.period.from;
        length.num_days() + i64::from(length > chrono::Duration::days(length.num_days()))
    }

    /// A table of `part`, as far as it is read.
    pub(super) fn table(&self, name: &str) -> String {
        match self.sample {
            Some(rate) => format!("{name} TABLESAMPLE SYSTEM ({})", rate.percent()),
            None => name.to_owned(),
        }
    }

    /// The estimates of rows, from one row for each visitor and combination of the dimensions, which are `named`.
    pub(super) fn estimates(
        &self,
        rate: SampleRate,
        named: Vec<String>,
        total: Option<String>,
        visitors: Statement,
    ) -> Statement {
        let dimensions = named.len();
        let mut columns = named;
        for metric in &self.metrics {
            let estimate = estimate(metric).into_iter().zip(estimate_names(metric));
            columns.extend(estimate.map(|(sql, name)| format!("{sql} AS \"{name}\"")));
        }
        columns.extend(total);
        let mut inner: Vec<String> = (0..dimensions).map(|index| format!("d{index}")).collect();
        let keys = inner.join(", ");
        inner.extend(self.metrics.iter().map(|metric| sampled(metric, rate)));
        let mut statement = Statement::new(format!(
            "SELECT {}\nFROM (SELECT {}\nFROM (",
            columns.join(", "),
            inner.join(", ")
        ));
        statement.append(visitors).sql(") AS visitors");
        if dimensions > 0 {
            statement.sql(format!("\nGROUP BY {keys}"));
        }
        statement.sql(") AS report");
        statement
    }

    /// The positions of what rows are ordered by, among the columns of estimates.
    pub(super) fn estimates_order(&self) -> Vec<(usize, Direction)> {
        let width = self.dimensions.len();
        let order = self
            .order
            .iter()
            .map(|(index, direction)| match index.checked_sub(width) {
                Some(metric) => (width + metric * ESTIMATE.len(), *direction),
                None => (*index, *direction),
            });
        order.collect()
    }

    /// The values of the metrics, from those of their columns: where it is sampled, each an object.
    pub(crate) fn metric_values(&self, columns: Vec<Json>) -> Vec<Json> {
        if self.sample.is_none() {
            return columns;
        }
        let estimate = |values: &[Json]| {
            let named = ESTIMATE
                .iter()
                .map(|name| (*name).to_owned())
                .zip(values.iter().cloned());
            Json::Object(named.collect())
        };
        columns.chunks(ESTIMATE.len()).map(estimate).collect()
    }

    /// How many events there are to read.
    pub(crate) fn count_sql(&self, period: Period) -> Statement {
        let mut statement = Statement::new("SELECT count(*) AS events FROM events WHERE tracking_id = ");
        statement.bind(Value::Text(self.tracking_id.clone()));
        statement.sql(" AND event_timestamp >= ").bind(Value::Time(period.from));
        statement.sql(" AND event_timestamp < ").bind(Value::Time(period.to));
        statement
    }
}

/// The columns of a metric: the first has its name.
pub(super) fn estimate_names(metric: &Metric) -> [String; 4] {
    ESTIMATE.map(|part| match part {
        "value" => metric.name.to_owned(),
        part => format!("{}_{part}", metric.name),
    })
}

/// A metric's estimate, over visitors.
fn sampled(metric: &Metric, rate: SampleRate) -> String {
    let (name, percent) = (metric.name, rate.percent());
    match metric.measures {
        [part, whole, ..] => {
            format!("sample_ratio(CAST({part} AS DOUBLE), CAST({whole} AS DOUBLE), {percent}) AS \"{name}\"")
        }
        totals => format!(
            "sample_estimate(CAST({} AS DOUBLE), {percent}) AS \"{name}\"",
            totals.join(" + ")
        ),
    }
}

/// The value, its bounds and the size of the sample.
fn estimate(metric: &Metric) -> [String; 4] {
    let part = |part: &str| format!("\"{}\"['{part}']", metric.name);
    let whole = |function: &str, value: String| match metric.value_type {
        MetricType::Integer => format!("CAST({function}({value}) AS BIGINT)"),
        MetricType::Number => value,
    };
    // Money may be paid back; all else is at least 0.
    let lower = match (metric.format, metric.value_type) {
        ("currency", _) | (_, MetricType::Integer) => part("lower"),
        _ => format!("CASE WHEN {0} < 0 THEN 0.0 ELSE {0} END", part("lower")),
    };
    [
        whole("round", part("value")),
        whole("floor", lower),
        whole("ceil", part("upper")),
        part("sample_size"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_large_reports_are_sampled_unless_rollups_answer_them() {
        let facts = |days, routed, events| Facts { days, routed, events };
        assert_eq!(decide(facts(365, true, u64::MAX)), None);
        assert_eq!(decide(facts(90, false, 1_000_000_000)), None);
        assert!(decide(facts(91, false, 0)).unwrap().contains("90 days"));
        assert!(decide(facts(1, false, 1_000_000_001)).unwrap().contains("a billion"));
    }

    #[test]
    fn rates_are_shares() {
        assert_eq!(SampleRate::of(None).unwrap().percent(), "10");
        assert_eq!(SampleRate::of(Some(0.07)).unwrap().percent(), "7");
        assert_eq!(SampleRate::of(Some(0.0005)).unwrap().percent(), "0.05");
        for rate in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(SampleRate::of(Some(rate)).is_err(), "{rate}");
        }
    }
}
