//! `POST /api/v1/exports`: all rows of a report as a file, streamed.

use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_DISPOSITION;
use http::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::caller::Caller;
use super::format::Format;
use super::lists::{SessionsQuery, sessions_statement};
use super::rows_stream::streamed;
use super::sql::FormatQuery;
use super::{Body, Gateway, QueryString, parse, query_string};
use crate::flight::Token;
use crate::problem::{self, Problem};
use crate::report::dates::Period;
use crate::report::{Report, ReportRequest};
use crate::statement::Statement;

/// What can be exported: `report`.
pub(super) const REPORTS: [&str; 2] = ["query", "sessions"];

/// An export that is ready to run.
struct Export {
    statement: Statement,
    /// Other names for its columns.
    names: Option<Vec<String>>,
    file: String,
}

/// All rows of a report as a file.
#[utoipa::path(
    post,
    path = "/api/v1/exports",
    params(FormatQuery),
    request_body(content = ref("#/components/schemas/ExportRequest"), description = "A report as for /api/v1/query, or with `report: sessions` what /api/v1/sessions takes", content_type = "application/json"),
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
    let format = match text(&mut request, "format")? {
        Some(name) => Some(name),
        None => query_string(query)?.format,
    };
    let format = Format::wanted(format.as_deref(), &headers)?;
    let report = text(&mut request, "report")?;
    let export = match report.as_deref().unwrap_or(REPORTS[0]) {
        "query" => gateway.report_export(&token, request).await?,
        "sessions" => gateway.sessions_export(&token, request).await?,
        other => return Err(Problem::unknown("report", "report", other, REPORTS)),
    };
    let rows = gateway.flight.rows(&token, &export.statement).await?;
    let mut response = streamed(rows, format, export.names.as_deref()).await?;
    let disposition = format!("attachment; filename=\"{}.{}\"", export.file, format.name());
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

impl Gateway {
    /// The rows of a report, those of all pages.
    async fn report_export(&self, token: &Token, mut request: Map<String, Json>) -> Result<Export, Problem> {
        let limit = limit(&mut request)?;
        let request: ReportRequest = of_json(request)?;
        if request.explain {
            return Err(Problem::invalid(
                "explain",
                "/api/v1/query explains a report; an export runs it",
            ));
        }
        let site = self.site(token, &request.tracking_id).await?;
        let report = Report::plan(request, site, self.now())?;
        Ok(Export {
            statement: report.export_sql(limit),
            names: Some(report.export_names()),
            file: file_name(&report.tracking_id, "report", report.period),
        })
    }

    async fn sessions_export(&self, token: &Token, mut request: Map<String, Json>) -> Result<Export, Problem> {
        let limit = limit(&mut request)?;
        // As they are in the address of a GET.
        if let Some(filters) = request.get_mut("filters")
            && filters.is_object()
        {
            *filters = filters.to_string().into();
        }
        if let Some(range) = request.get_mut("date_range").map(Json::take) {
            range_of_sessions(&mut request, range);
        }
        let query: SessionsQuery = of_json(request)?;
        let (mut statement, range) = sessions_statement(self, token, &query).await?;
        statement.sql("\nORDER BY session_start DESC, session_id DESC");
        if let Some(limit) = limit {
            statement.sql(format!(" LIMIT {limit}"));
        }
        Ok(Export {
            statement,
            names: None,
            file: file_name(&query.tracking_id, "sessions", range.period),
        })
    }
}

/// `{"start", "end"}` as the two parameters that it is in an address.
fn range_of_sessions(request: &mut Map<String, Json>, mut range: Json) {
    match range.as_object_mut() {
        Some(bounds) if bounds.len() == 2 && bounds.contains_key("start") && bounds.contains_key("end") => {
            request.remove("date_range");
            for (bound, name) in [("start", "start_date"), ("end", "end_date")] {
                request.insert(name.into(), bounds.remove(bound).unwrap_or_default());
            }
        }
        _ => {
            request.insert("date_range".into(), range);
        }
    }
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
    serde_json::from_value(Json::Object(request)).map_err(|error| Problem::bad_json(&error))
}

/// `shop_report_2026-11-02_2026-11-04`: what every file system takes.
fn file_name(site: &str, report: &str, period: Period) -> String {
    let site: String = site.chars().take(64).collect();
    let bounds = match period.days {
        Some((first, last)) => format!("{first}_{last}"),
        None => format!(
            "{}_{}",
            period.from.format("%Y-%m-%dT%H%M%SZ"),
            period.to.format("%Y-%m-%dT%H%M%SZ")
        ),
    };
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
        _ => '-',
    };
    format!("{site}_{report}_{bounds}").chars().map(plain).collect()
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
