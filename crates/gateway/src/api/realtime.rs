//! `GET /api/v1/realtime`: what happens on a site now. "Now" is the last five minutes.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use futures::future::try_join3;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::rows::{Record, records};
use super::{Gateway, QueryString, json_reply, query_string};
use crate::flight::Token;
use crate::problem::{self, Problem};
use crate::statement::{Statement, Value};

const WINDOW_MINUTES: i64 = 5;

const TOP: usize = 10;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RealtimeQuery {
    /// The site.
    pub(super) tracking_id: String,
}

/// The reply, as the specification has it, and countries and the last events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Realtime {
    tracking_id: String,
    timestamp: String,
    active_users: u64,
    active_sessions: u64,
    events_per_minute: u64,
    top_pages: Vec<Page>,
    /// Visitors by the source of their session.
    traffic_sources: BTreeMap<String, u64>,
    devices: BTreeMap<String, u64>,
    countries: BTreeMap<String, u64>,
    last_events: Vec<Json>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    url: String,
    active_users: u64,
    pageviews: u64,
}

/// The last five minutes of a site, as of `timestamp`.
///
/// For a site that many events come in of, the reply may be some seconds old; all that ask share it.
#[utoipa::path(
    get,
    path = "/api/v1/realtime",
    params(RealtimeQuery),
    responses(
        (status = 200, description = "What happens now", body = Realtime),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn realtime(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    query: QueryString<RealtimeQuery>,
) -> Result<Response, Problem> {
    let query = query_string(query)?;
    gateway.site(&token, &query.tracking_id).await?;
    let body = gateway.newest.get(&gateway, &token, &query.tracking_id).await?;
    Ok(json_reply(body.as_bytes().to_vec()))
}

impl Gateway {
    /// The reply's body.
    pub(super) async fn realtime(&self, token: &Token, tracking_id: &str) -> Result<String, Problem> {
        let now = self.now();
        let window = Window {
            tracking_id,
            from: now - Duration::minutes(WINDOW_MINUTES),
            to: now,
        };
        let (events, sessions, last) = try_join3(
            self.flight.collect(token, &window.events()),
            self.flight.collect(token, &window.sessions()),
            self.flight.collect(token, &window.last_events()),
        )
        .await?;
        let realtime = window.realtime(&events, &sessions, &last)?;
        serde_json::to_string(&realtime).map_err(|error| Problem::internal(&error))
    }
}

struct Window<'a> {
    tracking_id: &'a str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Window<'_> {
    fn within(&self, statement: &mut Statement, last: &str, first: &str) {
        statement
            .sql(" WHERE tracking_id = ")
            .bind(Value::Text(self.tracking_id.to_owned()));
        statement.sql(format!(" AND {last} > ")).bind(Value::Time(self.from));
        statement.sql(format!(" AND {first} <= ")).bind(Value::Time(self.to));
    }

    /// By page, and over all.
    fn events(&self) -> Statement {
        let mut statement = Statement::new(
            "SELECT page_path, grouping(page_path) AS overall, count(DISTINCT client_hash) AS users, \
             count(*) FILTER (WHERE event_type = 'pageview') AS pageviews, count(*) AS events FROM events",
        );
        self.within(&mut statement, "event_timestamp", "event_timestamp");
        statement.sql(format!(
            " GROUP BY GROUPING SETS ((page_path), ()) ORDER BY overall DESC, users DESC, pageviews DESC, page_path LIMIT {}",
            // The one over all, and events without a page.
            TOP + 2
        ));
        statement
    }

    /// By channel, device and country of the session's first event, and over all.
    fn sessions(&self) -> Statement {
        let mut statement = Statement::new(
            "SELECT channel, device, country, grouping(channel, device, country) AS missing, count(*) AS sessions, \
             count(DISTINCT client_hash) AS users FROM sessions",
        );
        self.within(&mut statement, "session_end", "session_start");
        statement.sql(" GROUP BY GROUPING SETS ((channel), (device), (country), ())");
        statement
    }

    fn last_events(&self) -> Statement {
        let mut statement = Statement::new(
            "SELECT event_timestamp AS \"timestamp\", event_type, page_path, country, device, source FROM events",
        );
        self.within(&mut statement, "event_timestamp", "event_timestamp");
        statement.sql(format!(" ORDER BY event_timestamp DESC, event_id LIMIT {TOP}"));
        statement
    }

    fn realtime(
        &self,
        events: &[RecordBatch],
        sessions: &[RecordBatch],
        last: &[RecordBatch],
    ) -> Result<Realtime, Problem> {
        let mut realtime = Realtime {
            tracking_id: self.tracking_id.to_owned(),
            timestamp: self.to.to_rfc3339_opts(SecondsFormat::Millis, true),
            active_users: 0,
            active_sessions: 0,
            events_per_minute: 0,
            top_pages: Vec::new(),
            traffic_sources: zeros(["direct", "organic_search", "social", "referral"]),
            devices: zeros(["desktop", "mobile", "tablet"]),
            countries: BTreeMap::new(),
            last_events: Vec::new(),
        };
        for row in records(events, chrono_tz::UTC)? {
            realtime.add_page(&row);
        }
        for row in records(sessions, chrono_tz::UTC)? {
            realtime.add_sessions(&row);
        }
        realtime.last_events = records(last, chrono_tz::UTC)?
            .into_iter()
            .map(Record::into_json)
            .collect();
        Ok(realtime)
    }
}

impl Realtime {
    fn add_page(&mut self, row: &Record) {
        if row.number("overall") == 1 {
            self.active_users = row.number("users");
            // Rounded to the nearest.
            self.events_per_minute = (row.number("events") + 2) / WINDOW_MINUTES.unsigned_abs();
        } else if let Some(url) = row.text("page_path")
            && self.top_pages.len() < TOP
        {
            self.top_pages.push(Page {
                url: url.to_owned(),
                active_users: row.number("users"),
                pageviews: row.number("pageviews"),
            });
        }
    }

    /// `missing` has a bit for each of the three that is not grouped by.
    fn add_sessions(&mut self, row: &Record) {
        let users = row.number("users");
        match row.number("missing") {
            0b011 => *self.traffic_sources.entry(source(row.text("channel"))).or_default() += users,
            0b101 => *self.devices.entry(named(row.text("device"))).or_default() += users,
            0b110 => *self.countries.entry(named(row.text("country"))).or_default() += users,
            _ => self.active_sessions = row.number("sessions"),
        }
    }
}

/// The specification's words for channels that it has, the channel's own name for others.
fn source(channel: Option<&str>) -> String {
    match channel {
        Some("Organic Social" | "Paid Social") => "social".into(),
        Some(other) => other.to_lowercase().replace(' ', "_"),
        None => named(None),
    }
}

fn named(value: Option<&str>) -> String {
    value.unwrap_or("unknown").to_owned()
}

fn zeros<const N: usize>(names: [&str; N]) -> BTreeMap<String, u64> {
    names.into_iter().map(|name| (name.to_owned(), 0)).collect()
}
