//! `POST /api/v1/exports`: all rows of a report as a file, streamed.

use axum::body::to_bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::caller::Caller;
use super::format::Encoding;
use super::lists::{SessionsQuery, sessions_statement};
use super::rows_stream::{RowsStream, streamed};
use super::sql::FormatQuery;
use super::{Body, Gateway, QueryString, funnel, parse, query_string, retention, tables};
use crate::flight::Token;
use crate::problem::{self, Problem, fit};
use crate::report::ReportRequest;
use crate::report::dates::Period;

/// What can be exported: `report`.
pub(super) const REPORTS: [&str; 4] = ["query", "sessions", "retention", "funnel"];

/// The rows, and the name of their file.
struct Export {
    rows: RowsStream,
    file: String,
}

/// All rows of a report as a file.
#[utoipa::path(
    post,
    path = "/api/v1/exports",
    params(FormatQuery),
    request_body(content = ref("#/components/schemas/ExportRequest"), description = "A report as for /api/v1/query, or with `report` what /api/v1/sessions, /api/v1/retention or a funnel's analysis (and `funnel_id`) takes", content_type = "application/json"),
    responses(
        (status = 200, description = "The rows, as `format` or `Accept` says", content(
            (super::schemas::RowsReply = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet")
        )),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn exports(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    query: QueryString<FormatQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let mut request: Map<String, Json> = parse(&body)?;
    let query = query_string(query)?;
    let format = text(&mut request, "format")?.or(query.format);
    let escape = text(&mut request, "escape")?.or(query.escape);
    let encoding = Encoding::wanted(format.as_deref(), escape.as_deref(), &headers)?;
    let report = text(&mut request, "report")?;
    let export = match report.as_deref().unwrap_or(REPORTS[0]) {
        "query" => report_export(&gateway, &token, request).await?,
        "sessions" => sessions_export(&gateway, &token, request).await?,
        "retention" => retention_export(gateway, token, request).await?,
        "funnel" => funnel_export(gateway, token, request).await?,
        other => return Err(Problem::unknown("report", "report", other, REPORTS)),
    };
    let mut response = streamed(export.rows, encoding).await?;
    let disposition = format!("attachment; filename=\"{}.{}\"", export.file, encoding.format.name());
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// The rows of a report, those of all pages.
async fn report_export(gateway: &Gateway, token: &Token, mut request: Map<String, Json>) -> Result<Export, Problem> {
    let limit = limit(&mut request)?;
    let request: ReportRequest = of_json(request)?;
    if request.explain {
        let detail = "/api/v1/query explains a report; an export runs it";
        return Err(Problem::invalid("explain", detail));
    }
    let report = gateway.report(token, request).await?;
    let rows = gateway.flight.rows(token, &report.export_sql(limit)).await?;
    Ok(Export {
        rows: RowsStream::of_statement(rows, Some(&report.export_names())),
        file: file_name(&report.tracking_id, "report", report.period),
    })
}

async fn sessions_export(gateway: &Gateway, token: &Token, mut request: Map<String, Json>) -> Result<Export, Problem> {
    let limit = limit(&mut request)?;
    // As they are in the address of a GET.
    if let Some(filters) = request.get_mut("filters")
        && filters.is_object()
    {
        *filters = filters.to_string().into();
    }
    let query: SessionsQuery = of_json(as_in_address(request))?;
    let (mut statement, range) = sessions_statement(gateway, token, &query).await?;
    statement.sql("\nORDER BY session_start DESC, session_id DESC");
    if let Some(limit) = limit {
        statement.sql(format!(" LIMIT {limit}"));
    }
    let rows = gateway.flight.rows(token, &statement).await?;
    Ok(Export {
        rows: RowsStream::of_statement(rows, None),
        file: file_name(&query.tracking_id, "sessions", range.period),
    })
}

/// What `/api/v1/retention` replies, as a table.
async fn retention_export(gateway: Gateway, token: Token, request: Map<String, Json>) -> Result<Export, Problem> {
    let query = Query(of_json(as_in_address(request))?);
    let reply = retention::retention(State(gateway), Caller(token), Ok(query), HeaderMap::new()).await?;
    let reply = json_of(reply).await?;
    Ok(Export {
        rows: RowsStream::of_table(tables::retention(&reply)?),
        file: file_name_of(&reply, "retention"),
    })
}

/// What `/api/v1/funnels/{id}/analysis` replies, as a table.
async fn funnel_export(gateway: Gateway, token: Token, mut request: Map<String, Json>) -> Result<Export, Problem> {
    let id = text(&mut request, "funnel_id")?;
    let id = id.ok_or_else(|| Problem::invalid("funnel_id", "the id of a funnel is needed here"))?;
    let breakdown = request.get("breakdown_by").and_then(Json::as_str).map(str::to_owned);
    let query = Query(of_json(as_in_address(request))?);
    let reply = funnel::analysis(State(gateway), Caller(token), Ok(Path(id)), Ok(query)).await?;
    let reply = json_of(reply).await?;
    Ok(Export {
        rows: RowsStream::of_table(tables::funnel(&reply, breakdown.as_deref())?),
        file: file_name_of(&reply, "funnel"),
    })
}

async fn json_of(reply: Response) -> Result<Json, Problem> {
    let body = to_bytes(reply.into_body(), usize::MAX).await;
    let body = body.map_err(|error| Problem::internal(&error))?;
    serde_json::from_slice(&body).map_err(|error| Problem::internal(&error))
}

/// The fields as the address of a GET has them: there, `{"start", "end"}` are two, and names of segments are one text.
fn as_in_address(mut request: Map<String, Json>) -> Map<String, Json> {
    if let Some(Json::Array(names)) = request.get("segments")
        && let Some(names) = names.iter().map(Json::as_str).collect::<Option<Vec<&str>>>()
    {
        let names = names.join(",");
        request.insert("segments".into(), names.into());
    }
    let bounds = request.get("date_range").and_then(Json::as_object);
    if let Some(bounds) = bounds.cloned()
        && bounds.keys().all(|key| ["start", "end"].contains(&key.as_str()))
    {
        request.remove("date_range");
        for (name, bound) in bounds {
            request.insert(format!("{name}_date"), bound);
        }
    }
    request
}

/// An export has no pages, so any limit goes.
fn limit(request: &mut Map<String, Json>) -> Result<Option<usize>, Problem> {
    if request.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
        return Err(Problem::invalid("cursor", "an export has all rows; it has no pages"));
    }
    match request.remove("limit") {
        None | Some(Json::Null) => Ok(None),
        Some(limit) => {
            let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok());
            let limit = limit.filter(|limit| *limit > 0 && i64::try_from(*limit).is_ok());
            let invalid = || Problem::invalid("limit", "the limit is a number of rows, 1 or more");
            limit.map(Some).ok_or_else(invalid)
        }
    }
}

fn text(request: &mut Map<String, Json>, field: &str) -> Result<Option<String>, Problem> {
    match request.remove(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::invalid(field, "expected a text")),
    }
}

fn of_json<T: DeserializeOwned>(request: Map<String, Json>) -> Result<T, Problem> {
    fit(Json::Object(request))
}

/// The same for a reply that names its site and its range.
fn file_name_of(reply: &Json, report: &str) -> String {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let range = &reply["date_range"];
    let bounds = format!("{}_{}", text(&range["start"]), text(&range["end"]));
    plain(&format!("{}_{report}_{bounds}", text(&reply["tracking_id"])))
}

/// `shop_report_2026-11-02_2026-11-04`: what every file system takes.
fn file_name(site: &str, report: &str, period: Period) -> String {
    let bounds = match period.days {
        Some((first, last)) => format!("{first}_{last}"),
        None => {
            let time = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H%M%SZ");
            format!("{}_{}", time(period.from), time(period.to))
        }
    };
    let site: String = site.chars().take(64).collect();
    plain(&format!("{site}_{report}_{bounds}"))
}

fn plain(name: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
        _ => '-',
    };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use serde_json::json;

    use super::*;
    use crate::report::dates;

    #[test]
    fn file_names_are_plain() {
        let (first, last) = (dates::date("2026-11-02").unwrap(), dates::date("2026-11-04").unwrap());
        let days = Period::days(first, last, Tz::UTC);
        assert_eq!(file_name("shop", "report", days), "shop_report_2026-11-02_2026-11-04");
        assert_eq!(
            file_name("../a\"b\r\nx: ü", "report", days),
            "---a-b--x---_report_2026-11-02_2026-11-04"
        );
    }

    #[test]
    fn limit_is_any_positive_number() {
        let limit = |value: Json| limit(json!({"limit": value}).as_object_mut().unwrap());
        assert_eq!(limit(Json::Null).unwrap(), None);
        assert_eq!(limit(json!(1_000_000)).unwrap(), Some(1_000_000));
        for odd in [json!(0), json!(-1), json!("5"), json!(u64::MAX), json!(1.5)] {
            assert!(limit(odd.clone()).is_err(), "{odd}");
        }
    }
}
