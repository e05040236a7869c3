//! `POST /api/v1/query`: a report.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;

use super::caching::{RequestDigest, content_tag};
use super::caller::Caller;
use super::{Body, Gateway, json_reply, parse, with_tag};
use crate::problem::{self, Problem};
use crate::report::{Report, ReportReply, ReportRequest, Run, reply};
use crate::statement::Statement;

/// A report: metrics by dimensions.
#[utoipa::path(
    post,
    path = "/api/v1/query",
    request_body = ReportRequest,
    responses(
        (status = 200, description = "Rows, totals and the SQL that gives them", body = ReportReply),
        (status = 304, description = "The reply with the tag in `If-None-Match` is still the newest"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn query(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let request: ReportRequest = parse(&body)?;
    let started = Instant::now();
    let explain = request.explain;
    let report = gateway.report(&token, request).await?;
    if explain {
        return explained(&report);
    }
    let statement = report.statement();
    let others = [report.normalised().to_string(), report.warnings.join("\n")];
    let digest = RequestDigest::new(&gateway, &statement, &others.each_ref().map(String::as_str));
    if let Some(unchanged) = gateway.unchanged(&token, &headers, digest).await? {
        return Ok(unchanged);
    }
    let answer = gateway.flight.answer(&token, &statement).await?;
    let run = Run {
        query_id: gateway.query_id(),
        execution_time_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let body = reply(&report, &answer, &run)?;
    let tag = match answer.provenance.origin.snapshot {
        Some(snapshot) => digest.tag(snapshot),
        None => content_tag(body.without_run()),
    };
    Ok(with_tag(json_reply(body.json), tag))
}

/// The SQL alone: as it is sent, with its parameters, and as it can be pasted.
fn explained(report: &Report) -> Result<Response, Problem> {
    let shown = |statement: &Statement| {
        json!({
            "sql": statement.literal(),
            "statement": statement.text(),
            "parameters": statement.values().iter().map(crate::statement::Value::to_json).collect::<Vec<_>>(),
        })
    };
    let mut body = json!({
        "query": report.normalised(),
        "warnings": report.warnings,
        "rows": shown(&report.rows_sql()),
        // What is run: rows and totals at once.
        "statement": shown(&report.statement()),
    });
    if report.totals {
        body["totals"] = shown(&report.totals_sql());
    }
    let body = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?;
    Ok(json_reply(body))
}
