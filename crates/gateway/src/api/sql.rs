//! `POST /api/v1/sql`: one read-only statement, its rows streamed in the format that `Accept` names.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value as Json;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};

use super::caller::Caller;
use super::format::Encoding;
use super::rows_stream::{RowsStream, streamed};
use super::{Gateway, QueryString, query_string};
use crate::problem::{self, Problem, read_json};
use crate::statement::{Statement, Value};

/// A statement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlRequest {
    sql: String,
    /// For `$1`, `$2`, …
    #[serde(default)]
    #[schema(schema_with = scalars)]
    parameters: Vec<Json>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FormatQuery {
    /// `json`, `ndjson`, `csv`, `arrow` or `parquet`, instead of `Accept`.
    pub(super) format: Option<String>,
    /// Of texts in CSV that spreadsheets would take for formulas: `formulas`, the default, puts an apostrophe before them,
    /// `none` leaves them as they are.
    pub(super) escape: Option<String>,
}

/// One read-only statement.
#[utoipa::path(
    post,
    path = "/api/v1/sql",
    params(FormatQuery),
    request_body = SqlRequest,
    responses(
        (status = 200, description = "The rows, as `format` or `Accept` says", content(
            (super::schemas::RowsReply = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet")
        )),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn sql(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    query: QueryString<FormatQuery>,
    headers: HeaderMap,
    super::Body(body): super::Body,
) -> Result<Response, Problem> {
    let query = query_string(query)?;
    let encoding = Encoding::wanted(query.format.as_deref(), query.escape.as_deref(), &headers)?;
    let statement = statement(&body)?;
    let rows = gateway.flight.rows(&token, &statement).await;
    let rows = rows.map_err(|problem| problem.of_request("sql"))?;
    streamed(RowsStream::of_statement(rows, None), encoding).await
}

fn scalars() -> Array {
    let scalar = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
    ArrayBuilder::new()
        .items(ObjectBuilder::new().schema_type(scalar))
        .build()
}

/// SQL as it is, or `{"sql": …, "parameters": […]}`: no statement begins with a brace.
fn statement(body: &[u8]) -> Result<Statement, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::invalid("sql", "the body is not UTF-8"))?;
    if !text.trim_start().starts_with('{') {
        return Ok(Statement::new(text));
    }
    let request: SqlRequest = read_json(body)?;
    let values = request
        .parameters
        .iter()
        .enumerate()
        .map(|(index, parameter)| match parameter {
            Json::String(text) => Ok(Value::Text(text.clone())),
            Json::Bool(boolean) => Ok(Value::Boolean(*boolean)),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Ok(Value::Integer(integer)),
                None => Ok(Value::Number(number.as_f64().unwrap_or_default())),
            },
            _ => Err(Problem::invalid(
                format!("parameters[{index}]"),
                "a parameter is a text, a number or a boolean",
            )),
        });
    Ok(Statement::with_values(request.sql, values.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_sql_or_json() {
        assert_eq!(statement(b" SELECT 1").unwrap().text(), " SELECT 1");
        let with = statement(br#"{"sql": "SELECT $1, $2, $3", "parameters": ["a", 1, "a"]}"#).unwrap();
        assert_eq!(with.text(), "SELECT $1, $2, $3");
        assert_eq!(with.values().len(), 3);
        assert!(statement(br#"{"sql": "SELECT $1", "parameters": [[]]}"#).is_err());
        assert!(statement(br#"{"query": "SELECT 1"}"#).is_err());
        assert!(statement(b"\xff").is_err());
    }
}
