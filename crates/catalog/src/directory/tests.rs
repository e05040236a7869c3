//! Runs over a real catalog. The cache uses the machine's clock, so a test's time to live is either unlimited or over
//! after a short sleep: no assertion depends on the machine's speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use footfall_funnels::{Definition, Funnel, FunnelSet};
use footfall_model::access::{Principal, Role, SiteScope};
use footfall_model::clock::RandomIds;
use footfall_model::rollup::{ConfiguredRollup, ConfiguredRollups, RollupDefinition};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{CacheLimits, Directory, FOUND_TTL, Lifetimes, MISSING_TTL};
use crate::testing::{ManualClock, new_site, new_token};
use crate::{
    Catalog, CatalogError, DroppedRollup, Lease, LeaseRequest, NewFunnel, NewSaved, NewSite, NewToken, Saved,
    SavedKind, Secret, Site, SiteChange, SqliteCatalog, Token,
};

const FOR_EVER: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);
const OVER: Duration = Duration::from_millis(60);

/// Counts the look-ups that reach the catalog.
#[derive(Debug)]
struct Counting {
    catalog: SqliteCatalog,
    asked: AtomicUsize,
    _folder: TempDir,
}

#[async_trait]
impl Catalog for Counting {
    async fn create_site(&self, site: NewSite) -> Result<Site, CatalogError> {
        self.catalog.create_site(site).await
    }
    async fn change_site(&self, tracking_id: &str, change: SiteChange) -> Result<Site, CatalogError> {
        self.catalog.change_site(tracking_id, change).await
    }
    async fn site(&self, tracking_id: &str) -> Result<Option<Site>, CatalogError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.catalog.site(tracking_id).await
    }
    async fn sites(&self) -> Result<Vec<Site>, CatalogError> {
        self.catalog.sites().await
    }
    async fn create_token(&self, token: NewToken) -> Result<(Token, Secret), CatalogError> {
        self.catalog.create_token(token).await
    }
    async fn create_token_with(&self, token: NewToken, secret: &Secret) -> Result<Token, CatalogError> {
        self.catalog.create_token_with(token, secret).await
    }
    async fn tokens(&self) -> Result<Vec<Token>, CatalogError> {
        self.catalog.tokens().await
    }
    async fn revoke_token(&self, id: &str) -> Result<Token, CatalogError> {
        self.catalog.revoke_token(id).await
    }
    async fn principal(&self, secret: &str) -> Result<Option<Principal>, CatalogError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.catalog.principal(secret).await
    }
    async fn create_funnel(&self, funnel: NewFunnel) -> Result<Funnel, CatalogError> {
        self.catalog.create_funnel(funnel).await
    }
    async fn funnel(&self, id: &str) -> Result<Option<Funnel>, CatalogError> {
        self.catalog.funnel(id).await
    }
    async fn funnels(&self) -> Result<FunnelSet, CatalogError> {
        self.catalog.funnels().await
    }
    async fn funnel_revision(&self) -> Result<u64, CatalogError> {
        self.catalog.funnel_revision().await
    }
    async fn change_funnel(&self, id: &str, definition: Definition) -> Result<Funnel, CatalogError> {
        self.catalog.change_funnel(id, definition).await
    }
    async fn create_saved(&self, kind: SavedKind, new: NewSaved) -> Result<Saved, CatalogError> {
        self.catalog.create_saved(kind, new).await
    }
    async fn saved(&self, kind: SavedKind, id: &str) -> Result<Option<Saved>, CatalogError> {
        self.catalog.saved(kind, id).await
    }
    async fn saved_named(&self, kind: SavedKind, tracking_id: &str, name: &str) -> Result<Option<Saved>, CatalogError> {
        self.catalog.saved_named(kind, tracking_id, name).await
    }
    async fn all_saved(&self, kind: SavedKind) -> Result<Vec<Saved>, CatalogError> {
        self.catalog.all_saved(kind).await
    }
    async fn change_saved(
        &self,
        kind: SavedKind,
        id: &str,
        name: String,
        definition: serde_json::Value,
    ) -> Result<Saved, CatalogError> {
        self.catalog.change_saved(kind, id, name, definition).await
    }
    async fn delete_saved(&self, kind: SavedKind, id: &str) -> Result<Saved, CatalogError> {
        self.catalog.delete_saved(kind, id).await
    }
    async fn create_rollup(&self, definition: RollupDefinition) -> Result<ConfiguredRollup, CatalogError> {
        self.catalog.create_rollup(definition).await
    }
    async fn rollups(&self) -> Result<ConfiguredRollups, CatalogError> {
        self.catalog.rollups().await
    }
    async fn rollup_revision(&self) -> Result<u64, CatalogError> {
        self.catalog.rollup_revision().await
    }
    async fn drop_rollup(&self, name: &str) -> Result<ConfiguredRollup, CatalogError> {
        self.catalog.drop_rollup(name).await
    }
    async fn dropped_rollups(&self) -> Result<Vec<DroppedRollup>, CatalogError> {
        self.catalog.dropped_rollups().await
    }
    async fn forget_rollup(&self, revision: u64) -> Result<(), CatalogError> {
        self.catalog.forget_rollup(revision).await
    }
    async fn delete_funnel(&self, id: &str) -> Result<Funnel, CatalogError> {
        self.catalog.delete_funnel(id).await
    }
    async fn take_lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, CatalogError> {
        self.catalog.take_lease(request).await
    }
    async fn release_lease(&self, request: &LeaseRequest) -> Result<(), CatalogError> {
        self.catalog.release_lease(request).await
    }
}

impl Counting {
    async fn with_site(tracking_id: &str) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path, ManualClock::new(), Arc::new(RandomIds))
            .await
            .unwrap();
        catalog.create_site(new_site(tracking_id)).await.unwrap();
        Arc::new(Self {
            catalog,
            asked: AtomicUsize::new(0),
            _folder: folder,
        })
    }

    async fn admin(&self) -> (Token, Secret) {
        self.catalog
            .create_token(new_token(Role::Admin, SiteScope::All))
            .await
            .unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn keeping(catalog: &Arc<Counting>, found: Duration, missing: Duration) -> Arc<Directory> {
    let limits = CacheLimits {
        sites: 100,
        principals: 100,
        lifetimes: Lifetimes { found, missing },
    };
    Arc::new(Directory::with_limits(catalog.clone(), limits))
}

#[test]
fn absent_entries_expire_sooner() {
    let lifetimes = CacheLimits::default().lifetimes;
    assert_eq!(lifetimes.of(Some(&())), FOUND_TTL);
    assert_eq!(lifetimes.of::<()>(None), MISSING_TTL);
    assert!(MISSING_TTL < FOUND_TTL && FOUND_TTL <= Duration::from_secs(10));
}

#[tokio::test]
async fn entry_is_looked_up_once() {
    let catalog = Counting::with_site("shop").await;
    let (token, secret) = catalog.admin().await;
    let directory = keeping(&catalog, FOR_EVER, FOR_EVER);
    for _ in 0..3 {
        assert_eq!(directory.site("shop").await.unwrap().unwrap().name, "Site shop");
        assert_eq!(directory.site("nowhere").await.unwrap(), None);
        assert_eq!(
            directory.principal(secret.expose()).await.unwrap().unwrap().token_id,
            token.id
        );
        assert_eq!(directory.principal("ffp_guess").await.unwrap(), None);
    }
    assert_eq!(catalog.asked(), 4);
}

#[tokio::test]
async fn concurrent_look_ups_ask_once() {
    let catalog = Counting::with_site("shop").await;
    let (_, secret) = catalog.admin().await;
    let directory = keeping(&catalog, FOR_EVER, FOR_EVER);
    let mut crowd = JoinSet::new();
    for _ in 0..200 {
        let (directory, secret) = (directory.clone(), secret.clone());
        crowd.spawn(async move {
            assert!(directory.site("shop").await.unwrap().is_some());
            assert!(directory.principal(secret.expose()).await.unwrap().is_some());
        });
    }
    crowd.join_all().await;
    assert_eq!(catalog.asked(), 2);
}

#[tokio::test]
async fn expired_entry_is_looked_up_again() {
    let catalog = Counting::with_site("shop").await;
    let (token, secret) = catalog.admin().await;
    let directory = keeping(&catalog, SHORT, FOR_EVER);
    assert!(directory.principal(secret.expose()).await.unwrap().is_some());
    catalog.revoke_token(&token.id).await.unwrap();
    sleep(OVER).await;
    assert_eq!(directory.principal(secret.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn reading_does_not_prolong_entry() {
    let catalog = Counting::with_site("shop").await;
    let (token, secret) = catalog.admin().await;
    let directory = keeping(&catalog, OVER, FOR_EVER);
    directory.principal(secret.expose()).await.unwrap().unwrap();
    catalog.revoke_token(&token.id).await.unwrap();
    for _ in 0..5 {
        sleep(SHORT).await;
        directory.principal(secret.expose()).await.unwrap();
    }
    assert_eq!(directory.principal(secret.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn absent_entry_has_its_own_lifetime() {
    let catalog = Counting::with_site("shop").await;
    let directory = keeping(&catalog, FOR_EVER, SHORT);
    directory.site("shop").await.unwrap().unwrap();
    assert_eq!(directory.site("new").await.unwrap(), None);
    catalog.create_site(new_site("new")).await.unwrap();
    sleep(OVER).await;
    assert!(directory.site("new").await.unwrap().is_some());
    directory.site("shop").await.unwrap().unwrap();
    assert_eq!(catalog.asked(), 3, "shop once, new twice");
}

#[tokio::test]
async fn local_change_takes_effect_at_once() {
    let catalog = Counting::with_site("shop").await;
    let (token, secret) = catalog.admin().await;
    let directory = keeping(&catalog, FOR_EVER, FOR_EVER);
    assert_eq!(directory.site("new").await.unwrap(), None);
    directory.principal(secret.expose()).await.unwrap().unwrap();

    catalog.create_site(new_site("new")).await.unwrap();
    catalog.revoke_token(&token.id).await.unwrap();
    assert_eq!(directory.site("new").await.unwrap(), None, "still cached");
    directory.forget_site("new").await;
    directory.forget_principals();
    assert!(directory.site("new").await.unwrap().is_some());
    assert_eq!(directory.principal(secret.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn unavailable_catalog_serves_entries_until_expiry() {
    let catalog = Counting::with_site("shop").await;
    let (lasting, passing) = (keeping(&catalog, FOR_EVER, FOR_EVER), keeping(&catalog, SHORT, SHORT));
    for directory in [&lasting, &passing] {
        directory.site("shop").await.unwrap().unwrap();
    }
    catalog.catalog.close().await;
    sleep(OVER).await;
    assert!(lasting.site("shop").await.unwrap().is_some());
    assert!(matches!(passing.site("shop").await, Err(CatalogError::Unavailable(_))));
    assert!(matches!(
        lasting.principal("ffp_any").await,
        Err(CatalogError::Unavailable(_))
    ));
}

#[tokio::test]
async fn failure_is_reported_once_and_not_cached() {
    let catalog = Counting::with_site("shop").await;
    let directory = keeping(&catalog, FOR_EVER, FOR_EVER);
    catalog.catalog.close().await;
    let first = directory.site("shop").await.unwrap_err().to_string();
    assert_eq!(first.matches("does not answer").count(), 1, "{first}");
    directory.site("shop").await.unwrap_err();
    assert_eq!(catalog.asked(), 2);
}

#[tokio::test]
async fn invented_keys_do_not_fill_memory() {
    let catalog = Counting::with_site("shop").await;
    let directory = keeping(&catalog, FOR_EVER, FOR_EVER);
    for n in 0..2_000 {
        assert_eq!(directory.site(&format!("invented-{n}")).await.unwrap(), None);
        assert_eq!(directory.principal(&format!("ffp_invented-{n}")).await.unwrap(), None);
    }
    directory.sites.run_pending_tasks().await;
    directory.principals.run_pending_tasks().await;
    assert!(
        directory.sites.entry_count() <= 100,
        "{}",
        directory.sites.entry_count()
    );
    assert!(
        directory.principals.entry_count() <= 100,
        "{}",
        directory.principals.entry_count()
    );
}

#[tokio::test]
async fn invalid_tracking_id_is_not_cached() {
    let catalog = Counting::with_site("shop").await;
    let directory = keeping(&catalog, FOR_EVER, FOR_EVER);
    for text in ["", "a b", "../shop", &"x".repeat(65), &"x".repeat(1_000_000)] {
        assert_eq!(directory.site(text).await.unwrap(), None);
    }
    directory.sites.run_pending_tasks().await;
    assert_eq!((catalog.asked(), directory.sites.entry_count()), (0, 0));
}
