//! What Footfall knows besides events: tenants, sites, tokens, funnels, segments of users and dashboards.
//!
//! ```text
//! Catalog    the trait; every implementation passes one contract test
//! Directory  a cache of seconds over it, for the look-ups that every request makes
//! ```
//!
//! A token's secret is shown once, when it is made; the catalog holds its hash alone.

mod types;

use std::fmt::Debug;

use async_trait::async_trait;
use footfall_model::access::Principal;

pub use types::{CatalogError, NewSite, NewToken, Secret, Site, Token};

/// The metadata store.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Fails with [`CatalogError::AlreadyExists`] if the tracking id is taken.
    async fn create_site(&self, site: NewSite) -> Result<Site, CatalogError>;

    async fn site(&self, tracking_id: &str) -> Result<Option<Site>, CatalogError>;

    /// All, by tracking id.
    async fn sites(&self) -> Result<Vec<Site>, CatalogError>;

    /// The secret is returned here and never again.
    async fn create_token(&self, token: NewToken) -> Result<(Token, Secret), CatalogError>;

    /// All, the newest last; revoked and expired ones included.
    async fn tokens(&self) -> Result<Vec<Token>, CatalogError>;

    /// Fails with [`CatalogError::NotFound`] if there is no such token. Revoking twice changes nothing.
    async fn revoke_token(&self, id: &str) -> Result<Token, CatalogError>;

    /// Whose secret this is; `None` if nobody's, or the token is revoked or expired.
    async fn principal(&self, secret: &str) -> Result<Option<Principal>, CatalogError>;
}
