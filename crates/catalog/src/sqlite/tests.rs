//! The contract, and what is particular to a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, IdGen, RandomIds};
use tempfile::TempDir;

use super::SqliteCatalog;
use crate::contract::catalog_contract;
use crate::testing::{ManualClock, new_site, new_token, only};
use crate::{Catalog, CatalogError};

async fn empty(clock: Arc<dyn Clock>, ids: Arc<dyn IdGen>) -> (SqliteCatalog, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = SqliteCatalog::open(&folder.path().join("catalog.db"), clock, ids)
        .await
        .unwrap();
    (catalog, folder)
}

catalog_contract!(super::tests::empty);

async fn open(path: &Path) -> Result<SqliteCatalog, CatalogError> {
    SqliteCatalog::open(path, ManualClock::new(), Arc::new(RandomIds)).await
}

fn index() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    (folder, path)
}

async fn make_sites(catalog: &SqliteCatalog, prefix: &str, count: usize) {
    for n in 0..count {
        catalog.create_site(new_site(&format!("{prefix}-{n}"))).await.unwrap();
    }
}

#[tokio::test]
async fn full_disk_recovers_when_freed() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    // Simulates a full disk: on this connection, the only one so far, the file must not grow.
    sqlx::query("PRAGMA max_page_count = 1")
        .execute(&catalog.pool)
        .await
        .unwrap();
    let mut made = 0;
    while catalog.create_site(new_site(&format!("shop-{made}"))).await.is_ok() {
        made += 1;
        assert!(made < 10_000, "it grows");
    }
    catalog.create_site(new_site("another")).await.unwrap();
    assert_eq!(catalog.sites().await.unwrap().len(), made + 1);
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    make_sites(&catalog, "shop", 3).await;
    let (reader, reader_secret) = catalog
        .create_token(new_token(Role::Reader, only(&["shop-1"])))
        .await
        .unwrap();
    let (lost, lost_secret) = catalog
        .create_token(new_token(Role::Admin, SiteScope::All))
        .await
        .unwrap();
    let lost = catalog.revoke_token(&lost.id).await.unwrap();
    let sites = catalog.sites().await.unwrap();
    catalog.close().await;

    let catalog = open(&path).await.unwrap();
    assert_eq!(catalog.sites().await.unwrap(), sites);
    assert_eq!(catalog.tokens().await.unwrap(), [reader.clone(), lost]);
    let proven = catalog.principal(reader_secret.expose()).await.unwrap().unwrap();
    assert_eq!((proven.token_id, proven.sites), (reader.id, only(&["shop-1"])));
    assert_eq!(catalog.principal(lost_secret.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn open_catalogs_see_each_others_writes() {
    let (_folder, path) = index();
    let (one, other) = (open(&path).await.unwrap(), open(&path).await.unwrap());
    assert_eq!(other.site("shop").await.unwrap(), None);
    let site = one.create_site(new_site("shop")).await.unwrap();
    assert_eq!(other.site("shop").await.unwrap(), Some(site));
    let (token, secret) = other
        .create_token(new_token(Role::Writer, only(&["shop"])))
        .await
        .unwrap();
    assert!(one.principal(secret.expose()).await.unwrap().is_some());
    one.revoke_token(&token.id).await.unwrap();
    assert_eq!(other.principal(secret.expose()).await.unwrap(), None);
}

#[tokio::test]
async fn open_catalogs_write_concurrently() {
    let (_folder, path) = index();
    let (one, other) = (open(&path).await.unwrap(), open(&path).await.unwrap());
    tokio::join!(make_sites(&one, "one", 20), make_sites(&other, "other", 20));
    assert_eq!(one.sites().await.unwrap().len(), 40);
}

#[tokio::test]
async fn concurrent_open_of_missing_file() {
    let (_folder, path) = index();
    let mut openers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let path = path.clone();
        openers.spawn(async move { make_sites(&open(&path).await.unwrap(), &n.to_string(), 1).await });
    }
    openers.join_all().await;
    assert_eq!(open(&path).await.unwrap().sites().await.unwrap().len(), 8);
}

/// Runs this test binary again as the other process.
#[tokio::test]
async fn two_processes_write_concurrently() {
    const OTHER: &str = "FOOTFALL_TEST_OTHER_PROCESS";
    if let Some(path) = std::env::var_os(OTHER) {
        make_sites(&open(Path::new(&path)).await.unwrap(), "theirs", 20).await;
        return;
    }
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::tests::two_processes_write_concurrently"])
        .env(OTHER, &path)
        .spawn()
        .unwrap();
    make_sites(&catalog, "ours", 20).await;
    assert!(other.wait().unwrap().success());
    let listed = catalog.sites().await.unwrap();
    assert_eq!(
        listed
            .iter()
            .filter(|site| site.tracking_id.starts_with("ours-"))
            .count(),
        20
    );
    assert_eq!(
        listed
            .iter()
            .filter(|site| site.tracking_id.starts_with("theirs-"))
            .count(),
        20
    );
}

#[tokio::test]
async fn look_ups_do_not_wait_for_writers() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    make_sites(&catalog, "shop", 1).await;
    let mut open_write = catalog.write().await.unwrap();
    sqlx::query("UPDATE sites SET name = 'Changed'")
        .execute(&mut *open_write.transaction)
        .await
        .unwrap();
    // More queued writers than there are connections.
    let writers: Vec<_> = (0..8)
        .map(|_| Box::pin(catalog.create_site(new_site("later"))))
        .collect();
    tokio::select! {
        biased;
        _ = join(writers) => panic!("a second writer did not wait for the first"),
        site = catalog.site("shop-0") => assert_eq!(site.unwrap().unwrap().name, "Site shop-0"),
    }
    open_write.commit().await.unwrap();
    assert_eq!(catalog.site("shop-0").await.unwrap().unwrap().name, "Changed");
}

async fn join<F: Future + Unpin>(futures: Vec<F>) {
    let mut futures = futures;
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        if futures.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[tokio::test]
async fn files_hold_no_clear_secret() {
    let (folder, path) = index();
    let catalog = open(&path).await.unwrap();
    let (token, secret) = catalog
        .create_token(new_token(Role::Admin, SiteScope::All))
        .await
        .unwrap();
    catalog.principal(secret.expose()).await.unwrap().unwrap();
    let bits = secret.expose().strip_prefix("ffp_").unwrap();

    let in_files = |needle: &[u8]| {
        std::fs::read_dir(folder.path()).unwrap().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(in_files(token.id.as_bytes()), "the search finds what is there");
    assert!(!in_files(bits.as_bytes()));
    assert!(!in_files(&bits.as_bytes()[..32]));
    assert!(!in_files(&bits.as_bytes()[32..]));
    catalog.close().await;
    assert!(in_files(token.id.as_bytes()));
    assert!(!in_files(bits.as_bytes()));
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_readable_by_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = index();
    let catalog = open(&path).await.unwrap();
    make_sites(&catalog, "shop", 1).await;
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{:?}",
            file.file_name()
        );
        seen += 1;
    }
    assert_eq!(seen, 3, "the database, its write-ahead log and the log's index");
}

#[tokio::test]
async fn connection_is_durable_with_foreign_keys() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    let pragma = async |sql: &'static str| {
        sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&catalog.pool)
            .await
            .unwrap()
    };
    assert_eq!(pragma("PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(pragma("PRAGMA foreign_keys").await, 1);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&catalog.pool)
        .await
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn specified_tables_reference_a_site() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    make_sites(&catalog, "shop", 1).await;
    for table in ["user_segments", "dashboards"] {
        let insert = async |site: &str, definition: &str| {
            let sql = format!("INSERT INTO {table} VALUES ('x', ?, 'Purchase', ?, 1, 1)");
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(site)
                .bind(definition)
                .execute(&catalog.pool)
                .await
        };
        assert!(insert("nowhere", "{}").await.is_err(), "{table} takes an unknown site");
        assert!(insert("shop-0", "{").await.is_err(), "{table} takes broken JSON");
        insert("shop-0", r#"{"steps": []}"#).await.unwrap();
    }
}

#[tokio::test]
async fn missing_folder_error_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = open(&folder.path().join("missing/catalog.db"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot create") && error.contains("missing/catalog.db"),
        "{error}"
    );
}

#[tokio::test]
async fn foreign_file_is_refused_unchanged() {
    let (_folder, path) = index();
    let text = "not a database, ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = open(&path).await.unwrap_err().to_string();
    assert!(
        error.contains("catalog.db") && error.contains("not a database"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn newer_catalog_is_refused() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2030-01-01', TRUE, x'00', 1)")
        .execute(&catalog.pool)
        .await
        .unwrap();
    catalog.close().await;
    let error = open(&path).await.unwrap_err().to_string();
    assert!(error.contains("newer Footfall") && error.contains("9999"), "{error}");
}

#[tokio::test]
async fn closed_catalog_is_unavailable() {
    let (_folder, path) = index();
    let catalog = open(&path).await.unwrap();
    catalog.close().await;
    assert!(matches!(catalog.site("shop").await, Err(CatalogError::Unavailable(_))));
    assert!(matches!(
        catalog.create_site(new_site("shop")).await,
        Err(CatalogError::Unavailable(_))
    ));
}
