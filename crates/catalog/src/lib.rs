//! What Footfall knows besides events: tenants, sites, tokens, funnels, segments of users and dashboards.
//!
//! ```text
//! Catalog        the trait; every implementation passes one contract test
//! SqliteCatalog  the embedded implementation: one file
//! Directory      a cache of seconds over any of them, for the look-ups that every request makes
//! ```
//!
//! A token's secret is shown once, when it is made; the catalog holds its hash alone, and finds a token by that hash.

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
use footfall_model::access::Principal;
use footfall_model::hash::DedupeBy;

pub use directory::Directory;
pub use sqlite::SqliteCatalog;
pub use types::{CatalogError, NewSite, NewToken, Secret, Site, Token};

/// The tenant that exists from the start.
pub const DEFAULT_TENANT: &str = "default";

/// The metadata store.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Fails with [`CatalogError::AlreadyExists`] if the tracking id is taken, and with [`CatalogError::Invalid`] if a
    /// field is not what [`NewSite`] says.
    async fn create_site(&self, site: NewSite) -> Result<Site, CatalogError>;

    /// What tells the site's events without an id apart from now on. Fails with [`CatalogError::NotFound`] if there is
    /// no such site.
    async fn set_dedupe_by(&self, tracking_id: &str, dedupe_by: Option<DedupeBy>) -> Result<Site, CatalogError>;

    async fn site(&self, tracking_id: &str) -> Result<Option<Site>, CatalogError>;

    /// All, by tracking id.
    async fn sites(&self) -> Result<Vec<Site>, CatalogError>;

    /// The secret is returned here and never again. Fails with [`CatalogError::Invalid`] if a field is not what
    /// [`NewToken`] says.
    async fn create_token(&self, token: NewToken) -> Result<(Token, Secret), CatalogError>;

    /// The same with a secret that the caller has kept already, so that no crash can come between. It must be
    /// [`Secret::random`]: a hash without salt hides no other.
    async fn create_token_with(&self, token: NewToken, secret: &Secret) -> Result<Token, CatalogError>;

    /// All, the newest last; revoked and expired ones included.
    async fn tokens(&self) -> Result<Vec<Token>, CatalogError>;

    /// Fails with [`CatalogError::NotFound`] if there is no such token. Revoking twice changes nothing.
    async fn revoke_token(&self, id: &str) -> Result<Token, CatalogError>;

    /// Whose secret this is; `None` if nobody's, or the token is revoked or expired.
    async fn principal(&self, secret: &str) -> Result<Option<Principal>, CatalogError>;
}
