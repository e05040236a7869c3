//! Errors as JSON: `{"error": {"code", "message", "field"?}}`.

use axum::response::{IntoResponse, Response};
use footfall_catalog::CatalogError;
use footfall_ingest::collect::{ErrorBody, ErrorDetail, json_response};
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::MAX_BODY;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
    header: Option<(HeaderName, &'static str)>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            field: None,
            header: None,
        }
    }

    fn header(self, name: HeaderName, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    pub(super) fn no_token() -> Self {
        let message = "send the header \"Authorization: Bearer TOKEN\" with an admin token";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .header(WWW_AUTHENTICATE, r#"Bearer realm="footfall""#)
    }

    pub(super) fn unknown_token() -> Self {
        let message = "the token is unknown, revoked or expired; create another one";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .header(WWW_AUTHENTICATE, r#"Bearer realm="footfall", error="invalid_token""#)
    }

    pub(super) fn not_admin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "this needs an admin token; the one sent has another role",
        )
        .header(
            WWW_AUTHENTICATE,
            r#"Bearer realm="footfall", error="insufficient_scope""#,
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "this address does not accept the request's method; the header Allow lists those that it accepts";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(super) fn bad_json(error: &serde_json::Error) -> Self {
        let message = format!("the body is not the JSON object that is expected here: {error}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    }

    /// `status`: what axum found wrong with the body or the path.
    pub(super) fn unreadable(status: StatusCode) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("the body has more than {MAX_BODY} bytes");
            return Self::new(status, "too_large", message);
        }
        Self::new(
            StatusCode::BAD_REQUEST,
            "unreadable",
            "the request could not be read to its end",
        )
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Invalid { field, reason } => Self {
                field: Some(field),
                ..Self::new(StatusCode::BAD_REQUEST, "invalid", reason)
            },
            CatalogError::AlreadyExists { .. } => Self::new(StatusCode::CONFLICT, "already_exists", error.to_string()),
            CatalogError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string()),
            CatalogError::Unavailable(cause) => {
                // The cause names files: it is logged for the operator.
                tracing::error!(%cause, "the catalog does not answer");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "the catalog does not answer; try again",
                )
                .header(RETRY_AFTER, "1")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = ErrorDetail {
            code: self.code.into(),
            message: self.message.into(),
            field: self.field.map(Into::into),
        };
        let mut response = json_response(self.status, &ErrorBody { error });
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
