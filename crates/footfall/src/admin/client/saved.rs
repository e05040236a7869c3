//! Segments and dashboards.

use footfall_catalog::{NewSaved, Saved, SavedKind};
use http::StatusCode;
use serde_json::Value;

use super::{Admin, AdminError, Remote};
use crate::admin::saved::{check, check_site, from_json, not_found, plural, request};

impl Admin {
    pub(crate) async fn create_saved(&self, kind: SavedKind, new: NewSaved) -> Result<Saved, AdminError> {
        match self {
            Self::Local(catalog) => {
                check(kind, &new.definition)?;
                Ok(catalog.create_saved(kind, new).await?)
            }
            Self::Remote(server) => {
                let made = server.post(&[plural(kind)], &request(kind, new)).await?;
                server.saved(kind, made)
            }
        }
    }

    /// Oldest first.
    pub(crate) async fn list_saved(&self, kind: SavedKind) -> Result<Vec<Saved>, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.all_saved(kind).await?),
            Self::Remote(server) => {
                let mut listed: Value = server.get(&[plural(kind)]).await?;
                let Value::Array(all) = listed[plural(kind)].take() else {
                    return Err(server.not_footfall());
                };
                all.into_iter().map(|body| server.saved(kind, body)).collect()
            }
        }
    }

    pub(crate) async fn saved(&self, kind: SavedKind, id: &str) -> Result<Saved, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.saved(kind, id).await?.ok_or_else(|| not_found(kind, id))?),
            Self::Remote(server) => {
                let found = server.get(&[plural(kind), id]).await?;
                server.saved(kind, found)
            }
        }
    }

    /// Its site stays.
    pub(crate) async fn change_saved(&self, kind: SavedKind, id: &str, new: NewSaved) -> Result<Saved, AdminError> {
        match self {
            Self::Local(catalog) => {
                let known = self.saved(kind, id).await?;
                check_site(kind, &known, &new.tracking_id)?;
                check(kind, &new.definition)?;
                Ok(catalog.change_saved(kind, id, new.name, new.definition).await?)
            }
            Self::Remote(server) => {
                let changed = server.put(&[plural(kind), id], &request(kind, new)).await?;
                server.saved(kind, changed)
            }
        }
    }

    /// What it was.
    pub(crate) async fn delete_saved(&self, kind: SavedKind, id: &str) -> Result<Saved, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.delete_saved(kind, id).await?),
            Self::Remote(server) => {
                let deleted = server.delete(&[plural(kind), id]).await?;
                server.saved(kind, deleted)
            }
        }
    }
}

impl Remote {
    fn saved(&self, kind: SavedKind, body: Value) -> Result<Saved, AdminError> {
        from_json(kind, body).map_err(|_| self.not_footfall())
    }

    fn not_footfall(&self) -> AdminError {
        AdminError::NotFootfall {
            url: self.url.clone(),
            status: StatusCode::OK,
        }
    }
}
