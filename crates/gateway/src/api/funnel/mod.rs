//! `GET /api/v1/funnels/{id}/analysis`: how many visitors took each step of a funnel. `POST /api/v1/funnels/analysis`: the
//! same of a funnel that is not saved.

mod progress;
mod request;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::caller::Caller;
use super::rows::records;
use super::{Body, Gateway, PathParam, QueryString, json_reply, parse, path_text, query_string};
use crate::flight::Token;
use crate::problem::{self, Problem, printable};
use crate::statement::{Statement, Value};
use crate::vocabulary::Base;
use crate::{FunnelSteps, SitesUnavailable};

use progress::{Asked, Source};
pub(in crate::api) use progress::{Group, Progress, Step};
use request::check_breakdown;
pub(in crate::api) use request::{AnalysisQuery, AnalysisRequest};

/// The reply, as the specification has it, and the times in seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Analysis {
    /// Of a saved funnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    funnel_id: Option<String>,
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
pub(in crate::api) async fn analysis(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    id: PathParam,
    query: QueryString<AnalysisQuery>,
) -> Result<Response, Problem> {
    let id = path_text(id)?;
    let query = query_string(query)?;
    check_breakdown(query.breakdown_by.as_deref())?;
    let funnel = gateway.funnel(&token, &id).await?;
    if query
        .tracking_id
        .as_ref()
        .is_some_and(|site| *site != funnel.tracking_id)
    {
        return Err(no_such_funnel(&id));
    }
    let dates = (query.start_date.as_deref(), query.end_date.as_deref());
    let range = (dates, query.date_range.as_deref(), query.time_zone.as_deref());
    let segments = query.segments.as_deref().unwrap_or_default().split(',');
    let segments: Vec<String> = segments.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let of = (query.breakdown_by.as_deref(), segments.as_slice());
    gateway.analysed(&token, Source::Saved(id), funnel, range, of).await
}

/// How many visitors took each step of a funnel that is not saved.
#[utoipa::path(
    post,
    path = "/api/v1/funnels/analysis",
    request_body = AnalysisRequest,
    responses(
        (status = 200, description = "Steps, rates and times", body = Analysis),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(in crate::api) async fn unsaved_analysis(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    body: Body,
) -> Result<Response, Problem> {
    let mut request: AnalysisRequest = parse(&body)?;
    let definition = request.definition()?;
    let mut json = serde_json::to_value(&definition).map_err(|error| Problem::internal(&error))?;
    json["tracking_id"] = request.tracking_id.as_str().into();
    let funnel = FunnelSteps {
        tracking_id: request.tracking_id,
        steps: definition.steps.into_iter().map(|step| step.name).collect(),
    };
    let dates = (request.start_date.as_deref(), request.end_date.as_deref());
    let range = (dates, request.date_range.as_deref(), request.time_zone.as_deref());
    let of = (request.breakdown_by.as_deref(), request.segments.as_slice());
    let source = Source::Unsaved(json.to_string());
    gateway.analysed(&token, source, funnel, range, of).await
}

/// Start and end, a word, and a time zone, as they were asked for.
type AskedRange<'a> = ((Option<&'a str>, Option<&'a str>), Option<&'a str>, Option<&'a str>);

fn no_such_funnel(id: &str) -> Problem {
    Problem::not_found(format!(
        "there is no funnel `{}` that this token may read",
        printable(id)
    ))
}

impl Gateway {
    async fn analysed(
        &self,
        token: &Token,
        source: Source,
        funnel: FunnelSteps,
        (dates, word, time_zone): AskedRange<'_>,
        (breakdown, segments): (Option<&str>, &[String]),
    ) -> Result<Response, Problem> {
        let site = self.site(token, &funnel.tracking_id).await?;
        let range = self.range(site, dates, word, time_zone)?;
        let scope = (funnel.tracking_id.as_str(), range.zone);
        let condition = self.with_segments(token, scope, None, segments).await?;
        let asked = Asked {
            condition: condition.map(|condition| condition.sql(Base::Events, range.zone.name())),
            source,
            funnel,
            period: range.period,
        };
        let statement = asked.statement(breakdown);
        let found = self.flight.collect(token, &statement).await?;
        let (overall, breakdown) = asked.read(records(&found, range.zone)?, breakdown);
        let body = Analysis {
            date_range: range.period.to_json(),
            time_zone: range.zone.name(),
            overall,
            breakdown,
            sql: statement.literal(),
            tracking_id: asked.funnel.tracking_id,
            funnel_id: match asked.source {
                Source::Saved(id) => Some(id),
                Source::Unsaved(_) => None,
            },
        };
        Ok(json_reply(
            serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?,
        ))
    }

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
