//! The first admin token, which is needed to make any other.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use footfall_catalog::{Catalog, NewToken, Secret};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::IdGen;

/// Where the first token lies.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("admin.token")
}

/// Makes an admin token if the catalog has no token at all, and logs it. Returns the secret in the file, if there is
/// one.
///
/// The file is durable before the catalog has the token: a crash in between leaves a file that the next start
/// replaces, and never a token whose secret is lost.
pub(super) async fn ensure(catalog: &dyn Catalog, ids: &dyn IdGen, state: &Path) -> anyhow::Result<Option<String>> {
    let path = path(state);
    if !catalog.tokens().await?.is_empty() {
        return Ok(std::fs::read_to_string(&path).ok().map(|text| text.trim().to_owned()));
    }
    let secret = Secret::random(ids);
    write_secret(&path, secret.expose())
        .with_context(|| format!("the admin token can't be written to {}", path.display()))?;
    let token = NewToken {
        role: Role::Admin,
        sites: SiteScope::All,
        expires_at: None,
    };
    catalog.create_token_with(token, &secret).await?;
    tracing::info!(path = %path.display(), "first start: created an admin token");
    Ok(Some(secret.expose().to_owned()))
}

/// Readable by the owner only, from the first byte on; atomic: the whole secret or the previous file.
fn write_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension("token.new");
    let _ = std::fs::remove_file(&unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use footfall_catalog::SqliteCatalog;
    use footfall_model::clock::{RandomIds, SystemClock};

    use super::*;

    async fn catalog(state: &Path) -> SqliteCatalog {
        let file = state.join("catalog.sqlite");
        let catalog = SqliteCatalog::open(&file, Arc::new(SystemClock), Arc::new(RandomIds));
        catalog.await.unwrap()
    }

    #[tokio::test]
    async fn first_token_survives_restarts() {
        let state = tempfile::tempdir().unwrap();
        let catalog = catalog(state.path()).await;
        let first = ensure(&catalog, &RandomIds, state.path()).await.unwrap().unwrap();
        assert!(catalog.principal(&first).await.unwrap().is_some());
        let again = ensure(&catalog, &RandomIds, state.path()).await.unwrap().unwrap();
        assert_eq!(again, first);
        assert_eq!(catalog.tokens().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn no_token_without_its_file() {
        let state = tempfile::tempdir().unwrap();
        let catalog = catalog(state.path()).await;
        let in_the_way = path(state.path()).join("folder");
        std::fs::create_dir_all(&in_the_way).unwrap();
        ensure(&catalog, &RandomIds, state.path()).await.unwrap_err();
        assert!(catalog.tokens().await.unwrap().is_empty());
        std::fs::remove_dir_all(path(state.path())).unwrap();
        let secret = ensure(&catalog, &RandomIds, state.path()).await.unwrap().unwrap();
        assert!(catalog.principal(&secret).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn file_of_crashed_start_is_replaced() {
        let state = tempfile::tempdir().unwrap();
        let catalog = catalog(state.path()).await;
        write_secret(&path(state.path()), "ffp_unused").unwrap();
        let secret = ensure(&catalog, &RandomIds, state.path()).await.unwrap().unwrap();
        assert!(catalog.principal(&secret).await.unwrap().is_some());
        assert!(catalog.principal("ffp_unused").await.unwrap().is_none());
        let kept = std::fs::read_to_string(path(state.path())).unwrap();
        assert_eq!(kept.trim(), secret);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn file_is_readable_by_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let state = tempfile::tempdir().unwrap();
        ensure(&catalog(state.path()).await, &RandomIds, state.path())
            .await
            .unwrap();
        let mode = std::fs::metadata(path(state.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
