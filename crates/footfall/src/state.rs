//! The state folder: the catalog, the WAL, the first token.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use footfall_catalog::{Catalog, SqliteCatalog};
use footfall_model::clock::{RandomIds, SystemClock};

/// Opens the catalog of a state folder; creates both if they are missing.
pub(crate) async fn open_catalog(state: &Path) -> anyhow::Result<Arc<dyn Catalog>> {
    footfall_lake::create_durably(state)
        .with_context(|| format!("the state folder {} can't be created", state.display()))?;
    let path = state.join(CATALOG);
    let catalog = SqliteCatalog::open(&path, Arc::new(SystemClock), Arc::new(RandomIds))
        .await
        .with_context(|| format!("the catalog {} can't be opened", path.display()))?;
    Ok(Arc::new(catalog))
}

/// Opens the catalog of a state folder, if it has one.
pub(crate) async fn open_catalog_if_there(state: &Path) -> anyhow::Result<Option<Arc<dyn Catalog>>> {
    if !state.join(CATALOG).exists() {
        return Ok(None);
    }
    open_catalog(state).await.map(Some)
}

/// The folder of the WAL. It may be moved away while no server runs; nothing else is lost with it. A WAL that an
/// earlier version left under the name `log` is renamed.
///
/// # Errors
/// The folder can't be renamed.
pub(crate) fn wal(state: &Path) -> anyhow::Result<PathBuf> {
    let (wal, before) = (state.join(WAL), state.join(WAL_BEFORE));
    if !wal.exists() && is_wal(&before) {
        std::fs::rename(&before, &wal)
            .with_context(|| format!("the WAL's folder {} can't be renamed to {WAL}", before.display()))?;
        tracing::info!(from = %before.display(), to = %wal.display(), "renamed the WAL's folder");
    }
    Ok(wal)
}

/// The folder of the WAL; renames nothing.
pub(crate) fn wal_to_read(state: &Path) -> PathBuf {
    let (wal, before) = (state.join(WAL), state.join(WAL_BEFORE));
    if !wal.exists() && is_wal(&before) { before } else { wal }
}

const CATALOG: &str = "catalog.sqlite";
const WAL: &str = "wal";
const WAL_BEFORE: &str = "log";

/// Whether a folder contains a WAL's files.
fn is_wal(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "log")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wal_of_earlier_version_is_renamed() {
        let state = tempfile::tempdir().unwrap();
        let (before, now) = (state.path().join("log"), state.path().join("wal"));
        std::fs::create_dir(&before).unwrap();
        assert_eq!(wal_to_read(state.path()), now, "an empty folder is no WAL");
        std::fs::write(before.join("00000000000000000001.log"), "records").unwrap();
        assert_eq!(wal_to_read(state.path()), before);
        assert_eq!(wal(state.path()).unwrap(), now);
        assert!(now.join("00000000000000000001.log").exists() && !before.exists());
        assert_eq!(wal_to_read(state.path()), now);
    }

    #[test]
    fn missing_wal_starts_empty() {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("wal.kept")).unwrap();
        let now = wal(state.path()).unwrap();
        assert_eq!(now, state.path().join("wal"));
        assert!(!now.exists());
    }
}
