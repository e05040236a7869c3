//! A short-lived cache over the catalog.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_model::access::Principal;
use moka::Expiry;
use moka::future::Cache;

use crate::secret::SecretHash;
use crate::{Catalog, CatalogError, Site, validate};

/// How long a site or a principal is served from the cache. A revoked or expired token is refused everywhere after this
/// time at the latest.
const FOUND_TTL: Duration = Duration::from_secs(5);

/// How long the absence of a site or a secret is cached. Shorter, because a client that has just created one is about
/// to use it.
const MISSING_TTL: Duration = Duration::from_secs(1);

/// At about 400 bytes per entry, 20 MB at most. Beyond that, frequently used entries stay: a client that invents
/// tracking ids evicts its own inventions.
const MAX_SITES: u64 = 50_000;

const MAX_PRINCIPALS: u64 = 10_000;

/// Caches the look-ups that every request makes: the site, and the owner of a secret.
///
/// Concurrent look-ups of one key ask the catalog once. While the catalog is unavailable, cached entries are
/// served until they expire, and then the error. Only hashes of secrets are kept.
#[derive(Debug)]
pub struct Directory {
    catalog: Arc<dyn Catalog>,
    sites: Lookups<String, Arc<Site>>,
    principals: Lookups<SecretHash, Principal>,
}

type Lookups<K, V> = Cache<K, Option<V>>;

impl Directory {
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self::with_limits(catalog, CacheLimits::default())
    }

    fn with_limits(catalog: Arc<dyn Catalog>, limits: CacheLimits) -> Self {
        Self {
            catalog,
            sites: cache(limits.sites, limits.lifetimes),
            principals: cache(limits.principals, limits.lifetimes),
        }
    }

    /// The catalog behind the cache, for everything that is not looked up on every request.
    pub fn catalog(&self) -> &Arc<dyn Catalog> {
        &self.catalog
    }

    /// The site, at most 5 seconds out of date; an absence is at most 1 second out of date.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] if the site is not cached and the catalog does not answer.
    pub async fn site(&self, tracking_id: &str) -> Result<Option<Arc<Site>>, CatalogError> {
        // An invalid tracking id names no site. It is not cached either, so that keys stay short.
        if !validate::is_tracking_id(tracking_id) {
            return Ok(None);
        }
        let look_up = async { Ok(self.catalog.site(tracking_id).await?.map(Arc::new)) };
        self.sites
            .try_get_with_by_ref(tracking_id, look_up)
            .await
            .map_err(|error| shared(&error))
    }

    /// The principal that a secret belongs to, at most 5 seconds out of date: for that long a revoked or expired token
    /// may still be accepted. An absence is at most 1 second out of date.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] if the secret is not cached and the catalog does not answer.
    pub async fn principal(&self, secret: &str) -> Result<Option<Principal>, CatalogError> {
        let look_up = self.catalog.principal(secret);
        self.principals
            .try_get_with(SecretHash::of(secret), look_up)
            .await
            .map_err(|error| shared(&error))
    }

    /// Call it after creating a site, so that this process sees it at once.
    pub async fn forget_site(&self, tracking_id: &str) {
        self.sites.invalidate(tracking_id).await;
    }

    /// Call it after revoking a token, so that this process refuses it at once. Clears all principals, because a token
    /// does not reveal the hash of its secret.
    pub fn forget_principals(&self) {
        self.principals.invalidate_all();
    }
}

#[derive(Debug, Clone, Copy)]
struct CacheLimits {
    sites: u64,
    principals: u64,
    lifetimes: Lifetimes,
}

impl Default for CacheLimits {
    fn default() -> Self {
        let lifetimes = Lifetimes {
            found: FOUND_TTL,
            missing: MISSING_TTL,
        };
        Self {
            sites: MAX_SITES,
            principals: MAX_PRINCIPALS,
            lifetimes,
        }
    }
}

/// How long an entry is kept, depending on whether something was found. Counted from the look-up; reads do not prolong
/// it.
#[derive(Debug, Clone, Copy)]
struct Lifetimes {
    found: Duration,
    missing: Duration,
}

impl Lifetimes {
    fn of<V>(self, answer: Option<&V>) -> Duration {
        if answer.is_some() { self.found } else { self.missing }
    }
}

impl<K, V> Expiry<K, Option<V>> for Lifetimes {
    fn expire_after_create(&self, _: &K, answer: &Option<V>, _: Instant) -> Option<Duration> {
        Some(self.of(answer.as_ref()))
    }

    fn expire_after_update(&self, _: &K, answer: &Option<V>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(self.of(answer.as_ref()))
    }
}

fn cache<K, V>(capacity: u64, lifetimes: Lifetimes) -> Lookups<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(capacity).expire_after(lifetimes).build()
}

/// One failed look-up answers all concurrent callers.
fn shared(error: &Arc<CatalogError>) -> CatalogError {
    match &**error {
        CatalogError::Invalid { field, reason } => CatalogError::Invalid {
            field,
            reason: reason.clone(),
        },
        CatalogError::AlreadyExists { what, id } => CatalogError::AlreadyExists { what, id: id.clone() },
        CatalogError::NotFound { what, id } => CatalogError::NotFound { what, id: id.clone() },
        CatalogError::Unavailable(cause) => CatalogError::Unavailable(cause.to_string().into()),
    }
}

#[cfg(test)]
mod tests;
