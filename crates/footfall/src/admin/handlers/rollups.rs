//! Configured rollups.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use footfall_ingest::collect::json_response;
use footfall_model::access::Principal;
use footfall_model::rollup::{ConfiguredRollup, RollupDefinition};
use footfall_model::table::events;
use http::StatusCode;

use super::super::error::ApiError;
use super::super::wire::{RollupBody, RollupStatus, RollupsBody};
use super::{BodyBytes, Handlers, parse};

pub(in crate::admin) async fn list_rollups(State(state): State<Handlers>) -> Result<Response, ApiError> {
    let rollups = state.directory.catalog().rollups().await?.rollups;
    let rollups = rollups.into_iter().map(|rollup| state.rollup(rollup)).collect();
    Ok(json_response(StatusCode::OK, &RollupsBody { rollups }))
}

pub(in crate::admin) async fn create_rollup(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    body: BodyBytes,
) -> Result<Response, ApiError> {
    let definition: RollupDefinition = parse(body)?;
    let rollup = state.directory.catalog().create_rollup(definition).await?;
    state.refresh_rollups().await;
    tracing::info!(by = admin.token_id, rollup = rollup.definition.name, "rollup created");
    Ok(json_response(StatusCode::CREATED, &state.rollup(rollup)))
}

pub(in crate::admin) async fn drop_rollup(
    State(state): State<Handlers>,
    Extension(admin): Extension<Principal>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(name) = name.map_err(|error| ApiError::unreadable(error.status()))?;
    let rollup = state.directory.catalog().drop_rollup(&name).await?;
    let was = state.rollup(rollup);
    state.refresh_rollups().await;
    tracing::info!(by = admin.token_id, rollup = name, "rollup dropped");
    Ok(json_response(StatusCode::OK, &was))
}

impl Handlers {
    fn rollup(&self, rollup: ConfiguredRollup) -> RollupBody {
        RollupBody::from(status(&self.lake, rollup))
    }

    /// So that this process knows the change at once. If it fails, it will know once the catalog and the lake answer.
    async fn refresh_rollups(&self) {
        if let Err(error) = crate::rollups::refresh(self.directory.catalog().as_ref(), &self.lake).await {
            tracing::warn!(error = format!("{error:#}"), "the rollups can't be read for now");
        }
    }
}

/// A rollup with how much of the lake's events it covers.
pub(crate) fn status(lake: &footfall_lake::Lake, rollup: ConfiguredRollup) -> RollupStatus {
    let open = lake.rollups();
    let open = open.iter().find(|open| open.rollup.revision == rollup.revision);
    let events = lake.table(events().name()).map(|events| events.snapshot());
    RollupStatus {
        progress: open.zip(events).map(|(open, events)| open.progress(&events)),
        rollup,
    }
}
