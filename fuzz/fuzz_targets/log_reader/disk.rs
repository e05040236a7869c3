//! A disk in memory that never fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use footfall_ingest::wal::{Disk, WalFile};
use parking_lot::Mutex;

type Contents = Arc<Mutex<Vec<u8>>>;

#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<BTreeMap<String, Contents>>>);

#[derive(Debug)]
struct MemoryFile(Contents);

impl MemoryDisk {
    pub(crate) fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let files = files
            .iter()
            .map(|(name, bytes)| (name.clone(), Arc::new(Mutex::new(bytes.clone()))));
        Self(Arc::new(Mutex::new(files.collect())))
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.0.lock();
        files
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.lock().clone()))
            .collect()
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        // In no order, as folders are.
        Ok(self.0.lock().keys().rev().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WalFile>> {
        let contents = Contents::default();
        self.0.lock().insert(name.to_owned(), Arc::clone(&contents));
        Ok(Box::new(MemoryFile(contents)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn WalFile>> {
        let contents = self.0.lock().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile(contents)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock();
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0
            .lock()
            .remove(name)
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl WalFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let contents = self.0.lock();
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| contents.get(at..))
            .unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = self.0.lock();
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let end = at + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[at..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.lock().truncate(usize::try_from(size).map_err(io::Error::other)?);
        Ok(())
    }
}
