//! A disk in memory that loses, tears and reorders what was not synced.

mod inode;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use self::inode::Inode;
use super::random::Random;
use crate::wal::{Disk, WalFile};

#[derive(Debug)]
enum DirChange {
    Link(String, usize),
    Rename(String, String),
    Unlink(String),
}

type Names = BTreeMap<String, usize>;

#[derive(Debug, Default)]
struct DiskState {
    inodes: Vec<Inode>,
    names: Names,
    platter_names: Names,
    dir_changes: Vec<DirChange>,
    random: Option<Random>,
    faults: Faults,
    syncs: u64,
    dead: bool,
}

/// The faults of the disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Limit of all files' bytes.
    pub(crate) space: Option<u64>,
    /// Number of file syncs that fail.
    pub(crate) fail_syncs: u32,
    /// Number of folder syncs that fail.
    pub(crate) fail_dir_syncs: u32,
    /// Number of truncations that fail.
    pub(crate) fail_truncates: u32,
    /// The process dies in the middle of a change after this many changes.
    pub(crate) fuse: Option<u64>,
    /// How long a sync takes.
    pub(crate) sync_time: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<DiskState>>);

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Some(Random::new(seed));
        Self(Arc::new(Mutex::new(DiskState {
            random,
            ..DiskState::default()
        })))
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().faults);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// The process ends; what it wrote stays in the page cache.
    pub(crate) fn kill(&self) {
        let world = &mut *self.0.lock();
        world.dead = false;
        world.faults.fuse = None;
    }

    /// The machine stops: of what was not synced, any sectors may survive, and any prefix of the folder's changes.
    pub(crate) fn power_failure(&self) {
        let world = &mut *self.0.lock();
        world.dead = false;
        world.faults = Faults::default();
        let mut random = world.random.take().unwrap();
        let kept = random.below(world.dir_changes.len() as u64 + 1) as usize;
        let mut names = std::mem::take(&mut world.platter_names);
        world
            .dir_changes
            .drain(..)
            .take(kept)
            .for_each(|change| apply(&mut names, change));
        (world.names, world.platter_names) = (names.clone(), names);
        for inode in &mut world.inodes {
            // All, none, or any of the sectors; then perhaps a longer file with zeros where nothing arrived.
            let mode = random.below(4);
            inode.flush_some(&mut random, mode);
            if random.below(4) == 0 && inode.platter.len() < inode.cache.len() {
                inode.platter.resize(inode.cache.len(), 0);
            }
            inode.cache = inode.platter.clone();
        }
        world.random = Some(random);
    }

    pub(crate) fn segments(&self) -> Vec<String> {
        self.0
            .lock()
            .names
            .keys()
            .filter(|name| name.ends_with(".log"))
            .cloned()
            .collect()
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.0.lock().used()
    }

    pub(crate) fn contents(&self, name: &str) -> Vec<u8> {
        let world = self.0.lock();
        world.inodes[world.names[name]].cache.clone()
    }

    /// Changes a file without the WAL's knowledge.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let world = &mut *self.0.lock();
        let inode = &mut world.inodes[world.names[name]];
        change(&mut inode.cache);
        inode.platter = inode.cache.clone();
        inode.pending.clear();
    }

    pub(crate) fn flip(&self, name: &str, bit: usize) {
        self.tamper(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }

    /// Creates a file as another program would.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) {
        let world = &mut *self.0.lock();
        world.inodes.push(Inode {
            cache: bytes.clone(),
            platter: bytes,
            pending: Vec::new(),
        });
        world.names.insert(name.to_owned(), world.inodes.len() - 1);
        world.platter_names.insert(name.to_owned(), world.inodes.len() - 1);
    }

    /// Counts one change; `Ok(false)` if the process dies in the middle of it, which leaves an unknown part done.
    fn step(world: &mut DiskState) -> io::Result<bool> {
        if world.dead {
            return Err(io::Error::other("the process is dead"));
        }
        match &mut world.faults.fuse {
            Some(0) => {
                world.dead = true;
                Ok(false)
            }
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }

    fn change_dir(&self, change: impl FnOnce(&mut DiskState) -> io::Result<DirChange>) -> io::Result<()> {
        let world = &mut *self.0.lock();
        let alive = Self::step(world)?;
        if alive || world.random.as_mut().unwrap().below(2) == 0 {
            let change = change(world)?;
            apply(&mut world.names, change.copy());
            world.dir_changes.push(change);
        }
        if alive { Ok(()) } else { Err(io::Error::other("died")) }
    }
}

impl DiskState {
    fn used(&self) -> u64 {
        let inodes = self.names.values();
        inodes.map(|inode| self.inodes[*inode].cache.len() as u64).sum()
    }
}

impl DirChange {
    fn copy(&self) -> Self {
        match self {
            Self::Link(name, inode) => Self::Link(name.clone(), *inode),
            Self::Rename(from, to) => Self::Rename(from.clone(), to.clone()),
            Self::Unlink(name) => Self::Unlink(name.clone()),
        }
    }
}

fn apply(names: &mut Names, change: DirChange) {
    match change {
        DirChange::Link(name, inode) => drop(names.insert(name, inode)),
        DirChange::Unlink(name) => drop(names.remove(&name)),
        DirChange::Rename(from, to) => {
            if let Some(inode) = names.remove(&from) {
                names.insert(to, inode);
            }
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn WalFile>> {
        self.change_dir(|world| {
            world.inodes.push(Inode::default());
            Ok(DirChange::Link(name.to_owned(), world.inodes.len() - 1))
        })?;
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn WalFile>> {
        let inode = self.0.lock().names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change_dir(|_| Ok(DirChange::Rename(from.to_owned(), to.to_owned())))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change_dir(|world| match world.names.contains_key(name) {
            true => Ok(DirChange::Unlink(name.to_owned())),
            false => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        let world = &mut *self.0.lock();
        if !Self::step(world)? {
            return Err(io::Error::other("died"));
        }
        if world.faults.fail_dir_syncs > 0 {
            world.faults.fail_dir_syncs -= 1;
            return Err(io::Error::other("the disk failed"));
        }
        world.platter_names = world.names.clone();
        world.dir_changes.clear();
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        format!("sim/{name}")
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl WalFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.inode].cache.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.disk.0.lock();
        let rest = world.inodes[self.inode]
            .cache
            .get(offset as usize..)
            .unwrap_or_default();
        // Short reads are allowed.
        let read = rest.len().min(buffer.len()).min(1000);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let world = &mut *self.disk.0.lock();
        let alive = SimDisk::step(world)?;
        let used = world.used();
        let size = world.inodes[self.inode].cache.len() as u64;
        let grows = (offset + bytes.len() as u64).saturating_sub(size);
        let lacking = world
            .faults
            .space
            .map_or(0, |space| (used + grows).saturating_sub(space))
            .min(bytes.len() as u64);
        let mut fits = bytes.len() - lacking as usize;
        if !alive {
            fits = world.random.as_mut().unwrap().below(fits as u64 + 1) as usize;
        }
        world.inodes[self.inode].write(offset, &bytes[..fits]);
        match (alive, lacking) {
            (false, _) => Err(io::Error::other("died")),
            (true, 0) => Ok(()),
            (true, _) => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let sync_time = self.disk.0.lock().faults.sync_time;
        std::thread::sleep(sync_time);
        let world = &mut *self.disk.0.lock();
        let alive = SimDisk::step(world)?;
        world.syncs += 1;
        let mut random = world.random.take().unwrap();
        let inode = &mut world.inodes[self.inode];
        let result = if !alive {
            Err(io::Error::other("died"))
        } else if world.faults.fail_syncs > 0 {
            world.faults.fail_syncs -= 1;
            // Some of it was written, and the page cache forgets that the rest was not.
            inode.flush_some(&mut random, 2);
            Err(io::Error::other("the disk failed"))
        } else {
            inode.flush_some(&mut random, 0);
            Ok(())
        };
        world.random = Some(random);
        result
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let world = &mut *self.disk.0.lock();
        let alive = SimDisk::step(world)?;
        if !alive || world.faults.fail_truncates > 0 {
            world.faults.fail_truncates = world.faults.fail_truncates.saturating_sub(1);
            return Err(io::Error::other("the disk failed"));
        }
        let mut random = world.random.take().unwrap();
        let inode = &mut world.inodes[self.inode];
        inode.flush_some(&mut random, 0);
        inode.cache.truncate(size as usize);
        inode.platter.resize(inode.cache.len(), 0);
        world.random = Some(random);
        Ok(())
    }
}
