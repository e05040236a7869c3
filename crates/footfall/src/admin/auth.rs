//! Admits only an admin's bearer token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use footfall_catalog::Directory;
use footfall_model::access::{self, Role};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::error::ApiError;

/// Leaves the principal in the request's extensions, for the audit log.
pub(super) async fn require_admin(
    State(directory): State<Arc<Directory>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let secret = bearer(request.headers()).ok_or_else(ApiError::no_token)?;
    let principal = directory.principal(secret).await?.ok_or_else(ApiError::unknown_token)?;
    if principal.role != Role::Admin {
        return Err(ApiError::not_admin());
    }
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

/// The token of the one `Authorization: Bearer` header (RFC 6750, section 2.1; the scheme in any case).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    access::bearer(value.to_str().ok()?)
}
