//! `GET /api/v1/sessions`: sessions, the newest first. `GET /api/v1/visitors/{id}`: one visitor, and the events.
//!
//! A page ends with the key of its last row, and the next one begins behind it: what arrives meanwhile moves nothing.

use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use utoipa::IntoParams;

use super::caching::RequestDigest;
use super::caller::Caller;
use super::range::Range;
use super::rows::{Record, records};
use super::{Gateway, PathParam, QueryString, json_reply, query_string, with_tag};
use crate::flight::Token;
use crate::problem::{self, Problem, printable};
use crate::report::{Condition, dates};
use crate::statement::{Statement, Value};
use crate::vocabulary::Base;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

const SESSION: &str = "session_id, client_id, user_id, session_start, session_end, session_duration, event_count, \
     pageview_count, purchase_count, entry_page, exit_page, referrer, source, channel, utm_source, utm_medium, \
     utm_campaign, country, device, browser, os, is_bot, revenue, converted, bounced, engaged";

const EVENT: &str = "event_id, event_timestamp, event_type, page_url, page_path, page_title, referrer, source, channel, \
     country, city, device, browser, os, revenue, custom_properties";

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
    let response = reply(&json!({
        "tracking_id": query.tracking_id,
        "date_range": range.period.to_json(),
        "time_zone": range.zone.name(),
        "sessions": rows.collect::<Vec<_>>(),
        "next_cursor": next,
        "sql": statement.literal(),
    }))?;
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

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct VisitorQuery {
    tracking_id: String,
    time_zone: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A visitor and the events, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/visitors/{id}",
    params(("id" = String, Path, description = "The client id"), VisitorQuery),
    responses(
        (status = 200, description = "Totals, and a page of the timeline", body = super::schemas::VisitorReply),
        (status = 304, description = "The reply with the tag in `If-None-Match` is still the newest"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn visitor(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    id: PathParam,
    query: QueryString<VisitorQuery>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|error| Problem::unreadable(error.status()))?;
    let query = query_string(query)?;
    let limit = limit(query.limit)?;
    let site = gateway.site(&token, &query.tracking_id).await?;
    let zone = match &query.time_zone {
        Some(name) => dates::zone(name, "time_zone")?,
        None => site.zone,
    };
    let of = |columns: &str, table: &str| {
        let mut statement = Statement::new(format!("SELECT {columns}\nFROM {table}\nWHERE tracking_id = "));
        statement.bind(Value::Text(query.tracking_id.clone()));
        statement.sql(" AND client_id = ").bind(Value::Text(id.clone()));
        statement
    };
    let profile = of(
        "count(*) AS events, count(*) FILTER (WHERE event_type = 'pageview') AS pageviews, \
         count(*) FILTER (WHERE event_type = 'purchase') AS purchases, coalesce(sum(revenue), 0) AS revenue, \
         min(event_timestamp) AS first_seen, max(event_timestamp) AS last_seen, max(user_id) AS user_id",
        "events",
    );
    let sessions = of("count(*) AS sessions", "sessions");
    let mut events = of(EVENT, "events");
    let keys = ("event_timestamp", "event_id");
    page(&mut events, keys, query.cursor.as_deref(), limit)?;
    let (profile, sessions, events) = futures::future::try_join3(
        gateway.flight.collect(&token, &profile),
        gateway.flight.collect(&token, &sessions),
        gateway.flight.collect(&token, &events),
    )
    .await?;
    let profile = records(&profile, zone)?.into_iter().next();
    let Some(profile) = profile.filter(|profile| profile.number("events") > 0) else {
        return Err(Problem::not_found(format!(
            "the site has no visitor `{}`",
            printable(&id)
        )));
    };
    let sessions = records(&sessions, zone)?.first().map(|row| row.value("sessions"));
    let rows = records(&events, chrono_tz::UTC)?;
    let next = next(&rows, keys, limit);
    let rows = rows
        .into_iter()
        .take(limit)
        .map(|row| localised(row, &["event_timestamp"], zone));
    let mut body = profile.into_json();
    body["tracking_id"] = json!(query.tracking_id);
    body["client_id"] = json!(id);
    body["sessions"] = json!(sessions);
    body["time_zone"] = json!(zone.name());
    body["timeline"] = rows.map(with_properties).collect();
    body["next_cursor"] = json!(next);
    reply(&body)
}

fn reply(body: &Json) -> Result<Response, Problem> {
    Ok(json_reply(
        serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?,
    ))
}

/// Custom properties as an object, not as text.
fn with_properties(mut event: Json) -> Json {
    if let Some(properties) = event["custom_properties"].as_str()
        && let Ok(parsed) = serde_json::from_str(properties)
    {
        event["custom_properties"] = parsed;
    }
    event
}

/// Keys are read in UTC, and shown in the zone.
fn localised(row: Record, names: &[&str], zone: chrono_tz::Tz) -> Json {
    let mut row = row.into_json();
    for name in names {
        if let Some(time) = row[*name].as_str().and_then(dates::time) {
            row[*name] = json!(dates::local(time, zone));
        }
    }
    row
}

fn limit(given: Option<usize>) -> Result<usize, Problem> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    let invalid = || Problem::invalid("limit", format!("the limit is 1 to {MAX_LIMIT}"));
    Some(limit)
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(invalid)
}

/// The newest first, behind the cursor, and one more than the limit: whether there is a next page.
fn page(
    statement: &mut Statement,
    (time, id): (&str, &str),
    cursor: Option<&str>,
    limit: usize,
) -> Result<(), Problem> {
    if let Some(cursor) = cursor {
        let (at, last) = decode(cursor)
            .ok_or_else(|| Problem::invalid("cursor", "the cursor is not one that a reply had as `next_cursor`"))?;
        statement.sql(format!(" AND {time} <= ")).bind(Value::Time(at));
        statement.sql(format!(" AND ({time} < ")).bind(Value::Time(at));
        statement.sql(format!(" OR {id} < ")).bind(Value::Text(last)).sql(")");
    }
    statement.sql(format!("\nORDER BY {time} DESC, {id} DESC LIMIT {}", limit + 1));
    Ok(())
}

fn next(rows: &[Record], (time, id): (&str, &str), limit: usize) -> Option<String> {
    if rows.len() <= limit {
        return None;
    }
    let last = rows.get(limit - 1)?;
    let at = last.text(time).and_then(dates::time)?;
    Some(URL_SAFE_NO_PAD.encode(format!("{}.{}", at.timestamp_micros(), last.text(id)?)))
}

fn decode(cursor: &str) -> Option<(DateTime<Utc>, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (at, id) = text.split_once('.')?;
    let at = DateTime::from_timestamp_micros(at.parse().ok()?)?;
    // Only times that were shown as such come back.
    dates::time(&at.to_rfc3339()).map(|at| (at, id.to_owned()))
}
