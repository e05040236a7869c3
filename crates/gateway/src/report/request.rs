//! The body of `POST /api/v1/query`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::filter::Condition;
use super::sampling::Sampling;
use crate::problem::Problem;

/// A report, as it is asked for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportRequest {
    /// The site.
    pub(crate) tracking_id: String,
    /// `{"start": DATE, "end": DATE}`, both included, or a word such as `last_30_days`.
    #[schema(schema_with = word_or_bounds)]
    pub(crate) date_range: Value,
    /// Names of metrics; `/api/v1/meta` has all.
    pub(crate) metrics: Vec<String>,
    /// Names of dimensions, or `custom_properties.KEY`.
    #[serde(default)]
    pub(crate) dimensions: Vec<String>,
    /// `{"country": "US", "page_path": {"starts_with": "/blog"}, "or": [{…}, {…}]}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) filters: Option<Value>,
    /// Names of segments: the visitors that are in all of them.
    #[serde(default)]
    pub(crate) segments: Vec<String>,
    /// By default: by time, else by the first metric, largest first.
    #[serde(default)]
    pub(crate) order_by: Vec<OrderBy>,
    /// 1 to 10,000; 100 by default.
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
    #[schema(schema_with = word_or_bounds)]
    pub(crate) compare: Option<Value>,
    /// Whether the metrics over all rows are wanted.
    #[serde(default = "yes")]
    pub(crate) totals: bool,
    /// Whether empty periods are wanted, where time is the only dimension.
    #[serde(default = "yes")]
    pub(crate) fill: bool,
    /// `auto`: a sample of the visitors where it would take long. Default: `exact`.
    #[serde(default)]
    #[schema(inline)]
    pub(crate) sampling: Sampling,
    /// The share of visitors of a sample; 0.1 by default.
    #[serde(default)]
    pub(crate) sample_rate: Option<f64>,
    /// Only the SQL: nothing is run.
    #[serde(default)]
    pub(crate) explain: bool,
}

fn word_or_bounds() -> Object {
    let bound = || ObjectBuilder::new().schema_type(Type::String);
    let word_or_bounds = SchemaType::from_iter([Type::String, Type::Object]);
    let bounds = ObjectBuilder::new().schema_type(word_or_bounds);
    bounds.property("start", bound()).property("end", bound()).build()
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderBy {
    /// A metric or a dimension of the report.
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    #[default]
    Asc,
    Desc,
}

impl ReportRequest {
    /// Filters and segments.
    pub(crate) fn condition(&self) -> Result<Option<Condition>, Problem> {
        let filters = self.filters.as_ref().map(Condition::parse).transpose()?.flatten();
        Condition::and_segments(filters, &self.segments)
    }
}
