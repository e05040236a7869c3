//! Administration: sites, tokens, funnels and rollups, over HTTP and from the command line.
//!
//! ```text
//! client::Admin   what the command line calls: the state folder itself, or
//!    | JSON       a running server, through
//! router          GET, POST /api/v1/sites    PATCH /api/v1/sites/{tracking_id}
//!    |            GET, POST /api/v1/tokens    POST /api/v1/tokens/{id}/revoke
//!    |            GET, POST /api/v1/funnels   GET, PUT, DELETE /api/v1/funnels/{id}
//!    |            GET, POST /api/v1/rollups   DELETE /api/v1/rollups/{name}
//!    |            GET, POST /api/v1/segments  GET, PUT, DELETE /api/v1/segments/{id}, and the same of dashboards
//!    |            auth: an admin's bearer token, checked before the body is read
//! Directory       and the catalog behind it
//! ```
//!
//! Both ends share one description of the JSON, in `wire`.

mod auth;
pub(crate) mod client;
mod error;
mod handlers;
mod saved;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, patch, post};
use footfall_catalog::{CatalogError, Directory, SavedKind};
use footfall_funnels::{Funnel, FunnelDefinitions};
use footfall_lake::Lake;
use footfall_model::clock::Clock;
use http::StatusCode;

use error::ApiError;
use handlers::Handlers;
pub(crate) use handlers::rollup_status;
pub(crate) use saved::{parse_saved, saved_to_json};
pub(crate) use wire::{RollupStatus, funnel_to_json, parse_funnel, rollup_to_json};

/// The endpoints as an OpenAPI document describes them: its `paths` and `components`.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

/// The largest request body, in bytes. A token for a thousand sites fits.
const MAX_BODY: usize = 64 * 1024;

/// The endpoints under `/api/v1/sites`, `tokens`, `funnels`, `rollups`, `segments` and `dashboards`, to be merged into the server's router.
/// `funnels` and `lake` are those that this process uses.
pub(crate) fn router(
    directory: Arc<Directory>,
    funnels: Arc<FunnelDefinitions>,
    lake: Lake,
    clock: Arc<dyn Clock>,
) -> Router {
    let wrong_method = || async { ApiError::method_not_allowed() };
    let authenticated = from_fn_with_state(directory.clone(), auth::require_admin);
    Router::new()
        .route(
            "/api/v1/sites",
            get(handlers::list_sites)
                .post(handlers::create_site)
                .fallback(wrong_method),
        )
        .route(
            "/api/v1/sites/{tracking_id}",
            patch(handlers::change_site).fallback(wrong_method),
        )
        .route(
            "/api/v1/tokens",
            get(handlers::list_tokens)
                .post(handlers::create_token)
                .fallback(wrong_method),
        )
        .route(
            "/api/v1/tokens/{id}/revoke",
            post(handlers::revoke_token).fallback(wrong_method),
        )
        .route(
            "/api/v1/funnels",
            get(handlers::list_funnels)
                .post(handlers::create_funnel)
                .fallback(wrong_method),
        )
        .route(
            "/api/v1/funnels/{id}",
            get(handlers::show_funnel)
                .put(handlers::change_funnel)
                .delete(handlers::delete_funnel)
                .fallback(wrong_method),
        )
        .route(
            "/api/v1/rollups",
            get(handlers::list_rollups)
                .post(handlers::create_rollup)
                .fallback(wrong_method),
        )
        .route(
            "/api/v1/rollups/{name}",
            delete(handlers::drop_rollup).fallback(wrong_method),
        )
        .merge(handlers::saved_routes(SavedKind::Segment))
        .merge(handlers::saved_routes(SavedKind::Dashboard))
        .route_layer(from_fn(of_json))
        .route_layer(authenticated)
        .route_layer(from_fn(close_unread))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Handlers {
            directory,
            funnels,
            lake,
            clock,
        })
}

/// Refuses bodies that are of another type than JSON.
async fn of_json(request: Request, next: Next) -> Result<Response, ApiError> {
    footfall_gateway::check_media_type(request.headers())?;
    Ok(next.run(request).await)
}

/// A request that is refused for its token, method or type has its body unread.
async fn close_unread(request: Request, next: Next) -> Response {
    const UNREAD: [StatusCode; 4] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
    ];
    let has_body = footfall_gateway::has_body(&request);
    let mut response = next.run(request).await;
    if has_body && UNREAD.contains(&response.status()) {
        footfall_gateway::close(&mut response);
    }
    response
}

/// For a change of a funnel that names another site.
fn other_site(known: &Funnel) -> CatalogError {
    CatalogError::Invalid {
        field: "tracking_id",
        reason: format!("a funnel stays with its site; expected {:?}", known.tracking_id),
    }
}

#[cfg(test)]
mod tests;
