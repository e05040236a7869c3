//! Replies to the client. The only module that maps errors to HTTP statuses.

use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::body::BodyError;
use super::error_body::{ErrorDetail, json_response};
use super::json::JsonError;
use super::publish::{Outcome, Refusal};
use super::reject::{Cause, Reject};

/// Asks for what was changed.
pub(super) const DEBUG_REQUEST: HeaderName = HeaderName::from_static("x-debug-request");

/// The JSON body of a reply.
#[derive(Debug, Serialize)]
struct Reply<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<Vec<RejectedEvent<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<ChangedValue>>,
}

#[derive(Debug, Serialize)]
struct RejectedEvent<'a> {
    index: usize,
    code: &'static str,
    field: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
}

/// A value that is not stored as it was sent.
#[derive(Debug, Serialize)]
struct ChangedValue {
    index: usize,
    field: &'static str,
    what: &'static str,
    /// Characters.
    before: usize,
    after: usize,
}

/// A request of which nothing was stored.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u32>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let (status, code) = match &error {
            BodyError::MediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            BodyError::Encoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            BodyError::TooBig { .. } | BodyError::InflatesTooBig { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_big")
            }
            BodyError::Gzip(_) => (StatusCode::BAD_REQUEST, "bad_gzip"),
            BodyError::Timeout(_) => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            BodyError::Aborted(_) => (StatusCode::BAD_REQUEST, "body_aborted"),
            BodyError::Exhausted => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        };
        Self {
            retry_after: (error == BodyError::Exhausted).then_some(1),
            ..Self::new(status, code, error.to_string())
        }
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        let (status, code) = match error {
            JsonError::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_events"),
            JsonError::Empty | JsonError::NoEvents => (StatusCode::BAD_REQUEST, "no_events"),
            JsonError::NotUtf8(_) => (StatusCode::BAD_REQUEST, "not_utf8"),
            JsonError::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed_json"),
            JsonError::NotAnEvent(_) => (StatusCode::BAD_REQUEST, "not_an_event"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            retry_after: Some(refusal.retry_after()),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, refusal.code(), refusal.to_string())
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        metrics::counter!("footfall_ingest_requests_refused_total", "reason" => self.code).increment(1);
        let error = ErrorDetail {
            code: self.code.into(),
            message: self.message.into(),
            field: None,
        };
        let reply = Reply {
            error: Some(error),
            accepted: None,
            rejected: None,
            changed: None,
        };
        let mut response = json(self.status, &reply, self.retry_after);
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body may still arrive; it is not read.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Whether the client wants to know what was changed: `X-Debug-Request: true`.
pub(super) fn is_debug(headers: &HeaderMap) -> bool {
    let value = headers.get(DEBUG_REQUEST).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// All accepted: 204. Some accepted: 200 with the rejections. None accepted: the status of the common cause.
///
/// `debug`: 200 in place of 204, and the body says what was changed in the accepted events.
pub(super) fn of_outcome(outcome: &Outcome, debug: bool) -> Response {
    if outcome.rejected.is_empty() && !debug {
        return StatusCode::NO_CONTENT.into_response();
    }
    let (status, error) = if outcome.accepted > 0 {
        (StatusCode::OK, None)
    } else {
        let cause = common_cause(&outcome.rejected);
        (status_of(cause), Some(summary(cause, &outcome.rejected)))
    };
    let rejected = outcome.rejected.iter().map(|(index, reject)| RejectedEvent {
        index: *index,
        code: reject.cause.code(),
        field: reject.field.path(),
        reason: &reject.reason,
        expected: reject.expected.as_deref(),
    });
    let changed = outcome.changed.iter().flat_map(|(index, changes)| {
        changes.iter().map(|change| ChangedValue {
            index: *index,
            field: change.path(),
            what: change.what.name(),
            before: change.before,
            after: change.after,
        })
    });
    let reply = Reply {
        error,
        accepted: Some(outcome.accepted),
        rejected: (!outcome.rejected.is_empty()).then(|| rejected.collect()),
        changed: debug.then(|| changed.collect()),
    };
    json(status, &reply, longest_wait(&outcome.rejected))
}

/// The cause of a failed request: `Rate` if any event was over its rate, since a retry helps; else the cause that all
/// events share; else `Invalid`.
pub(super) fn common_cause(rejected: &[(usize, Reject)]) -> Cause {
    let mut causes = rejected.iter().map(|(_, reject)| reject.cause);
    let first = causes.next().unwrap_or(Cause::Invalid);
    if rejected.iter().any(|(_, reject)| reject.cause == Cause::Rate) {
        Cause::Rate
    } else if causes.all(|cause| cause == first) {
        first
    } else {
        Cause::Invalid
    }
}

/// Seconds until the last of the rejected events may be sent again.
pub(super) fn longest_wait(rejected: &[(usize, Reject)]) -> Option<u32> {
    rejected.iter().filter_map(|(_, reject)| reject.retry_after).max()
}

fn status_of(cause: Cause) -> StatusCode {
    match cause {
        Cause::Invalid => StatusCode::BAD_REQUEST,
        Cause::TooBig => StatusCode::PAYLOAD_TOO_LARGE,
        Cause::UnknownSite => StatusCode::NOT_FOUND,
        Cause::Unauthenticated => StatusCode::UNAUTHORIZED,
        Cause::Forbidden => StatusCode::FORBIDDEN,
        Cause::Rate => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn summary(cause: Cause, rejected: &[(usize, Reject)]) -> ErrorDetail<'static> {
    let message = match rejected {
        [(_, reject)] => sentence(reject, reject.field.path()),
        all => format!("none of the {} events was stored; `rejected` says why", all.len()),
    };
    ErrorDetail {
        code: cause.code().into(),
        message: message.into(),
        field: None,
    }
}

/// A rejection in one line, with the field's name in the client's protocol.
pub(super) fn sentence(reject: &Reject, field: &str) -> String {
    let subject = if field.is_empty() { "the event" } else { field };
    let mut text = format!("{subject}: {}", reject.reason);
    if let Some(expected) = &reject.expected {
        text.push_str("; expected ");
        text.push_str(expected);
    }
    text
}

fn json(status: StatusCode, reply: &Reply<'_>, retry_after: Option<u32>) -> Response {
    let mut response = json_response(status, reply);
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
