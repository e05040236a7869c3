//! Temporary files of the local store, before they are published under their names.
//!
//! A staged file is locked as long as its process writes it: one without a lock was left behind by a killed process,
//! and is removed at the next start.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::create_durably;

/// A file to be published as `target`. If dropped before that, it is deleted.
#[derive(Debug)]
pub(super) struct StagedFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl StagedFile {
    /// Creates an empty file beside `target`, whose folder is created durably.
    pub(super) fn create(target: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        create_durably(folder(target))?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            // `object_store` treats such a name as unfinished and does not list it.
            let mut name = target.as_os_str().to_owned();
            name.push(format!("#{}{number:06}", std::process::id()));
            let path = PathBuf::from(name);
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            let target = target.to_path_buf();
            match file.try_lock() {
                // Another process may have removed it before it was locked.
                Ok(()) if path.exists() => return Ok(Self { file, path, target }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                // A file system without locks: nothing is removed there either.
                Err(TryLockError::Error(_)) => return Ok(Self { file, path, target }),
            }
        }
    }

    pub(super) fn write_at<'a>(&mut self, offset: u64, parts: impl IntoIterator<Item = &'a Bytes>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        parts.into_iter().try_for_each(|part| self.file.write_all(part))
    }

    /// Publishes the file: bytes, then name, then folder, each synced before the next. `exclusive`: fails if a file of
    /// that name exists.
    pub(super) fn publish(self, exclusive: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if exclusive {
            fs::hard_link(&self.path, &self.target)?;
        } else {
            fs::rename(&self.path, &self.target)?;
        }
        File::open(folder(&self.target))?.sync_all()
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // After a rename there is none. One left behind is harmless.
        let _ = fs::remove_file(&self.path);
    }
}

fn folder(target: &Path) -> &Path {
    target.parent().unwrap_or(target)
}

/// Removes the files that killed processes left below `root` and returns their number.
pub(super) fn collect(root: &Path) -> io::Result<usize> {
    let mut collected = 0;
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_staged(&entry.file_name().to_string_lossy()) {
                collected += usize::from(remove_unlocked(&entry.path()));
            }
        }
    }
    Ok(collected)
}

/// Whether it is a staged file's name: a number after the last `#`.
fn is_staged(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| number.len() > 6 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn remove_unlocked(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().write(true).open(path) else {
        return false;
    };
    file.try_lock().is_ok() && fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn published_file_leaves_no_staged_file() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/b/x.parquet");
        for (exclusive, bytes) in [(true, "one"), (false, "two")] {
            let mut staged = StagedFile::create(&target).unwrap();
            staged.write_at(0, &[Bytes::from(bytes)]).unwrap();
            staged.publish(exclusive).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), bytes);
            assert_eq!(names(target.parent().unwrap()), ["x.parquet"]);
        }
        let refused = StagedFile::create(&target).unwrap().publish(true).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(target.parent().unwrap()), ["x.parquet"]);
    }

    #[test]
    fn dropped_file_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        drop(StagedFile::create(&root.path().join("x")).unwrap());
        assert!(names(root.path()).is_empty());
    }

    #[test]
    fn only_files_of_killed_processes_are_collected() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("day");
        fs::create_dir(&folder).unwrap();
        for name in ["x.parquet#4711000003", "x.parquet", "x.parquet#17", "notes#today", "#"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        let held = StagedFile::create(&folder.join("y.parquet")).unwrap();
        assert_eq!(collect(root.path()).unwrap(), 1);
        assert_eq!(names(&folder).len(), 5);
        held.publish(true).unwrap();
        assert_eq!(
            names(&folder),
            ["#", "notes#today", "x.parquet", "x.parquet#17", "y.parquet"]
        );
    }
}
