//! Errors as `application/problem+json` (RFC 9457), with the field and what it may be. The one mapping of errors to
//! statuses, for reports and for management.

mod input;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use tonic::{Code, Status};
use utoipa::ToSchema;

pub use input::{check_media_type, read_json};
pub(crate) use input::{fit, query_string};

/// Names that are less alike than this are not suggested.
const ALIKE: f64 = 0.7;

/// Names that are listed in a sentence.
const MAX_NAMES: usize = 12;

/// Why a request fails. It displays as one sentence, with the field first.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Body>);

/// An error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    #[schema(value_type = String)]
    title: &'static str,
    #[serde(serialize_with = "number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// For programs: stable when the detail changes.
    #[schema(value_type = String)]
    code: &'static str,
    /// For people.
    detail: String,
    /// Where in the request: `metrics[1]`, `filters.device`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What the field may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<String>,
    #[serde(skip)]
    header: Option<(HeaderName, &'static str)>,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// The code of a problem that has no other.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::NOT_ACCEPTABLE => "not_acceptable",
        StatusCode::CONFLICT => "already_exists",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "timeout",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::TOO_MANY_REQUESTS => "too_many_requests",
        StatusCode::INTERNAL_SERVER_ERROR => "internal",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "invalid",
    }
}

impl Problem {
    /// `detail` says what is wrong and what to do.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Body {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            code: code(status),
            detail: detail.into(),
            field: None,
            allowed: Vec::new(),
            header: None,
        }))
    }

    /// A request that can't be answered as it is.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail).at(field)
    }

    /// "unknown metric `pageview`; did you mean `pageviews`?"
    pub(crate) fn unknown<'a>(
        field: impl Into<String>,
        what: &str,
        given: &str,
        allowed: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let allowed: Vec<String> = allowed.into_iter().map(str::to_owned).collect();
        let hint = match most_alike(given, &allowed) {
            Some(name) => format!("; did you mean `{name}`?"),
            None => String::new(),
        };
        let detail = format!("unknown {what} `{}`{hint}", printable(given));
        let mut problem = Self::invalid(field, detail);
        problem.0.allowed = allowed;
        problem
    }

    /// What axum found wrong with the body or the path. `max_body`: in bytes. A connection whose body was not read to its
    /// end can't be used again, which the client is told.
    pub fn unreadable(status: StatusCode, max_body: usize) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, format!("the body has more than {max_body} bytes")),
            StatusCode::REQUEST_TIMEOUT => Self::new(status, "the body did not arrive in time"),
            _ => Self::new(
                StatusCode::BAD_REQUEST,
                "the request could not be read to its end, or its path is not UTF-8",
            )
            .with_code("unreadable"),
        }
        .header(CONNECTION, "close")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this address does not accept the request's method; the header Allow lists those that it accepts",
        )
    }

    pub(crate) fn no_token() -> Self {
        Self::unauthorized(
            "send the header \"Authorization: Bearer TOKEN\" with a reader's token",
            None,
        )
    }

    /// 401; `error` says what is wrong with a token that was sent (RFC 6750, section 3.1).
    pub fn unauthorized(detail: impl Into<String>, error: Option<BearerError>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).header(WWW_AUTHENTICATE, BearerError::challenge(error))
    }

    /// 403: a token of another role or of other sites.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        let challenge = BearerError::challenge(Some(BearerError::InsufficientScope));
        Self::new(StatusCode::FORBIDDEN, detail).header(WWW_AUTHENTICATE, challenge)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(crate) fn not_acceptable(allowed: &[&str]) -> Self {
        let detail = "none of the media types in Accept can be given";
        let problem = Self::new(StatusCode::NOT_ACCEPTABLE, detail).at("Accept");
        problem.with_allowed(allowed.iter().copied())
    }

    pub(crate) fn too_large() -> Self {
        let detail = "the result is too large for one reply; ask for fewer rows or columns, or use /api/v1/exports or \
                      /api/v1/sql, which stream";
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "the query took too long; ask for less")
    }

    /// 503, and when to try again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).header(RETRY_AFTER, "1")
    }

    pub(crate) fn too_many_requests(per_second: u32) -> Self {
        let detail = format!("this token has sent too many requests: {per_second} a second may go on; try again");
        // One request is allowed again within a second, whatever the limit.
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).header(RETRY_AFTER, "1")
    }

    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "the gateway can't make sense of an answer");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an internal error; the server's log has the cause",
        )
    }

    /// What the Flight SQL server says.
    pub(crate) fn of_status(status: &Status) -> Self {
        // Statuses that came over the wire have no source; those of the transport do.
        if std::error::Error::source(status).is_some() {
            tracing::warn!(%status, "the Flight SQL server does not answer");
            return Self::unavailable("the query server does not answer; try again");
        }
        let text = status.message();
        match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::Unimplemented | Code::OutOfRange => {
                Self::new(StatusCode::BAD_REQUEST, text)
            }
            Code::Unauthenticated => Self::unauthorized(text, Some(BearerError::InvalidToken)),
            Code::PermissionDenied => Self::forbidden(text),
            Code::ResourceExhausted => Self::new(StatusCode::TOO_MANY_REQUESTS, text).header(RETRY_AFTER, "1"),
            Code::DeadlineExceeded => Self::new(StatusCode::GATEWAY_TIMEOUT, text),
            Code::Unavailable | Code::Cancelled | Code::Aborted => Self::unavailable(text),
            _ => Self::internal(status),
        }
    }

    fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// A code of its own.
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = code;
        self
    }

    /// The field that is wrong.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// If the request is wrong, and nothing says where: here.
    pub(crate) fn of_request(mut self, field: &str) -> Self {
        if self.0.status == StatusCode::BAD_REQUEST && self.0.field.is_none() {
            self.0.field = Some(field.to_owned());
        }
        self
    }

    /// Of a part of the request that stands at `outer`.
    pub fn within(mut self, outer: &str) -> Self {
        self.0.field = Some(match self.0.field {
            Some(inner) if !inner.is_empty() => format!("{outer}.{inner}"),
            _ => outer.to_owned(),
        });
        self
    }

    /// What was meant, perhaps.
    pub(crate) fn with_hint(mut self, given: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        if let Some(name) = most_alike(given, &names).filter(|name| *name != given) {
            self.0.detail = format!("{}; did you mean `{name}`?", self.0.detail);
        }
        self
    }

    /// What the field may be.
    pub fn with_allowed<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.allowed = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// Where what is allowed would be hundreds of names.
    pub(crate) fn without_allowed(mut self) -> Self {
        self.0.allowed.clear();
        self
    }

    /// Says first what it is about.
    pub(crate) fn about(mut self, what: &str) -> Self {
        if !what.is_empty() {
            self.0.detail = format!("{what}: {}", self.0.detail);
        }
        self
    }

    #[cfg(test)]
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whether asking again can't help.
    pub(crate) fn is_final(&self) -> bool {
        self.0.status.is_client_error() && self.0.status != StatusCode::TOO_MANY_REQUESTS
    }

    /// The JSON.
    pub(crate) fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&sentence(self.0.field.as_deref(), &self.0.detail, &self.0.allowed))
    }
}

/// A problem for people who don't see its JSON: `role: unknown value `boss`; expected `admin`, `reader` or `writer``.
pub fn sentence(field: Option<&str>, detail: &str, allowed: &[String]) -> String {
    let place = field.filter(|field| !field.is_empty());
    let place = place.map(|field| format!("{field}: ")).unwrap_or_default();
    let names: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
    let expected = match &names[..] {
        [] => String::new(),
        // Nobody reads more.
        more if more.len() > MAX_NAMES => String::new(),
        [only] => format!("; expected {only}"),
        [others @ .., last] => format!("; expected {} or {last}", others.join(", ")),
    };
    format!("{place}{detail}{expected}")
}

impl std::error::Error for Problem {}

/// What is wrong with a token, in `WWW-Authenticate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerError {
    InvalidToken,
    InsufficientScope,
}

impl BearerError {
    fn challenge(error: Option<Self>) -> &'static str {
        match error {
            None => r#"Bearer realm="footfall""#,
            Some(Self::InvalidToken) => r#"Bearer realm="footfall", error="invalid_token""#,
            Some(Self::InsufficientScope) => r#"Bearer realm="footfall", error="insufficient_scope""#,
        }
    }
}

/// What a user wrote, short and without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// The name that was meant, perhaps.
fn most_alike<'a>(given: &str, names: &'a [String]) -> Option<&'a str> {
    let given = given.to_lowercase().replace(['-', ' '], "_");
    if given.len() > 100 {
        return None;
    }
    let scored = names.iter().map(|name| (strsim::jaro_winkler(&given, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1.as_str())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // What is not found now may be there in a second.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((name, value)) = self.0.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_name_is_suggested() {
        let names = ["pageviews", "sessions", "bounce_rate"];
        let problem = Problem::unknown("metrics[0]", "metric", "pageview", names);
        assert_eq!(problem.0.detail, "unknown metric `pageview`; did you mean `pageviews`?");
        assert_eq!(problem.0.allowed, names);
        let problem = Problem::unknown("metrics[0]", "metric", "qqq", names);
        assert_eq!(problem.0.detail, "unknown metric `qqq`");
        assert_eq!(serde_json::to_value(&problem).unwrap()["status"], 400);
    }

    #[test]
    fn sentence_names_field_and_what_it_may_be() {
        let problem = Problem::unknown("role", "role", "boss", ["admin", "reader", "writer"]);
        assert_eq!(
            problem.to_string(),
            "role: unknown role `boss`; expected `admin`, `reader` or `writer`"
        );
        let names: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
        let many = Problem::unknown("x", "x", "qqq", names.iter().map(String::as_str));
        assert_eq!(many.to_string(), "x: unknown x `qqq`");
        assert_eq!(Problem::not_found("there is none").to_string(), "there is none");
    }

    #[test]
    fn flight_codes_map_to_http() {
        for (status, expected) in [
            (Status::invalid_argument("x"), 400),
            (Status::unauthenticated("x"), 401),
            (Status::permission_denied("x"), 403),
            (Status::resource_exhausted("x"), 429),
            (Status::internal("x"), 500),
            (Status::unavailable("x"), 503),
            (Status::deadline_exceeded("x"), 504),
        ] {
            assert_eq!(Problem::of_status(&status).0.status.as_u16(), expected);
        }
    }
}
