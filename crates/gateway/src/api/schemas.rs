//! Replies that are put together by hand, as the OpenAPI document describes them. The contract tests hold them against
//! what the server sends.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use utoipa::ToSchema;

/// A page of sessions.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct SessionsReply {
    tracking_id: String,
    #[schema(value_type = Bounds)]
    date_range: Json,
    time_zone: String,
    /// The newest first, with the columns of the table `sessions`.
    #[schema(value_type = Vec<Session>)]
    sessions: Vec<Json>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
    sql: String,
}

/// Two dates, both included, or two times, of which the second is not.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct Bounds {
    start: String,
    end: String,
}

/// A session; the session's dimensions are those of its first event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct Session {
    session_id: String,
    client_id: String,
    user_id: Option<String>,
    session_start: String,
    session_end: String,
    /// Seconds.
    session_duration: i64,
    event_count: i64,
    pageview_count: i64,
    purchase_count: i64,
    entry_page: Option<String>,
    exit_page: Option<String>,
    source: Option<String>,
    channel: Option<String>,
    country: Option<String>,
    device: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    is_bot: bool,
    revenue: Option<f64>,
    converted: bool,
    bounced: bool,
    engaged: bool,
}

/// A visitor, and a page of the timeline.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct VisitorReply {
    tracking_id: String,
    client_id: String,
    user_id: Option<String>,
    events: u64,
    pageviews: u64,
    purchases: u64,
    sessions: u64,
    revenue: f64,
    first_seen: String,
    last_seen: String,
    time_zone: String,
    /// The newest first, with columns of the table `events`.
    #[schema(value_type = Vec<Object>)]
    timeline: Vec<Json>,
    next_cursor: Option<String>,
    sql: String,
}

/// Cohorts, the oldest first.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct RetentionReply {
    tracking_id: String,
    #[schema(value_type = Bounds)]
    date_range: Json,
    time_zone: String,
    /// `day`, `week` or `month`.
    cohort: String,
    unbounded: bool,
    cohorts: Vec<CohortReply>,
    sql: String,
}

/// Visitors who came for the first time in one period.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct CohortReply {
    /// The first day of the period.
    cohort_date: String,
    users: u64,
    /// `days_after` (or weeks, or months), `users` and `retention_rate`, both null if it is not over yet.
    #[schema(value_type = Vec<BTreeMap<String, Option<f64>>>)]
    retention: Vec<BTreeMap<String, Option<f64>>>,
}

/// Rows of SQL.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct RowsReply {
    columns: Vec<ColumnReply>,
    #[schema(value_type = Vec<Object>)]
    rows: Vec<Json>,
}

/// A column, with its type in Arrow.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct ColumnReply {
    name: String,
    #[schema(rename = "type")]
    r#type: String,
}

/// What reports can be asked for.
/// An operator or a range.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct MetaWord {
    name: String,
    title: String,
    /// What it takes.
    r#type: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only described")]
pub(super) struct MetaReply {
    #[schema(value_type = Vec<Object>)]
    metrics: Vec<Json>,
    #[schema(value_type = Vec<Object>)]
    dimensions: Vec<Json>,
    #[schema(value_type = Object)]
    properties: Json,
    operators: Vec<MetaWord>,
    date_ranges: Vec<MetaWord>,
    comparisons: Vec<MetaWord>,
    limits: BTreeMap<String, u64>,
}
