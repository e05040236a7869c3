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

#[cfg(test)]
mod tests {
    use super::*;

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
