//! Segments and dashboards.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use axum::routing::get;
use footfall_catalog::{Saved, SavedKind};
use footfall_ingest::collect::json_response;
use footfall_model::access::Principal;
use http::StatusCode;
use serde_json::Value;

use super::{BodyBytes, Handlers};
use crate::admin::error::ApiError;
use crate::admin::saved;

type Id = Result<Path<String>, PathRejection>;
type By = Extension<Principal>;

/// `GET` and `POST /api/v1/segments`, `GET`, `PUT` and `DELETE /api/v1/segments/{id}`; the same of dashboards.
pub(in crate::admin) fn routes(kind: SavedKind) -> Router<Handlers> {
    let wrong_method = || async { ApiError::method_not_allowed() };
    let all = format!("/api/v1/{}", saved::plural(kind));
    let one = format!("{all}/{{id}}");
    Router::new()
        .route(
            &all,
            get(move |state: State<Handlers>| list(kind, state))
                .post(move |state: State<Handlers>, by: By, body: BodyBytes| create(kind, state, by, body))
                .fallback(wrong_method),
        )
        .route(
            &one,
            get(move |state: State<Handlers>, id: Id| show(kind, state, id))
                .put(move |state: State<Handlers>, by: By, id: Id, body: BodyBytes| change(kind, state, by, id, body))
                .delete(move |state: State<Handlers>, by: By, id: Id| delete(kind, state, by, id))
                .fallback(wrong_method),
        )
}

async fn list(kind: SavedKind, State(state): State<Handlers>) -> Result<Response, ApiError> {
    let all = state.directory.catalog().all_saved(kind).await?;
    reply(StatusCode::OK, saved::list_to_json(kind, all))
}

async fn create(
    kind: SavedKind,
    State(state): State<Handlers>,
    Extension(admin): By,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let new = parse(kind, body)?;
    saved::check(kind, &new.definition)?;
    let made = state.directory.catalog().create_saved(kind, new).await?;
    log(&admin, kind, &made, "created");
    reply(StatusCode::CREATED, saved::saved_to_json(kind, made))
}

async fn show(kind: SavedKind, State(state): State<Handlers>, id: Id) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let found = state.directory.catalog().saved(kind, &id).await?;
    let found = found.ok_or_else(|| saved::not_found(kind, &id))?;
    reply(StatusCode::OK, saved::saved_to_json(kind, found))
}

async fn change(
    kind: SavedKind,
    State(state): State<Handlers>,
    Extension(admin): By,
    id: Id,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let new = parse(kind, body)?;
    let catalog = state.directory.catalog();
    let known = catalog.saved(kind, &id).await?;
    let known = known.ok_or_else(|| saved::not_found(kind, &id))?;
    saved::check_site(kind, &known, &new.tracking_id)?;
    saved::check(kind, &new.definition)?;
    let changed = catalog.change_saved(kind, &id, new.name, new.definition).await?;
    log(&admin, kind, &changed, "changed");
    reply(StatusCode::OK, saved::saved_to_json(kind, changed))
}

async fn delete(
    kind: SavedKind,
    State(state): State<Handlers>,
    Extension(admin): By,
    id: Id,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let deleted = state.directory.catalog().delete_saved(kind, &id).await?;
    log(&admin, kind, &deleted, "deleted");
    reply(StatusCode::OK, saved::saved_to_json(kind, deleted))
}

fn parse(kind: SavedKind, body: BodyBytes) -> Result<footfall_catalog::NewSaved, ApiError> {
    let body = body.map_err(|error| ApiError::unreadable(error.status()))?;
    Ok(saved::parse_saved(kind, &body)?)
}

fn log(admin: &Principal, kind: SavedKind, saved: &Saved, what: &str) {
    let (by, site) = (&admin.token_id, &saved.tracking_id);
    tracing::info!(by, id = saved.id, tracking_id = site, "{} {what}", kind.what());
}

fn reply(status: StatusCode, body: serde_json::Result<Value>) -> Result<Response, ApiError> {
    let body = body.map_err(|error| footfall_catalog::CatalogError::Unavailable(Box::new(error)))?;
    Ok(json_response(status, &body))
}
