//! The body of `POST /api/v1/query`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A report, as it is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportRequest {
    /// The site.
    pub(crate) tracking_id: String,
    /// `{"start": DATE, "end": DATE}`, both included, or a word such as `last_30_days`.
    pub(crate) date_range: Value,
    pub(crate) metrics: Vec<String>,
    #[serde(default)]
    pub(crate) dimensions: Vec<String>,
    #[serde(default)]
    pub(crate) filters: Option<Value>,
    #[serde(default)]
    pub(crate) order_by: Vec<OrderBy>,
    #[serde(default)]
    pub(crate) limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    /// IANA name; the site's own by default.
    #[serde(default)]
    pub(crate) time_zone: Option<String>,
    /// `previous_period`, `same_weekdays`, `previous_year`, or a range.
    #[serde(default)]
    pub(crate) compare: Option<Value>,
    /// Whether the metrics over all rows are wanted.
    #[serde(default = "yes")]
    pub(crate) totals: bool,
    /// Whether empty periods are wanted, where time is the only dimension.
    #[serde(default = "yes")]
    pub(crate) fill: bool,
    /// Only the SQL: nothing is run.
    #[serde(default)]
    pub(crate) explain: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderBy {
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    #[default]
    Asc,
    Desc,
}
