//! `POST /api/v1/query`: a report.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use futures::future::{OptionFuture, try_join4};
use serde_json::json;

use super::caller::Caller;
use super::{Body, Gateway, json_reply, parse};
use crate::flight::{Answer, Token};
use crate::problem::{self, Problem};
use crate::report::{Answers, Report, ReportReply, ReportRequest, Run, reply};
use crate::statement::Statement;

/// A report: metrics by dimensions.
#[utoipa::path(
    post,
    path = "/api/v1/query",
    request_body = ReportRequest,
    responses(
        (status = 200, description = "Rows, totals and the SQL that gives them", body = ReportReply),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn query(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    body: Body,
) -> Result<Response, Problem> {
    let request: ReportRequest = parse(&body)?;
    let started = Instant::now();
    let explain = request.explain;
    let report = gateway.report(&token, request).await?;
    if explain {
        return explained(&report);
    }
    let answers = run(&gateway, &token, &report).await?;
    let run = Run {
        query_id: gateway.query_id(),
        execution_time_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(json_reply(reply(&report, &answers, &run)?))
}

/// Runs all statements of the report at the same time.
async fn run(gateway: &Gateway, token: &Token, report: &Report) -> Result<Answers, Problem> {
    let collect = |statement: Statement| async move { gateway.flight.answer(token, &statement).await };
    let wanted = |statement: Option<Statement>| {
        let run = OptionFuture::from(statement.map(collect));
        async move { run.await.transpose() as Result<Option<Answer>, Problem> }
    };
    let rows_compared = report.compared.filter(|_| !report.dimensions.is_empty());
    let totals_compared = report
        .compared
        .filter(|_| report.totals || report.dimensions.is_empty());
    let (rows, totals, compared, compared_totals) = try_join4(
        collect(report.rows_sql()),
        wanted(report.totals.then(|| report.totals_sql(report.period))),
        wanted(rows_compared.map(|period| report.compared_sql(period))),
        wanted(totals_compared.map(|period| report.totals_sql(period))),
    )
    .await?;
    Ok(Answers {
        rows,
        totals,
        compared,
        compared_totals,
    })
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
    });
    if report.totals {
        body["totals"] = shown(&report.totals_sql(report.period));
    }
    if let Some(period) = report.compared {
        body["compare"] = shown(&report.compared_sql(period));
    }
    let body = serde_json::to_vec(&body).map_err(|error| Problem::internal(&error))?;
    Ok(json_reply(body))
}
