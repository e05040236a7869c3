//! The JSON of collection's HTTP errors: `{"error": {"code", "message", "field"?}}`.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// The body of an error reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody<'a> {
    pub error: ErrorDetail<'a>,
}

/// Why a request was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail<'a> {
    /// For programs: stable when the message changes.
    pub code: Cow<'a, str>,
    /// For people.
    pub message: Cow<'a, str>,
    /// The invalid field of the request, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Cow<'a, str>>,
}

/// A reply with a JSON body.
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    // Bodies are plain structs of strings and numbers, which serde can't fail on; still, no reason to panic.
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
