//! Segments of a request, found in the catalog; and `GET /api/v1/segments/{id}/preview`, `POST /api/v1/segments/preview`:
//! how many visitors a segment has.

use axum::extract::State;
use axum::response::Response;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::rows::records;
use super::{Body, Gateway, PathParam, QueryString, json_reply, parse, path_text, query_string};
use crate::SitesUnavailable;
use crate::flight::Token;
use crate::problem::{self, Problem, printable};
use crate::report::{Condition, Report, ReportRequest, SiteZone, dates, sampling};
use crate::segment::{Scope, Segment, Segments, unknown};
use crate::statement::{Statement, Value};

impl Gateway {
    /// The report that a request asks for, of a site that the token may read.
    pub(super) async fn report(&self, token: &Token, request: ReportRequest) -> Result<Report, Problem> {
        let site = self.site(token, &request.tracking_id).await?;
        let condition = request.condition()?;
        let segments = self
            .segments_of(token, &request.tracking_id, condition.as_ref())
            .await?;
        let mut report = Report::plan(request, site, self.now(), &segments)?;
        if report.is_undecided()
            && let Some(reason) = self.reason_to_sample(token, &report).await?
        {
            report.sample(reason)?;
        }
        Ok(report)
    }

    /// Plans the report, and counts its events if that does not decide.
    async fn reason_to_sample(&self, token: &Token, report: &Report) -> Result<Option<&'static str>, Problem> {
        let mut explain = Statement::new("EXPLAIN ");
        explain.append(report.rows_sql());
        let sources = self.flight.answer(token, &explain).await?.provenance.origin.sources;
        let mut facts = sampling::Facts {
            days: report.days(),
            routed: !sources.iter().any(|source| source.starts_with("raw events")),
            events: 0,
        };
        if facts.routed || sampling::decide(facts).is_some() {
            return Ok(sampling::decide(facts));
        }
        let counted = self.flight.collect(token, &report.count_sql(report.period)).await?;
        let rows = records(&counted, Tz::UTC)?;
        facts.events = rows.first().map(|row| row.number("events")).unwrap_or_default();
        Ok(sampling::decide(facts))
    }

    /// The condition of a request to an address, with the visitors of its segments.
    pub(super) async fn condition(
        &self,
        token: &Token,
        (tracking_id, zone): (&str, Tz),
        filters: Option<Condition>,
        segments: Option<&str>,
    ) -> Result<Option<Condition>, Problem> {
        let names: Vec<String> = segments
            .map(|names| names.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        self.with_segments(token, (tracking_id, zone), filters, &names).await
    }

    pub(super) async fn with_segments(
        &self,
        token: &Token,
        (tracking_id, zone): (&str, Tz),
        filters: Option<Condition>,
        names: &[String],
    ) -> Result<Option<Condition>, Problem> {
        let condition = Condition::and_segments(filters, names)?;
        let segments = self.segments_of(token, tracking_id, condition.as_ref()).await?;
        let scope = Scope {
            tracking_id,
            zone,
            now: self.now(),
        };
        condition.map(|given| given.resolved(&segments, scope)).transpose()
    }

    /// Those that the condition names.
    async fn segments_of(
        &self,
        token: &Token,
        tracking_id: &str,
        condition: Option<&Condition>,
    ) -> Result<Segments, Problem> {
        let mut found = Segments::default();
        for (name, field) in condition.map(Condition::segments).unwrap_or_default() {
            found.insert(name, self.segment(token, tracking_id, name, field).await?);
        }
        Ok(found)
    }

    async fn segment(&self, token: &Token, tracking_id: &str, name: &str, field: &str) -> Result<Segment, Problem> {
        let Some(sites) = &self.parts.sites else {
            let detail = "this gateway has no catalog, where segments are; ask one beside the other roles";
            return Err(Problem::invalid(field, detail));
        };
        let found = sites.segment(token.expose(), tracking_id, name).await;
        let found = found.map_err(|SitesUnavailable| Problem::unavailable("the catalog does not answer; try again"))?;
        let filters = found.ok_or_else(|| unknown(name, field))?;
        let scope = Scope {
            tracking_id,
            zone: Tz::UTC,
            now: self.now(),
        };
        // It was checked when it was saved.
        Segment::parse(&filters, scope).map_err(|problem| {
            let detail = format!("the segment `{}` can't be used: {}", printable(name), problem);
            Problem::invalid(field, detail)
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewQuery {
    tracking_id: String,
    time_zone: Option<String>,
}

/// A segment that is not saved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewRequest {
    tracking_id: String,
    /// As of `POST /api/v1/segments`.
    #[schema(value_type = Object)]
    filters: Json,
    /// Of a segment; it changes nothing.
    #[serde(default, rename = "name")]
    _name: Option<String>,
    #[serde(default)]
    time_zone: Option<String>,
}

/// How many visitors a segment has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Preview {
    tracking_id: String,
    /// Visitors of the segment.
    visitors: u64,
    /// All visitors of the site, of whom there are events.
    total_visitors: u64,
    /// What gives the segment's visitors.
    sql: String,
}

/// How many visitors a saved segment has.
#[utoipa::path(
    get,
    path = "/api/v1/segments/{id}/preview",
    params(("id" = String, Path, description = "The segment's name or id"), PreviewQuery),
    responses(
        (status = 200, description = "Visitors of the segment, and of the site", body = Preview),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn preview(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    id: PathParam,
    query: QueryString<PreviewQuery>,
) -> Result<Response, Problem> {
    let id = path_text(id)?;
    let query = query_string(query)?;
    let site = gateway.site(&token, &query.tracking_id).await?;
    let segment = gateway.segment(&token, &query.tracking_id, &id, "id").await?;
    let zone = query.time_zone.as_deref();
    gateway
        .previewed(&token, (query.tracking_id, site), segment, zone)
        .await
}

/// How many visitors a segment that is not saved has.
#[utoipa::path(
    post,
    path = "/api/v1/segments/preview",
    request_body = PreviewRequest,
    responses(
        (status = 200, description = "Visitors of the segment, and of the site", body = Preview),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn unsaved_preview(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    body: Body,
) -> Result<Response, Problem> {
    let request: PreviewRequest = parse(&body)?;
    let site = gateway.site(&token, &request.tracking_id).await?;
    let scope = Scope {
        tracking_id: &request.tracking_id,
        zone: Tz::UTC,
        now: gateway.now(),
    };
    let segment = Segment::parse(&request.filters, scope)?;
    let zone = request.time_zone.as_deref();
    gateway
        .previewed(&token, (request.tracking_id, site), segment, zone)
        .await
}

impl Gateway {
    async fn previewed(
        &self,
        token: &Token,
        (tracking_id, site): (String, SiteZone),
        segment: Segment,
        zone: Option<&str>,
    ) -> Result<Response, Problem> {
        let zone = zone.map_or(Ok(site.zone), |name| dates::zone(name, "time_zone"))?;
        let scope = Scope {
            tracking_id: &tracking_id,
            zone,
            now: self.now(),
        };
        let visitors = segment.visitors(scope)?;
        let mut counted = Statement::new("SELECT count(*) AS visitors FROM (");
        counted.append(visitors.clone()).sql(") AS segment");
        let mut all = Statement::new("SELECT count(DISTINCT client_hash) AS visitors FROM events WHERE tracking_id = ");
        all.bind(Value::Text(tracking_id.clone()));
        let (counted, all) =
            futures::future::try_join(self.flight.collect(token, &counted), self.flight.collect(token, &all)).await?;
        let visitors_of = |batches: &_| {
            let rows = records(batches, zone)?;
            Ok::<_, Problem>(rows.first().map(|row| row.number("visitors")).unwrap_or_default())
        };
        let body = Preview {
            visitors: visitors_of(&counted)?,
            total_visitors: visitors_of(&all)?,
            sql: visitors.literal(),
            tracking_id,
        };
        Ok(json_reply(
            serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?,
        ))
    }
}
