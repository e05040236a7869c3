//! The endpoints, behind `auth`.

mod rollups;
mod saved;

use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use bytes::Bytes;
use footfall_catalog::{CatalogError, Directory, NewFunnel};
use footfall_funnels::FunnelDefinitions;
use footfall_gateway::read_json;
use footfall_ingest::collect::json_response;
use footfall_lake::Lake;
use footfall_model::access::Principal;
use footfall_model::clock::Clock;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

pub(crate) use rollups::status as rollup_status;
pub(super) use rollups::{create_rollup, drop_rollup, list_rollups};
pub(super) use saved::routes as saved_routes;

use super::error::ApiError;
use super::other_site;
use super::wire::{
    FunnelBody, FunnelRequest, FunnelsBody, NewTokenBody, SiteBody, SiteChangeBody, SiteRequest, SitesBody, TokenBody,
    TokenRequest, TokensBody,
};

#[derive(Debug, Clone)]
pub(super) struct Handlers {
    pub(super) directory: Arc<Directory>,
    pub(super) funnels: Arc<FunnelDefinitions>,
    pub(super) lake: Lake,
    pub(super) clock: Arc<dyn Clock>,
}

type BodyBytes = Result<Bytes, BytesRejection>;

pub(super) async fn list_sites(State(state): State<Handlers>) -> Result<Response, ApiError> {
    let sites = state.directory.catalog().sites().await?;
    let sites = sites.into_iter().map(SiteBody::from).collect();
    Ok(json_response(StatusCode::OK, &SitesBody { sites }))
}

pub(super) async fn create_site(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let new: SiteRequest = parse(body)?;
    let site = state.directory.catalog().create_site(new.into()).await?;
    state.directory.forget_site(&site.tracking_id).await;
    tracing::info!(by = admin.token_id, tracking_id = site.tracking_id, "site created");
    Ok(json_response(StatusCode::CREATED, &SiteBody::from(site)))
}

pub(super) async fn change_site(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    tracking_id: Result<Path<String>, PathRejection>,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let Path(tracking_id) = tracking_id.map_err(|error| ApiError::unreadable(error.status()))?;
    let change: SiteChangeBody = parse(body)?;
    let change = change.into();
    let site = state.directory.catalog().change_site(&tracking_id, change).await?;
    state.directory.forget_site(&tracking_id).await;
    tracing::info!(by = admin.token_id, tracking_id, ?change, "site changed");
    Ok(json_response(StatusCode::OK, &SiteBody::from(site)))
}

pub(super) async fn list_tokens(State(state): State<Handlers>) -> Result<Response, ApiError> {
    let tokens = state.directory.catalog().tokens().await?;
    let tokens = tokens.into_iter().map(TokenBody::from).collect();
    Ok(json_response(StatusCode::OK, &TokensBody { tokens }))
}

pub(super) async fn create_token(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let new: TokenRequest = parse(body)?;
    let new = new.into_new(state.clock.now())?;
    let (token, secret) = state.directory.catalog().create_token(new).await?;
    tracing::info!(by = admin.token_id, token = token.id, role = ?token.role, "token created");
    let body = NewTokenBody {
        token: token.into(),
        secret: secret.expose().to_owned(),
    };
    let mut response = json_response(StatusCode::CREATED, &body);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) async fn revoke_token(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let token = state.directory.catalog().revoke_token(&id).await?;
    state.directory.forget_principals();
    tracing::info!(by = admin.token_id, token = token.id, "token revoked");
    Ok(json_response(StatusCode::OK, &TokenBody::from(token)))
}

pub(super) async fn list_funnels(State(state): State<Handlers>) -> Result<Response, ApiError> {
    let funnels = state.directory.catalog().funnels().await?.funnels;
    let funnels = funnels.into_iter().map(FunnelBody::from).collect();
    Ok(json_response(StatusCode::OK, &FunnelsBody { funnels }))
}

pub(super) async fn create_funnel(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let new: FunnelRequest = parse(body)?;
    let funnel = state.directory.catalog().create_funnel(new.into()).await?;
    state.refresh_funnels().await;
    tracing::info!(
        by = admin.token_id,
        funnel = funnel.id,
        tracking_id = funnel.tracking_id,
        "funnel created"
    );
    Ok(json_response(StatusCode::CREATED, &FunnelBody::from(funnel)))
}

pub(super) async fn show_funnel(
    State(state): State<Handlers>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let funnel = state.directory.catalog().funnel(&id).await?;
    let funnel = funnel.ok_or(CatalogError::NotFound { what: "funnel", id })?;
    Ok(json_response(StatusCode::OK, &FunnelBody::from(funnel)))
}

pub(super) async fn change_funnel(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let new: FunnelRequest = parse(body)?;
    let known = state.directory.catalog().funnel(&id).await?;
    let known = known.ok_or_else(|| CatalogError::NotFound {
        what: "funnel",
        id: id.clone(),
    })?;
    let new = NewFunnel::from(new);
    if new.tracking_id != known.tracking_id {
        return Err(other_site(&known).into());
    }
    let funnel = state.directory.catalog().change_funnel(&id, new.definition).await?;
    state.refresh_funnels().await;
    tracing::info!(
        by = admin.token_id,
        funnel = funnel.id,
        tracking_id = funnel.tracking_id,
        "funnel changed"
    );
    Ok(json_response(StatusCode::OK, &FunnelBody::from(funnel)))
}

pub(super) async fn delete_funnel(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|error| ApiError::unreadable(error.status()))?;
    let funnel = state.directory.catalog().delete_funnel(&id).await?;
    state.refresh_funnels().await;
    tracing::info!(
        by = admin.token_id,
        funnel = funnel.id,
        tracking_id = funnel.tracking_id,
        "funnel deleted"
    );
    Ok(json_response(StatusCode::OK, &FunnelBody::from(funnel)))
}

impl Handlers {
    /// So that this process knows the change at once. If it fails, it will know within a second or when the catalog
    /// answers again.
    async fn refresh_funnels(&self) {
        if let Err(error) = crate::funnels::refresh(self.directory.catalog().as_ref(), &self.funnels).await {
            tracing::warn!(%error, "the funnels can't be read for now");
        }
    }
}

/// Ignores the content type, because curl's `-d` sends a form's.
fn parse<T: DeserializeOwned>(body: BodyBytes) -> Result<T, ApiError> {
    let body = body.map_err(|error| ApiError::unreadable(error.status()))?;
    Ok(read_json(&body)?)
}
