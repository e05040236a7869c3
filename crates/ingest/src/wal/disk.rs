//! The only access to the disk: an interface small enough to be simulated.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use footfall_lake::create_durably;

use super::WalError;

/// An open file of the WAL.
///
/// Assumptions about the disk: an interrupted write may have reached any of its sectors in any order, and
/// the file may have grown by zeros; but bytes that were synced before stay, also in a sector that was being
/// rewritten (what SQLite calls powersafe overwrite).
pub trait WalFile: Debug + Send + Sync {
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
    /// Reads at most `buffer.len()` bytes from `offset`; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at `offset`; on an error any part of them may be there.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when everything written is on stable storage. After an error nothing is known about what was written
    /// since the last success, and a later success says nothing about it.
    fn sync_data(&self) -> io::Result<()>;
    /// Shortens the file; durable on return.
    fn truncate(&self, size: u64) -> io::Result<()>;
}

/// The folder of one WAL. Names are plain file names. Changes to the folder (create, rename, remove) reach stable
/// storage in their order, at the latest with the next [`Disk::sync_dir`].
pub trait Disk: Debug + Send + Sync {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates an empty file, or truncates an existing one.
    fn create(&self, name: &str) -> io::Result<Box<dyn WalFile>>;
    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Box<dyn WalFile>>;
    /// Renames atomically, over an existing file too.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file; an open handle can still be read.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns when all changes to the folder are on stable storage.
    fn sync_dir(&self) -> io::Result<()>;
    /// The file's path for messages.
    fn path(&self, name: &str) -> String;
}

/// Fills `buffer` from `offset` as far as the file reaches; the number of bytes read.
pub(super) fn read_full(file: &dyn WalFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// A local folder, locked against other processes while this value lives.
#[derive(Debug)]
pub struct FsDisk {
    dir: PathBuf,
    /// The lock ends when the file is closed, however the process ends.
    _lock: File,
}

/// The lock file; it holds the process id of its owner.
pub(super) const LOCK: &str = "lock";

impl FsDisk {
    /// Creates the folder if missing and locks it.
    ///
    /// # Errors
    /// [`WalError::InUse`] if another process has it; [`WalError::Disk`].
    pub fn open(dir: &Path) -> Result<Self, WalError> {
        let refused = |source| WalError::disk(&dir.display().to_string(), source);
        create_durably(dir).map_err(refused)?;
        Self::lock(dir)
    }

    /// Locks an existing folder.
    pub(super) fn lock(dir: &Path) -> Result<Self, WalError> {
        let path = dir.join(LOCK);
        let refused = |source| WalError::disk(&path.display().to_string(), source);
        let mut lock = options().create(true).truncate(false).open(&path).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(WalError::InUse {
                    path: dir.display().to_string(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        // Only for another process's message, so that a failure doesn't matter.
        let _ = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
        })
    }
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(20).read_to_string(&mut text) {
        Ok(_) if text.parse::<u32>().is_ok() => format!("process {text}"),
        _ => "process id unknown".to_owned(),
    }
}

/// Only the owner may read visitors' events.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

impl Disk for FsDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            // No WAL file has a name that is not UTF-8.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(FsFile(
            options().create(true).truncate(true).open(self.dir.join(name))?,
        )))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(FsFile(options().open(self.dir.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

#[derive(Debug)]
struct FsFile(File);

impl WalFile for FsFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)?;
        self.0.sync_all()
    }
}
