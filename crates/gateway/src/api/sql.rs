//! `POST /api/v1/sql`: one read-only statement, its rows streamed in the format that `Accept` names.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, SchemaType, Type};

use super::Gateway;
use super::caller::Caller;
use super::encode::{Encoder, Format};
use crate::problem::{self, Problem};
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

/// One read-only statement.
#[utoipa::path(
    post,
    path = "/api/v1/sql",
    request_body = SqlRequest,
    responses(
        (status = 200, description = "Columns and rows; as `Accept` says also text/csv, application/x-ndjson or application/vnd.apache.arrow.stream"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn sql(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    headers: HeaderMap,
    super::Body(body): super::Body,
) -> Result<Response, Problem> {
    let format = accepted(&headers)?;
    let statement = statement(&body)?;
    let rows = gateway.flight.rows(&token, &statement).await?;
    let mut encoder = Encoder::new(format, &rows.schema)?;
    let mut batches = Box::pin(rows.stream());
    // Many errors show with the first rows: these still have a status of their own.
    let first = batches.next().await.transpose()?;
    let mut start = encoder.start()?;
    if let Some(batch) = first {
        start.extend(encoder.batch(&batch)?);
    }
    let body = Body::from_stream(encoded(encoder, start, batches));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

fn scalars() -> Array {
    let scalar = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
    ArrayBuilder::new()
        .items(ObjectBuilder::new().schema_type(scalar))
        .build()
}

/// An error midway cuts the body off, so that no client takes a part for the whole.
fn encoded(
    encoder: Encoder,
    start: Vec<u8>,
    batches: impl Stream<Item = Result<arrow::array::RecordBatch, Problem>> + Unpin,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let rest = stream::unfold(Some((encoder, batches)), |state| async {
        let (mut encoder, mut batches) = state?;
        match batches.next().await {
            Some(batch) => {
                let bytes = batch
                    .and_then(|batch| encoder.batch(&batch))
                    .map_err(|problem| cut_off(&problem));
                let state = bytes.is_ok().then_some((encoder, batches));
                Some((bytes.map(Bytes::from), state))
            }
            None => Some((
                encoder.finish().map(Bytes::from).map_err(|problem| cut_off(&problem)),
                None,
            )),
        }
    });
    stream::once(std::future::ready(Ok(Bytes::from(start)))).chain(rest)
}

fn cut_off(problem: &Problem) -> std::io::Error {
    tracing::warn!(?problem, "a result was cut off");
    std::io::Error::other("the query failed")
}

/// SQL as it is, or `{"sql": …, "parameters": […]}`: no statement begins with a brace.
fn statement(body: &[u8]) -> Result<Statement, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::invalid("sql", "the body is not UTF-8"))?;
    if !text.trim_start().starts_with('{') {
        return Ok(Statement::new(text));
    }
    let request: SqlRequest = serde_json::from_str(text).map_err(|error| Problem::bad_json(&error))?;
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

/// The best of what the client accepts; JSON if it does not say.
fn accepted(headers: &HeaderMap) -> Result<Format, Problem> {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept: Vec<&str> = accept.flat_map(|value| value.split(',')).collect();
    if accept.is_empty() {
        return Ok(Format::Json);
    }
    let mut best: Option<(f32, Format)> = None;
    for range in accept {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=")?.parse().ok())
            .unwrap_or(1.0);
        if let Some(format) = Format::of_media_range(name)
            && quality > best.map_or(0.0, |(quality, _)| quality)
        {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format)
        .ok_or_else(|| Problem::not_acceptable(&Format::MEDIA_TYPES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_accepted_format_is_chosen() {
        for (accept, expected) in [
            ("*/*", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("text/html, application/x-ndjson;q=0.9, */*;q=0.1", Some(Format::NdJson)),
            ("application/vnd.apache.arrow.stream", Some(Format::Arrow)),
            ("text/html", None),
            ("text/csv;q=0", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepted(&headers).ok(), expected, "{accept}");
        }
        assert_eq!(accepted(&HeaderMap::new()).unwrap(), Format::Json);
    }

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
