//! Metadata: tenants, sites, tokens, funnels, segments of users, dashboards, and who holds a shard's leases.
//!
//! ```text
//! Catalog        the trait; every implementation passes one contract test
//! SqliteCatalog  the embedded implementation: one file
//! Directory      a short-lived cache over any of them, for the look-ups that every request makes
//! ```
//!
//! A token's secret is shown once, when it is created; the catalog stores only its hash, and finds a token by that
//! hash.

#[cfg(test)]
mod contract;
mod directory;
mod secret;
mod sqlite;
#[cfg(test)]
mod testing;
mod types;
mod validate;

use std::fmt::Debug;

use async_trait::async_trait;
use footfall_funnels::{Definition, Funnel, FunnelSet};
use footfall_model::access::Principal;
use footfall_model::rollup::{ConfiguredRollup, ConfiguredRollups, RollupDefinition};
use serde_json::Value as Json;

pub use directory::Directory;
pub use sqlite::SqliteCatalog;
pub use types::{
    CatalogError, DroppedRollup, Lease, LeaseRequest, LeaseRole, NewFunnel, NewSaved, NewSite, NewToken, Saved,
    SavedKind, Secret, Site, SiteChange, Token,
};

/// The tenant that always exists.
pub const DEFAULT_TENANT: &str = "default";

/// Each event of a site is compared with the steps of all of its funnels.
pub const MAX_FUNNELS: i64 = 100;

/// Segments of a site, and dashboards of a site.
pub const MAX_SAVED: i64 = 200;

/// Each merge writes a segment of every rollup.
pub const MAX_ROLLUPS: i64 = 32;

/// The metadata store.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Creates a site. Fails with [`CatalogError::AlreadyExists`] if the tracking id is taken, and with
    /// [`CatalogError::Invalid`] if a field does not conform to [`NewSite`].
    async fn create_site(&self, site: NewSite) -> Result<Site, CatalogError>;

    /// Changes settings of a site. Fails with [`CatalogError::NotFound`] if there is no such site, and with
    /// [`CatalogError::Invalid`] if the change does not conform to [`SiteChange`].
    async fn change_site(&self, tracking_id: &str, change: SiteChange) -> Result<Site, CatalogError>;

    async fn site(&self, tracking_id: &str) -> Result<Option<Site>, CatalogError>;

    /// All sites, by tracking id.
    async fn sites(&self) -> Result<Vec<Site>, CatalogError>;

    /// Creates a token and returns its secret, which can't be retrieved later. Fails with [`CatalogError::Invalid`] if
    /// a field does not conform to [`NewToken`].
    async fn create_token(&self, token: NewToken) -> Result<(Token, Secret), CatalogError>;

    /// As [`Catalog::create_token`], with a secret that the caller has already stored, so that a crash in between can't
    /// lose it. The secret must come from [`Secret::random`]: its hash has no salt.
    async fn create_token_with(&self, token: NewToken, secret: &Secret) -> Result<Token, CatalogError>;

    /// All tokens, newest last, including revoked and expired ones.
    async fn tokens(&self) -> Result<Vec<Token>, CatalogError>;

    /// Revokes a token. Fails with [`CatalogError::NotFound`] if it does not exist. Revoking twice changes nothing.
    async fn revoke_token(&self, id: &str) -> Result<Token, CatalogError>;

    /// The principal that a secret belongs to; `None` if the secret is unknown, or its token is revoked or expired.
    async fn principal(&self, secret: &str) -> Result<Option<Principal>, CatalogError>;

    /// Creates a funnel. Fails with [`CatalogError::Invalid`] if its definition is not valid, there is no such site, or
    /// the site has [`MAX_FUNNELS`] already.
    async fn create_funnel(&self, funnel: NewFunnel) -> Result<Funnel, CatalogError>;

    async fn funnel(&self, id: &str) -> Result<Option<Funnel>, CatalogError>;

    /// All funnels, oldest first, as of one revision.
    async fn funnels(&self) -> Result<FunnelSet, CatalogError>;

    /// [`FunnelSet::revision`] alone, to see whether anything has changed.
    async fn funnel_revision(&self) -> Result<u64, CatalogError>;

    /// Changes a funnel's definition, under a new revision. Fails with [`CatalogError::NotFound`] if it does not exist, and
    /// with [`CatalogError::Invalid`] if the definition is not valid.
    async fn change_funnel(&self, id: &str, definition: Definition) -> Result<Funnel, CatalogError>;

    /// Deletes a funnel and returns what it was. Fails with [`CatalogError::NotFound`] if it does not exist.
    async fn delete_funnel(&self, id: &str) -> Result<Funnel, CatalogError>;

    /// Creates a segment or a dashboard. Fails with [`CatalogError::Invalid`] if a field does not conform to [`NewSaved`] or
    /// the site has [`MAX_SAVED`] already, and with [`CatalogError::AlreadyExists`] if one of the site has the name.
    async fn create_saved(&self, kind: SavedKind, new: NewSaved) -> Result<Saved, CatalogError>;

    async fn saved(&self, kind: SavedKind, id: &str) -> Result<Option<Saved>, CatalogError>;

    /// That of the site with this name, else with this id.
    async fn saved_named(&self, kind: SavedKind, tracking_id: &str, name: &str) -> Result<Option<Saved>, CatalogError>;

    /// All of them, oldest first.
    async fn all_saved(&self, kind: SavedKind) -> Result<Vec<Saved>, CatalogError>;

    /// Replaces name and definition. Fails as [`Catalog::create_saved`], and with [`CatalogError::NotFound`] if it does not
    /// exist.
    async fn change_saved(
        &self,
        kind: SavedKind,
        id: &str,
        name: String,
        definition: Json,
    ) -> Result<Saved, CatalogError>;

    /// Deletes it and returns what it was. Fails with [`CatalogError::NotFound`] if it does not exist.
    async fn delete_saved(&self, kind: SavedKind, id: &str) -> Result<Saved, CatalogError>;

    /// Creates a rollup. Fails with [`CatalogError::AlreadyExists`] if there is one of this name, and with
    /// [`CatalogError::Invalid`] if its definition is not valid, one of its sites does not exist, or there are
    /// [`MAX_ROLLUPS`] already.
    async fn create_rollup(&self, definition: RollupDefinition) -> Result<ConfiguredRollup, CatalogError>;

    /// All configured rollups, oldest first, as of one revision.
    async fn rollups(&self) -> Result<ConfiguredRollups, CatalogError>;

    /// [`ConfiguredRollups::revision`] alone, to see whether anything has changed.
    async fn rollup_revision(&self) -> Result<u64, CatalogError>;

    /// Drops a rollup and returns what it was. Fails with [`CatalogError::NotFound`] if it does not exist.
    async fn drop_rollup(&self, name: &str) -> Result<ConfiguredRollup, CatalogError>;

    /// Dropped rollups whose folders may still be in the lake.
    async fn dropped_rollups(&self) -> Result<Vec<DroppedRollup>, CatalogError>;

    /// Forgets a dropped rollup, whose folder is deleted.
    async fn forget_rollup(&self, revision: u64) -> Result<(), CatalogError>;

    /// Takes a shard's lease, or renews it; `None` while another holds it.
    async fn take_lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, CatalogError>;

    /// Ends the lease if it is this holder's, so that the next one need not wait until it expires.
    async fn release_lease(&self, request: &LeaseRequest) -> Result<(), CatalogError>;
}
