//! Errors of administration: those of the gateway, from what the catalog says.

use axum::response::{IntoResponse, Response};
use footfall_catalog::CatalogError;
use footfall_gateway::{BearerError, Problem};
use http::StatusCode;

use super::MAX_BODY;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct ApiError(Problem);

impl ApiError {
    pub(super) fn no_token() -> Self {
        let detail = "send the header \"Authorization: Bearer TOKEN\" with an admin token";
        Self(Problem::unauthorized(detail, None))
    }

    pub(super) fn unknown_token() -> Self {
        let detail = "the token is unknown, revoked or expired; create another one";
        Self(Problem::unauthorized(detail, Some(BearerError::InvalidToken)))
    }

    pub(super) fn not_admin() -> Self {
        Self(Problem::forbidden(
            "this needs an admin token; the one sent has another role",
        ))
    }

    pub(super) fn method_not_allowed() -> Self {
        Self(Problem::method_not_allowed())
    }

    /// `status`: what axum found wrong with the body or the path.
    pub(super) fn unreadable(status: StatusCode) -> Self {
        Self(Problem::unreadable(status, MAX_BODY))
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        Self(match error {
            CatalogError::Invalid { field, reason } => Problem::invalid(field, reason),
            CatalogError::AlreadyExists { .. } => Problem::new(StatusCode::CONFLICT, error.to_string()),
            CatalogError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
            CatalogError::Unavailable(cause) => {
                // The cause names files: it is logged for the operator.
                tracing::error!(%cause, "the catalog does not answer");
                Problem::unavailable("the catalog does not answer; try again")
            }
        })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
