//! `GET /api/v1/retention`: of the visitors who came for the first time in a period, how many came again later.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use utoipa::{IntoParams, ToSchema};

use super::caching::RequestDigest;
use super::caller::Caller;
use super::range::{self, Range};
use super::rows::{Record, records};
use super::{Gateway, QueryString, json_reply, query_string, with_tag};
use crate::problem::{self, Problem};
use crate::report::{Condition, dates};
use crate::statement::{Statement, Value};
use crate::vocabulary::{Base, TimeUnit};

/// Days after the first visit, unless the request names others; weeks and months are 1 to 12.
const DAYS: [u32; 6] = [1, 7, 14, 30, 60, 90];
const MAX_AFTER: u32 = 400;
const MAX_COLUMNS: usize = 60;
const MAX_COHORTS: usize = 400;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionQuery {
    tracking_id: String,
    start_date: Option<String>,
    end_date: Option<String>,
    date_range: Option<String>,
    time_zone: Option<String>,
    #[serde(default)]
    #[param(inline, required = false)]
    cohort: Cohort,
    /// `1,7,30`.
    after: Option<String>,
    /// Names of segments, separated by commas: visitors that are in all of them.
    segments: Option<String>,
    /// Whether coming later counts, too.
    #[serde(default)]
    #[param(required = false)]
    unbounded: bool,
}

/// The length of a cohort's period, and of those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Cohort {
    #[default]
    Day,
    Week,
    Month,
}

impl Cohort {
    fn name(self) -> &'static str {
        self.unit().name()
    }

    fn unit(self) -> TimeUnit {
        match self {
            Self::Day => TimeUnit::Day,
            Self::Week => TimeUnit::Week,
            Self::Month => TimeUnit::Month,
        }
    }

    /// How many periods lie between the starts of two.
    fn between(self, first: NaiveDate, later: NaiveDate) -> i64 {
        match self {
            Self::Day => (later - first).num_days(),
            Self::Week => (later - first).num_days() / 7,
            Self::Month => {
                let months = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
                months(later) - months(first)
            }
        }
    }

    fn start(self, date: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => date,
            Self::Week => date - chrono::Days::new(date.weekday().num_days_from_monday().into()),
            Self::Month => date.with_day(1).unwrap_or(date),
        }
    }
}

impl RetentionQuery {
    /// Whether it can be answered, but for its site and its segments.
    pub(super) fn check(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        after(self)?;
        let given = (self.start_date.as_deref(), self.end_date.as_deref());
        range::parse(
            now,
            chrono_tz::UTC,
            given,
            self.date_range.as_deref(),
            self.time_zone.as_deref(),
        )
        .map(|_| ())
    }
}

/// Of new visitors, how many came again.
#[utoipa::path(
    get,
    path = "/api/v1/retention",
    params(RetentionQuery),
    responses(
        (status = 200, description = "Cohorts by the date of the first visit", body = super::schemas::RetentionReply),
        (status = 304, description = "The reply with the tag in `If-None-Match` is still the newest"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn retention(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    query: QueryString<RetentionQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query_string(query)?;
    let after = after(&query)?;
    let site = gateway.site(&token, &query.tracking_id).await?;
    let given = (query.start_date.as_deref(), query.end_date.as_deref());
    let range = gateway.range(site, given, query.date_range.as_deref(), query.time_zone.as_deref())?;
    // The first and the last cohort are whole.
    let range = Range {
        period: range.period.whole(query.cohort.unit(), range.zone),
        ..range
    };
    let scope = (query.tracking_id.as_str(), range.zone);
    let condition = gateway
        .condition(&token, scope, None, query.segments.as_deref())
        .await?;
    let statement = statement(&query, &range, condition.as_ref());
    let today = gateway.now().with_timezone(&range.zone).date_naive();
    let others = [range.zone.name(), &today.to_string(), &format!("{after:?}")];
    let digest = RequestDigest::new(&gateway, &statement, &others);
    if let Some(unchanged) = gateway.unchanged(&token, &headers, digest).await? {
        return Ok(unchanged);
    }
    let answer = gateway.flight.answer(&token, &statement).await?;
    let found = records(&answer.batches, range.zone)?;
    let cohorts = cohorts(&found, &query, &after, today)?;
    let body = json!({
        "tracking_id": query.tracking_id,
        "date_range": range.period.to_json(),
        "time_zone": range.zone.name(),
        "cohort": query.cohort.name(),
        "unbounded": query.unbounded,
        "cohorts": cohorts,
        "sql": statement.literal(),
    });
    let body = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?;
    let response = json_reply(body);
    Ok(match answer.provenance.origin.snapshot {
        Some(snapshot) => with_tag(response, digest.tag(snapshot)),
        None => response,
    })
}

fn after(query: &RetentionQuery) -> Result<Vec<u32>, Problem> {
    let Some(text) = &query.after else {
        return Ok(match query.cohort {
            Cohort::Day => DAYS.to_vec(),
            Cohort::Week | Cohort::Month => (1..=12).collect(),
        });
    };
    let numbers = text
        .split(',')
        .map(|number| number.trim().parse().ok().filter(|n| (1..=MAX_AFTER).contains(n)));
    let numbers: Option<Vec<u32>> = numbers.collect();
    let numbers = numbers.filter(|numbers| numbers.len() <= MAX_COLUMNS);
    let invalid = || {
        Problem::invalid(
            "after",
            format!("expected up to {MAX_COLUMNS} numbers from 1 to {MAX_AFTER}: 1,7,30"),
        )
    };
    numbers.ok_or_else(invalid)
}

/// Visitors by their first period and each later one in which they came; with `unbounded`, by the first and the last.
fn statement(query: &RetentionQuery, range: &Range, condition: Option<&Condition>) -> Statement {
    let unit = query.cohort.name();
    let local = match range.zone.name() {
        "UTC" => "event_timestamp".to_owned(),
        zone => format!("event_timestamp AT TIME ZONE '{zone}'"),
    };
    let site = || Value::Text(query.tracking_id.clone());
    let bucket = format!("CAST(date_trunc('{unit}', {local}) AS DATE)");
    let mut firsts = Statement::new(format!(
        "SELECT client_hash, min({bucket}) AS cohort_date, max({bucket}) AS last, min(event_timestamp) AS first\n\
         FROM events WHERE tracking_id = "
    ));
    firsts.bind(site());
    if let Some(condition) = condition {
        firsts
            .sql(" AND ")
            .append(condition.sql(Base::Events, range.zone.name()));
    }
    firsts.sql("\nGROUP BY client_hash");
    let mut statement = Statement::default();
    if query.unbounded {
        statement
            .sql("SELECT cohort_date, last AS seen, count(*) AS users\nFROM (")
            .append(firsts);
        statement.sql(") AS firsts");
    } else {
        statement
            .sql("SELECT cohort_date, seen, count(*) AS users\nFROM (")
            .append(firsts);
        statement.sql(format!(") AS firsts\nJOIN (SELECT DISTINCT client_hash AS visitor, {bucket} AS seen FROM events WHERE tracking_id = "));
        statement
            .bind(site())
            .sql(" AND event_timestamp >= ")
            .bind(Value::Time(range.period.from));
        statement.sql(") AS visits ON client_hash = visitor");
    }
    statement.sql("\nWHERE first >= ").bind(Value::Time(range.period.from));
    statement.sql(" AND first < ").bind(Value::Time(range.period.to));
    statement.sql("\nGROUP BY 1, 2 ORDER BY 1, 2");
    statement
}

/// A cohort for each period with new visitors.
fn cohorts(rows: &[Record], query: &RetentionQuery, after: &[u32], today: NaiveDate) -> Result<Vec<Json>, Problem> {
    let mut found: BTreeMap<NaiveDate, BTreeMap<i64, u64>> = BTreeMap::new();
    for row in rows {
        let date = |name| {
            row.text(name)
                .and_then(dates::date)
                .ok_or_else(|| Problem::internal(&"a row without its dates"))
        };
        let (cohort, seen) = (date("cohort_date")?, date("seen")?);
        let seen = query.cohort.between(cohort, seen);
        *found.entry(cohort).or_default().entry(seen).or_default() += row.number("users");
    }
    if found.len() > MAX_COHORTS {
        let detail = format!("the range has more than {MAX_COHORTS} cohorts: ask for weeks or months, or for less");
        return Err(Problem::invalid("date_range", detail));
    }
    // The period of today is not over.
    let current = query.cohort.start(today);
    let each = found.into_iter().map(|(cohort, seen)| {
        let users: u64 = match query.unbounded {
            true => seen.values().sum(),
            false => seen.get(&0).copied().unwrap_or_default(),
        };
        let age = query.cohort.between(cohort, current);
        let retained = after.iter().map(|&number| {
            let retained = match query.unbounded {
                true => seen.range(i64::from(number)..).map(|(_, users)| users).sum(),
                false => seen.get(&i64::from(number)).copied().unwrap_or_default(),
            };
            let known = i64::from(number) < age;
            let mut cell = Map::new();
            cell.insert(format!("{}s_after", query.cohort.name()), json!(number));
            cell.insert("users".into(), json!(known.then_some(retained)));
            // Counts of visitors are far below 2^53.
            cell.insert(
                "retention_rate".into(),
                json!(known.then_some(retained as f64 / users as f64)),
            );
            Json::Object(cell)
        });
        json!({"cohort_date": cohort.to_string(), "users": users, "retention": retained.collect::<Vec<_>>()})
    });
    Ok(each.collect())
}
