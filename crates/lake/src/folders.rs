//! Folders that are there after a power failure.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a folder, and those above it that are missing, such that all of them are there after a power failure: each is
/// synced in the one that it lies in.
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
    fn missing_folders_are_made_and_existing_ones_left_alone() {
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
