//! `GET /api/v1/sessions`: sessions, the newest first.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use utoipa::IntoParams;

use super::caching::RequestDigest;
use super::caller::Caller;
use super::pages::{limit, localised, next, page};
use super::range::Range;
use super::rows::records;
use super::{Gateway, QueryString, json_reply, query_string, with_tag};
use crate::flight::Token;
use crate::problem::{self, Problem};
use crate::report::Condition;
use crate::statement::{Statement, Value};
use crate::vocabulary::Base;

const SESSION: &str = "session_id, client_id, user_id, session_start, session_end, session_duration, event_count, \
     pageview_count, purchase_count, entry_page, exit_page, referrer, source, channel, utm_source, utm_medium, \
     utm_campaign, country, device, browser, os, is_bot, revenue, converted, bounced, engaged";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsQuery {
    pub(super) tracking_id: String,
    start_date: Option<String>,
    end_date: Option<String>,
    date_range: Option<String>,
    time_zone: Option<String>,
    /// In JSON, as reports have them.
    filters: Option<String>,
    /// Names of segments, separated by commas: sessions of visitors that are in all of them.
    segments: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Sessions, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    params(SessionsQuery),
    responses(
        (status = 200, description = "A page of sessions", body = super::schemas::SessionsReply),
        (status = 304, description = "The reply with the tag in `If-None-Match` is still the newest"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn sessions(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    query: QueryString<SessionsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query_string(query)?;
    let limit = limit(query.limit)?;
    let (mut statement, range) = sessions_statement(&gateway, &token, &query).await?;
    let keys = ("session_start", "session_id");
    page(&mut statement, keys, query.cursor.as_deref(), limit)?;
    let digest = RequestDigest::new(&gateway, &statement, &[range.zone.name()]);
    if let Some(unchanged) = gateway.unchanged(&token, &headers, digest).await? {
        return Ok(unchanged);
    }
    let answer = gateway.flight.answer(&token, &statement).await?;
    let rows = records(&answer.batches, chrono_tz::UTC)?;
    let next = next(&rows, keys, limit);
    let rows = rows
        .into_iter()
        .take(limit)
        .map(|row| localised(row, &["session_start", "session_end"], range.zone));
    let body = json!({
        "tracking_id": query.tracking_id,
        "date_range": range.period.to_json(),
        "time_zone": range.zone.name(),
        "sessions": rows.collect::<Vec<_>>(),
        "next_cursor": next,
        "sql": statement.literal(),
    });
    let response = json_reply(serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?);
    Ok(match answer.provenance.origin.snapshot {
        Some(snapshot) => with_tag(response, digest.tag(snapshot)),
        None => response,
    })
}

/// All sessions of the range, in no order.
pub(super) async fn sessions_statement(
    gateway: &Gateway,
    token: &Token,
    query: &SessionsQuery,
) -> Result<(Statement, Range), Problem> {
    let site = gateway.site(token, &query.tracking_id).await?;
    let given = (query.start_date.as_deref(), query.end_date.as_deref());
    let range = gateway.range(site, given, query.date_range.as_deref(), query.time_zone.as_deref())?;
    let mut statement = Statement::new(format!("SELECT {SESSION}\nFROM sessions\nWHERE tracking_id = "));
    statement.bind(Value::Text(query.tracking_id.clone()));
    statement
        .sql(" AND session_start >= ")
        .bind(Value::Time(range.period.from));
    statement
        .sql(" AND session_start < ")
        .bind(Value::Time(range.period.to));
    let filters = filters(query.filters.as_deref())?;
    let scope = (query.tracking_id.as_str(), range.zone);
    let condition = gateway.condition(token, scope, filters, query.segments.as_deref());
    if let Some(condition) = condition.await? {
        statement
            .sql(" AND ")
            .append(condition.sql(Base::Sessions, range.zone.name()));
    }
    Ok((statement, range))
}

fn filters(given: Option<&str>) -> Result<Option<Condition>, Problem> {
    let Some(text) = given else {
        return Ok(None);
    };
    let parsed: Json = serde_json::from_str(text)
        .map_err(|error| Problem::invalid("filters", format!("the filters are not JSON: {error}")))?;
    let condition = Condition::parse(&parsed)?;
    for (column, field) in condition.iter().flat_map(Condition::columns) {
        if !column.has(Base::Sessions) {
            return Err(Problem::invalid(field, format!("sessions have no `{}`", column.name())));
        }
    }
    Ok(condition)
}
