//! The catalog in one SQLite file.
//!
//! The journal is write-ahead, so readers never wait for a writer, and a command-line process may write beside a
//! running server: each waits up to [`BUSY_TIMEOUT`] for the other. The file must lie on a local disk, because SQLite's
//! write-ahead log does not work on network file systems.

mod funnels;
mod leases;
mod open;
mod rollups;
mod saved;
mod sites;
mod tokens;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use footfall_funnels::{Definition, Funnel, FunnelSet};
use footfall_model::access::Principal;
use footfall_model::clock::{Clock, IdGen};
use footfall_model::rollup::{ConfiguredRollup, ConfiguredRollups, RollupDefinition};
use serde_json::Value as Json;
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use crate::secret::SecretHash;
use crate::{
    Catalog, CatalogError, DroppedRollup, Lease, LeaseRequest, MAX_FUNNELS, MAX_ROLLUPS, MAX_SAVED, NewFunnel,
    NewSaved, NewSite, NewToken, Saved, SavedKind, Secret, Site, SiteChange, Token, validate,
};

/// How long a writer waits for another one, in this process or another, before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The embedded catalog. Clones of an `Arc` of it share one pool of connections.
#[derive(Debug)]
pub struct SqliteCatalog {
    pool: SqlitePool,
    /// Locked before a connection is acquired, so that queued writers never hold the connections that look-ups need.
    writing: Mutex<()>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

/// A write transaction; rolled back if dropped without a commit.
struct Write<'a> {
    transaction: Transaction<'static, Sqlite>,
    _turn: MutexGuard<'a, ()>,
}

impl SqliteCatalog {
    /// Opens the catalog and brings its schema up to date. A missing file is created, readable by its owner only.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`] with the path and the cause: the folder is missing or not writable, the file is
    /// not a catalog, or a newer Footfall wrote it.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>, ids: Arc<dyn IdGen>) -> Result<Self, CatalogError> {
        let pool = open::open(path)
            .await
            .map_err(|error| CatalogError::Unavailable(Box::new(error)))?;
        Ok(Self {
            pool,
            writing: Mutex::new(()),
            clock,
            ids,
        })
    }

    /// Waits for operations in progress and closes the file; later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Takes SQLite's write lock at once: a transaction that reads first and writes later fails without waiting if
    /// another one wrote in between.
    async fn write(&self) -> Result<Write<'_>, CatalogError> {
        let turn = self.writing.lock().await;
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        Ok(Write {
            transaction,
            _turn: turn,
        })
    }
}

impl Write<'_> {
    async fn commit(self) -> Result<(), CatalogError> {
        self.transaction.commit().await.map_err(unavailable)
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn create_site(&self, new: NewSite) -> Result<Site, CatalogError> {
        validate::site(&new)?;
        let site = Site {
            tracking_id: new.tracking_id,
            tenant: new.tenant,
            name: new.name,
            url: new.url,
            timezone: new.timezone,
            currency: new.currency,
            writer_token_required: new.writer_token_required,
            dedupe_by: new.dedupe_by,
            retention_days: None,
            created_at: self.clock.now(),
        };
        let mut write = self.write().await?;
        sites::insert(&mut write.transaction, &site).await?;
        write.commit().await?;
        Ok(site)
    }

    async fn change_site(&self, tracking_id: &str, change: SiteChange) -> Result<Site, CatalogError> {
        validate::change(&change)?;
        let mut write = self.write().await?;
        let found = sites::change(&mut write.transaction, tracking_id, &change).await;
        if found.map_err(unavailable)? {
            write.commit().await?;
        }
        let site = sites::find(&self.pool, tracking_id).await.map_err(unavailable)?;
        site.ok_or_else(|| CatalogError::NotFound {
            what: "site",
            id: tracking_id.to_owned(),
        })
    }

    async fn site(&self, tracking_id: &str) -> Result<Option<Site>, CatalogError> {
        sites::find(&self.pool, tracking_id).await.map_err(unavailable)
    }

    async fn sites(&self) -> Result<Vec<Site>, CatalogError> {
        sites::all(&self.pool).await.map_err(unavailable)
    }

    async fn create_token(&self, new: NewToken) -> Result<(Token, Secret), CatalogError> {
        let secret = Secret::random(&*self.ids);
        let token = self.create_token_with(new, &secret).await?;
        Ok((token, secret))
    }

    async fn create_token_with(&self, new: NewToken, secret: &Secret) -> Result<Token, CatalogError> {
        let now = self.clock.now();
        validate::token(&new, now)?;
        let token = Token {
            id: format!("tok_{:032x}", self.ids.next_id()),
            role: new.role,
            sites: new.sites,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let mut write = self.write().await?;
        tokens::insert(&mut write.transaction, &token, SecretHash::of(secret.expose())).await?;
        write.commit().await?;
        Ok(token)
    }

    async fn tokens(&self) -> Result<Vec<Token>, CatalogError> {
        tokens::all(&self.pool).await.map_err(unavailable)
    }

    async fn revoke_token(&self, id: &str) -> Result<Token, CatalogError> {
        let mut write = self.write().await?;
        let token = tokens::revoke(&mut write.transaction, id, self.clock.now())
            .await
            .map_err(unavailable)?;
        let token = token.ok_or_else(|| CatalogError::NotFound {
            what: "token",
            id: id.to_owned(),
        })?;
        write.commit().await?;
        Ok(token)
    }

    async fn principal(&self, secret: &str) -> Result<Option<Principal>, CatalogError> {
        let token = tokens::in_force(&self.pool, SecretHash::of(secret), self.clock.now()).await;
        let token = token.map_err(unavailable)?;
        Ok(token.map(|token| Principal {
            token_id: token.id,
            role: token.role,
            sites: token.sites,
        }))
    }

    async fn create_funnel(&self, new: NewFunnel) -> Result<Funnel, CatalogError> {
        new.definition.validate()?;
        let now = self.clock.now();
        let mut write = self.write().await?;
        if funnels::count(&mut write.transaction, &new.tracking_id).await? >= MAX_FUNNELS {
            return Err(validate::too_many_funnels(&new.tracking_id));
        }
        let funnel = Funnel {
            id: format!("funnel_{:032x}", self.ids.next_id()),
            tracking_id: new.tracking_id,
            revision: funnels::next_revision(&mut write.transaction, now).await?,
            definition: new.definition,
            created_at: now,
        };
        funnels::insert(&mut write.transaction, &funnel).await?;
        write.commit().await?;
        Ok(funnel)
    }

    async fn funnel(&self, id: &str) -> Result<Option<Funnel>, CatalogError> {
        funnels::find(&self.pool, id).await.map_err(unavailable)
    }

    async fn funnels(&self) -> Result<FunnelSet, CatalogError> {
        let mut read = self.pool.begin().await.map_err(unavailable)?;
        funnels::all(&mut read).await.map_err(unavailable)
    }

    async fn funnel_revision(&self) -> Result<u64, CatalogError> {
        funnels::revision(&self.pool).await.map_err(unavailable)
    }

    async fn change_funnel(&self, id: &str, definition: Definition) -> Result<Funnel, CatalogError> {
        definition.validate()?;
        let now = self.clock.now();
        let mut write = self.write().await?;
        let funnel = funnels::find(&mut *write.transaction, id).await.map_err(unavailable)?;
        let funnel = funnel.ok_or_else(|| CatalogError::NotFound {
            what: "funnel",
            id: id.to_owned(),
        })?;
        let changed = Funnel {
            revision: funnels::next_revision(&mut write.transaction, now).await?,
            definition,
            ..funnel
        };
        funnels::change(&mut write.transaction, &changed, now).await?;
        write.commit().await?;
        Ok(changed)
    }

    async fn delete_funnel(&self, id: &str) -> Result<Funnel, CatalogError> {
        let mut write = self.write().await?;
        let funnel = funnels::find(&mut *write.transaction, id).await.map_err(unavailable)?;
        let funnel = funnel.ok_or_else(|| CatalogError::NotFound {
            what: "funnel",
            id: id.to_owned(),
        })?;
        funnels::delete(&mut write.transaction, id).await.map_err(unavailable)?;
        funnels::next_revision(&mut write.transaction, self.clock.now()).await?;
        write.commit().await?;
        Ok(funnel)
    }

    async fn create_saved(&self, kind: SavedKind, new: NewSaved) -> Result<Saved, CatalogError> {
        validate::saved_name(&new.name)?;
        let now = self.clock.now();
        let made = Saved {
            id: format!("{}_{:032x}", kind.what(), self.ids.next_id()),
            tracking_id: new.tracking_id,
            name: new.name,
            definition: new.definition,
            created_at: now,
            updated_at: now,
        };
        let mut write = self.write().await?;
        saved::check(&mut write.transaction, kind, &made, MAX_SAVED).await?;
        saved::insert(&mut write.transaction, kind, &made).await?;
        write.commit().await?;
        Ok(made)
    }

    async fn saved(&self, kind: SavedKind, id: &str) -> Result<Option<Saved>, CatalogError> {
        saved::find(&self.pool, kind, id).await.map_err(unavailable)
    }

    async fn saved_named(&self, kind: SavedKind, tracking_id: &str, name: &str) -> Result<Option<Saved>, CatalogError> {
        let found = saved::named(&self.pool, kind, tracking_id, name).await;
        found.map_err(unavailable)
    }

    async fn all_saved(&self, kind: SavedKind) -> Result<Vec<Saved>, CatalogError> {
        saved::all(&self.pool, kind).await.map_err(unavailable)
    }

    async fn change_saved(
        &self,
        kind: SavedKind,
        id: &str,
        name: String,
        definition: Json,
    ) -> Result<Saved, CatalogError> {
        validate::saved_name(&name)?;
        let mut write = self.write().await?;
        let changed = Saved {
            name,
            definition,
            updated_at: self.clock.now(),
            ..saved::existing(&mut write.transaction, kind, id).await?
        };
        saved::check(&mut write.transaction, kind, &changed, i64::MAX).await?;
        saved::change(&mut write.transaction, kind, &changed).await?;
        write.commit().await?;
        Ok(changed)
    }

    async fn delete_saved(&self, kind: SavedKind, id: &str) -> Result<Saved, CatalogError> {
        let mut write = self.write().await?;
        let deleted = saved::existing(&mut write.transaction, kind, id).await?;
        saved::delete(&mut write.transaction, kind, id)
            .await
            .map_err(unavailable)?;
        write.commit().await?;
        Ok(deleted)
    }

    async fn create_rollup(&self, definition: RollupDefinition) -> Result<ConfiguredRollup, CatalogError> {
        definition.validate()?;
        let now = self.clock.now();
        let mut write = self.write().await?;
        if rollups::count(&mut write.transaction).await? >= MAX_ROLLUPS {
            return Err(validate::too_many_rollups(&definition.name));
        }
        for site in definition.sites.iter().flatten() {
            let found = sites::find(&mut *write.transaction, site).await.map_err(unavailable)?;
            found.ok_or_else(|| validate::unknown_site(site))?;
        }
        let made = ConfiguredRollup {
            definition,
            revision: rollups::next_revision(&mut write.transaction, now).await?,
            created_at: now,
        };
        rollups::insert(&mut write.transaction, &made).await?;
        write.commit().await?;
        Ok(made)
    }

    async fn rollups(&self) -> Result<ConfiguredRollups, CatalogError> {
        let mut read = self.pool.begin().await.map_err(unavailable)?;
        rollups::all(&mut read).await.map_err(unavailable)
    }

    async fn rollup_revision(&self) -> Result<u64, CatalogError> {
        rollups::revision(&self.pool).await.map_err(unavailable)
    }

    async fn drop_rollup(&self, name: &str) -> Result<ConfiguredRollup, CatalogError> {
        let now = self.clock.now();
        let mut write = self.write().await?;
        let found = rollups::find(&mut write.transaction, name).await.map_err(unavailable)?;
        let rollup = found.ok_or_else(|| CatalogError::NotFound {
            what: "rollup",
            id: name.to_owned(),
        })?;
        let dropped = rollups::drop(&mut write.transaction, rollup.revision, now).await;
        dropped.map_err(unavailable)?;
        rollups::next_revision(&mut write.transaction, now).await?;
        write.commit().await?;
        Ok(rollup)
    }

    async fn dropped_rollups(&self) -> Result<Vec<DroppedRollup>, CatalogError> {
        rollups::dropped(&self.pool).await.map_err(unavailable)
    }

    async fn forget_rollup(&self, revision: u64) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        let forgotten = rollups::forget(&mut write.transaction, revision).await;
        forgotten.map_err(unavailable)?;
        write.commit().await
    }

    async fn take_lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, CatalogError> {
        let mut write = self.write().await?;
        let lease = leases::take(&mut write.transaction, request, self.clock.now()).await;
        let lease = lease.map_err(unavailable)?;
        write.commit().await?;
        Ok(lease)
    }

    async fn release_lease(&self, request: &LeaseRequest) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        let released = leases::release(&mut write.transaction, request, self.clock.now()).await;
        released.map_err(unavailable)?;
        write.commit().await
    }
}

fn unavailable(error: sqlx::Error) -> CatalogError {
    CatalogError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests;
