//! `GET /api/v1/visitors/{id}`: one visitor, and the events. All of it is one statement over one snapshot.

use axum::extract::State;
use axum::response::Response;
use chrono_tz::Tz;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use utoipa::IntoParams;

use super::caching::RequestDigest;
use super::caller::Caller;
use super::pages::{limit, localised, next, page};
use super::rows::{Record, records};
use super::{Gateway, PathParam, QueryString, json_reply, path_text, query_string, with_tag};
use crate::problem::{self, Problem, printable};
use crate::report::dates;
use crate::statement::{Statement, Value};

const EVENT: &str = "event_id, event_timestamp, event_type, page_url, page_path, page_title, referrer, source, channel, \
     country, city, device, browser, os, revenue, custom_properties";

/// The visitor's totals: their columns in [`statement`], which the rows of the timeline repeat, and their SQL.
const TOTALS: [(&str, &str); 7] = [
    ("events", "count(*)"),
    ("pageviews", "count(*) FILTER (WHERE event_type = 'pageview')"),
    ("purchases", "count(*) FILTER (WHERE event_type = 'purchase')"),
    ("revenue", "coalesce(sum(revenue), 0)"),
    ("first_seen", "min(event_timestamp)"),
    ("last_seen", "max(event_timestamp)"),
    ("user_id", "max(user_id)"),
];

/// Before the names of totals: events have columns of the same names.
const OF_VISITOR: &str = "visitor_";

/// The order of the timeline.
const KEYS: (&str, &str) = ("event_timestamp", "event_id");

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
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = path_text(id)?;
    let query = query_string(query)?;
    let limit = limit(query.limit)?;
    let site = gateway.site(&token, &query.tracking_id).await?;
    let zone = match &query.time_zone {
        Some(name) => dates::zone(name, "time_zone")?,
        None => site.zone,
    };
    let statement = statement(&id, &query, limit)?;
    let digest = RequestDigest::new(&gateway, &statement, &[zone.name()]);
    if let Some(unchanged) = gateway.unchanged(&token, &headers, digest).await? {
        return Ok(unchanged);
    }
    let answer = gateway.flight.answer(&token, &statement).await?;
    let rows = records(&answer.batches, chrono_tz::UTC)?;
    let Some(first) = rows.first().filter(|row| row.number("visitor_events") > 0) else {
        return Err(Problem::not_found(format!(
            "the site has no visitor `{}`",
            printable(&id)
        )));
    };
    let mut body = totals(first, zone);
    let next = next(&rows, KEYS, limit);
    // Behind the last event there is one row, without an event.
    let events = rows.into_iter().filter(|row| row.text("event_id").is_some());
    let timeline: Json = events.take(limit).map(|row| event(row, zone)).collect();
    body.extend([
        ("tracking_id".to_owned(), json!(query.tracking_id)),
        ("client_id".to_owned(), json!(id)),
        ("time_zone".to_owned(), json!(zone.name())),
        ("timeline".to_owned(), timeline),
        ("next_cursor".to_owned(), json!(next)),
        ("sql".to_owned(), json!(statement.literal())),
    ]);
    let response = json_reply(serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?);
    Ok(match answer.provenance.origin.snapshot {
        Some(snapshot) => with_tag(response, digest.tag(snapshot)),
        None => response,
    })
}

/// A page of events, and one row without if there are none; each with the totals.
fn statement(id: &str, query: &VisitorQuery, limit: usize) -> Result<Statement, Problem> {
    let of = |columns: &str, table: &str| {
        let mut statement = Statement::new(format!("SELECT {columns}\nFROM {table}\nWHERE tracking_id = "));
        statement.bind(Value::Text(query.tracking_id.clone()));
        statement.sql(" AND client_id = ").bind(Value::Text(id.to_owned()));
        statement
    };
    let totals = TOTALS.map(|(name, sql)| format!("{sql} AS {OF_VISITOR}{name}"));
    let mut timeline = of(EVENT, "events");
    page(&mut timeline, KEYS, query.cursor.as_deref(), limit)?;
    let mut statement = Statement::new("SELECT *\nFROM (");
    statement
        .append(of(&totals.join(", "), "events"))
        .sql(") AS totals\nCROSS JOIN (");
    statement.append(of(&format!("count(*) AS {OF_VISITOR}sessions"), "sessions"));
    statement.sql(") AS sessions\nLEFT JOIN (").append(timeline);
    let (time, id) = KEYS;
    statement.sql(format!(") AS timeline ON TRUE\nORDER BY {time} DESC, {id} DESC"));
    Ok(statement)
}

fn totals(row: &Record, zone: Tz) -> Map<String, Json> {
    let names = TOTALS.iter().map(|(name, _)| *name).chain(["sessions"]);
    let totals = names.map(|name| {
        let value = row.value(&format!("{OF_VISITOR}{name}"));
        let time = value.as_str().filter(|_| name.ends_with("_seen")).and_then(dates::time);
        (
            name.to_owned(),
            time.map_or(value.clone(), |time| json!(dates::local(time, zone))),
        )
    });
    totals.collect()
}

/// Without the totals, and with custom properties as an object, not as text.
fn event(row: Record, zone: Tz) -> Json {
    let mut event = localised(row, &[KEYS.0], zone);
    if let Some(fields) = event.as_object_mut() {
        fields.retain(|name, _| !name.starts_with(OF_VISITOR));
    }
    if let Some(properties) = event["custom_properties"].as_str()
        && let Ok(parsed) = serde_json::from_str(properties)
    {
        event["custom_properties"] = parsed;
    }
    event
}
