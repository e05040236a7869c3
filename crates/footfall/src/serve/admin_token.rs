//! The first token: without it nobody could make another.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use footfall_catalog::{Catalog, NewToken};
use footfall_model::access::{Role, SiteScope};

/// Where the first token lies.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("admin.token")
}

/// Makes an admin token if the catalog has no token at all, and says so. Returns the secret in the file, if there is
/// one.
pub(super) async fn ensure(catalog: &dyn Catalog, state: &Path) -> anyhow::Result<Option<String>> {
    let path = path(state);
    if !catalog.tokens().await?.is_empty() {
        return Ok(std::fs::read_to_string(&path).ok().map(|text| text.trim().to_owned()));
    }
    let (_, secret) = catalog
        .create_token(NewToken {
            role: Role::Admin,
            sites: SiteScope::All,
            expires_at: None,
        })
        .await?;
    write_secret(&path, secret.expose())
        .with_context(|| format!("the admin token can't be written to {}", path.display()))?;
    tracing::info!(path = %path.display(), "first start: an admin token was made");
    Ok(Some(secret.expose().to_owned()))
}

/// For the owner's eyes only, from the first byte on.
fn write_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
