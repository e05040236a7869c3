//! `GET /api/v1/funnels/{id}/analysis`: how many visitors took each step of a funnel.

use arrow::array::RecordBatch;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::rows::{Record, records};
use super::{Gateway, PathParam, QueryString, json_reply, query_string};
use crate::flight::Token;
use crate::problem::{self, Problem, printable};
use crate::report::dates::Period;
use crate::statement::{Statement, Value};
use crate::{FunnelSteps, SitesUnavailable};

/// The dimensions of `funnel_progress`.
const BREAKDOWNS: [&str; 9] = [
    "country",
    "device",
    "browser",
    "os",
    "source",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "channel",
];

/// Groups of a breakdown that are shown, those with most visitors.
const MAX_GROUPS: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AnalysisQuery {
    start_date: Option<String>,
    end_date: Option<String>,
    date_range: Option<String>,
    time_zone: Option<String>,
    breakdown_by: Option<String>,
    /// The funnel's own site; another one has no such funnel.
    tracking_id: Option<String>,
}

/// The reply, as the specification has it, and the times in seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Analysis {
    funnel_id: String,
    tracking_id: String,
    date_range: Json,
    #[schema(value_type = String)]
    time_zone: &'static str,
    #[serde(flatten)]
    overall: Progress,
    #[serde(skip_serializing_if = "Option::is_none")]
    breakdown: Option<Vec<Group>>,
    sql: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Progress {
    total_users: u64,
    steps: Vec<Step>,
    overall_conversion_rate: f64,
    /// `2h 34m`; null if nobody took all steps.
    avg_time_to_convert: Option<String>,
    avg_seconds_to_convert: Option<f64>,
    median_seconds_to_convert: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Group {
    value: Json,
    #[serde(flatten)]
    progress: Progress,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Step {
    name: String,
    users: u64,
    conversion_rate: f64,
    drop_off_rate: f64,
}

/// How many visitors took each step of a funnel.
#[utoipa::path(
    get,
    path = "/api/v1/funnels/{id}/analysis",
    params(("id" = String, Path, description = "The funnel"), AnalysisQuery),
    responses(
        (status = 200, description = "Steps, rates and times", body = Analysis),
        (status = 304, description = "The reply with the tag in `If-None-Match` is still the newest"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn analysis(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    id: PathParam,
    query: QueryString<AnalysisQuery>,
) -> Result<Response, Problem> {
    let Path(id) = id.map_err(|error| Problem::unreadable(error.status()))?;
    let query = query_string(query)?;
    if let Some(breakdown) = &query.breakdown_by
        && !BREAKDOWNS.contains(&breakdown.as_str())
    {
        return Err(Problem::unknown(
            "breakdown_by",
            "dimension of a funnel",
            breakdown,
            BREAKDOWNS,
        ));
    }
    let funnel = gateway.funnel(&token, &id).await?;
    if query
        .tracking_id
        .as_ref()
        .is_some_and(|site| *site != funnel.tracking_id)
    {
        return Err(no_such_funnel(&id));
    }
    let site = gateway.site(&token, &funnel.tracking_id).await?;
    let dates = (query.start_date.as_deref(), query.end_date.as_deref());
    let range = gateway.range(site, dates, query.date_range.as_deref(), query.time_zone.as_deref())?;
    let asked = Asked {
        id: &id,
        funnel: &funnel,
        period: range.period,
    };
    let overall = asked.statement(None);
    let groups = query
        .breakdown_by
        .as_deref()
        .map(|column| asked.statement(Some(column)));
    let found = gateway.flight.collect(&token, &overall).await?;
    let breakdown = match &groups {
        Some(statement) => Some(asked.groups(&gateway.flight.collect(&token, statement).await?)?),
        None => None,
    };
    let body = Analysis {
        date_range: range.period.to_json(),
        time_zone: range.zone.name(),
        overall: asked.progress(&records(&found, range.zone)?),
        breakdown,
        sql: groups.as_ref().unwrap_or(&overall).literal(),
        tracking_id: funnel.tracking_id.clone(),
        funnel_id: id.clone(),
    };
    Ok(json_reply(
        serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?,
    ))
}

fn no_such_funnel(id: &str) -> Problem {
    Problem::not_found(format!(
        "there is no funnel `{}` that this token may read",
        printable(id)
    ))
}

impl Gateway {
    /// The funnel's steps. A gateway without a catalog finds them in what the funnel has counted.
    async fn funnel(&self, token: &Token, id: &str) -> Result<FunnelSteps, Problem> {
        let unavailable = |SitesUnavailable| Problem::unavailable("the catalog does not answer; try again");
        let found = match &self.parts.sites {
            Some(sites) => sites.funnel(token.expose(), id).await.map_err(unavailable)?,
            None => self.counted_funnel(token, id).await?,
        };
        match found {
            Some(funnel) => Ok(funnel),
            None => {
                // The server that decides on tokens says what is wrong with this one.
                self.flight.collect(token, &Statement::new("SELECT 1")).await?;
                Err(no_such_funnel(id))
            }
        }
    }

    async fn counted_funnel(&self, token: &Token, id: &str) -> Result<Option<FunnelSteps>, Problem> {
        let mut statement =
            Statement::new("SELECT DISTINCT tracking_id, step_index, step_name FROM funnel_results WHERE funnel_id = ");
        statement.bind(Value::Text(id.to_owned())).sql(" ORDER BY step_index");
        let rows = records(&self.flight.collect(token, &statement).await?, chrono_tz::UTC)?;
        Ok(rows
            .first()
            .and_then(|row| row.text("tracking_id"))
            .map(|tracking_id| FunnelSteps {
                tracking_id: tracking_id.to_owned(),
                steps: rows
                    .iter()
                    .filter_map(|row| row.text("step_name"))
                    .map(str::to_owned)
                    .collect(),
            }))
    }
}

/// What is analysed.
struct Asked<'a> {
    id: &'a str,
    funnel: &'a FunnelSteps,
    period: Period,
}

impl Asked<'_> {
    /// Visitors by the depth that they reached: the deepest of their attempts that began in the period.
    fn statement(&self, breakdown: Option<&str>) -> Statement {
        let (group, comma) = breakdown.map_or(("", ""), |column| (column, ", "));
        let mut statement = Statement::new(format!(
            "SELECT {group}{comma}depth, count(*) AS users, avg(seconds) AS avg_seconds, median(seconds) AS median_seconds\n\
             FROM (SELECT {group}{comma}client_id, max(steps_completed) AS depth, \
             CAST(min(time_to_convert) AS DOUBLE) AS seconds\nFROM funnel_progress\nWHERE tracking_id = "
        ));
        statement.bind(Value::Text(self.funnel.tracking_id.clone()));
        statement.sql(" AND funnel_id = ").bind(Value::Text(self.id.to_owned()));
        statement.sql(" AND entered_at >= ").bind(Value::Time(self.period.from));
        statement.sql(" AND entered_at < ").bind(Value::Time(self.period.to));
        statement.sql(format!(
            "\nGROUP BY {group}{comma}client_id) AS visitors\nGROUP BY {group}{comma}depth ORDER BY {group}{comma}depth"
        ));
        statement
    }

    fn progress(&self, rows: &[Record]) -> Progress {
        let steps = self.funnel.steps.len();
        let reached = |step: usize| {
            let deep = rows.iter().filter(|row| row.number("depth") > step as u64);
            deep.map(|row| row.number("users")).sum::<u64>()
        };
        let users: Vec<u64> = (0..steps).map(reached).collect();
        let each = self
            .funnel
            .steps
            .iter()
            .zip(&users)
            .enumerate()
            .map(|(index, (name, count))| {
                let conversion_rate = match index.checked_sub(1) {
                    Some(before) => ratio(*count, users[before]),
                    None => 1.0,
                };
                Step {
                    name: name.clone(),
                    users: *count,
                    conversion_rate,
                    drop_off_rate: 1.0 - conversion_rate,
                }
            });
        let converted = rows.iter().find(|row| row.number("depth") == steps as u64);
        let seconds = converted.and_then(|row| row.float("avg_seconds"));
        Progress {
            total_users: users.first().copied().unwrap_or_default(),
            overall_conversion_rate: ratio(
                users.last().copied().unwrap_or_default(),
                users.first().copied().unwrap_or_default(),
            ),
            steps: each.collect(),
            avg_time_to_convert: seconds.map(spoken),
            avg_seconds_to_convert: seconds,
            median_seconds_to_convert: converted.and_then(|row| row.float("median_seconds")),
        }
    }

    /// By the value of the first column, those with most visitors first.
    fn groups(&self, batches: &[RecordBatch]) -> Result<Vec<Group>, Problem> {
        let mut groups: Vec<(Json, Vec<Record>)> = Vec::new();
        for row in records(batches, chrono_tz::UTC)? {
            let name = batches
                .first()
                .map(|batch| batch.schema().field(0).name().clone())
                .unwrap_or_default();
            let value = row.value(&name);
            match groups.last_mut() {
                Some((known, rows)) if *known == value => rows.push(row),
                _ => groups.push((value, vec![row])),
            }
        }
        let progress = groups.into_iter().map(|(value, rows)| Group {
            value,
            progress: self.progress(&rows),
        });
        let mut groups: Vec<Group> = progress.collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.progress.total_users));
        groups.truncate(MAX_GROUPS);
        Ok(groups)
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    // Counts of visitors are far below 2^53.
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The two largest units: `2h 34m`.
fn spoken(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = units[first..]
        .iter()
        .take(2)
        .filter(|(count, _)| *count > 0 || seconds == 0);
    shown
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (59.4, "59s"),
            (60.0, "1m"),
            (9_240.0, "2h 34m"),
            (9_245.0, "2h 34m"),
            (90_000.0, "1d 1h"),
            (86_460.0, "1d"),
        ] {
            assert_eq!(spoken(seconds), expected);
        }
    }
}
