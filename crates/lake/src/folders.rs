//! Durable creation of folders.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Creates a folder and its missing parents durably: each one's parent is synced, so that all survive a power failure.
///
/// # Errors
/// The file system's.
pub fn create_durably(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .collect();
    fs::create_dir_all(folder)?;
    for made in missing {
        match made.parent() {
            Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all()?,
            Some(parent) => File::open(parent)?.sync_all()?,
            None => {}
        }
    }
    Ok(())
}

/// Removes a folder and those in it, as far as there are no files.
pub(crate) fn remove_empty(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // One with files stays.
    let _ = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_files_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let (empty, kept) = (root.path().join("a/b"), root.path().join("a/c"));
        fs::create_dir_all(&empty).unwrap();
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("x"), "kept").unwrap();
        remove_empty(&root.path().join("a"));
        assert!(!empty.exists() && kept.join("x").exists());
        fs::remove_file(kept.join("x")).unwrap();
        remove_empty(&root.path().join("a"));
        assert!(!root.path().join("a").exists());
    }

    #[test]
    fn missing_folders_are_created_existing_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        create_durably(&folder).unwrap();
        fs::write(folder.join("x"), "kept").unwrap();
        create_durably(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join("x")).unwrap(), "kept");
        let error = create_durably(&folder.join("x/y")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
