//! One file of the disk: what the page cache shows and what a power failure leaves.

use crate::simulation::random::Random;

const SECTOR: u64 = 512;

/// A file: the content of the page cache, the content of the platter, and the writes between them.
#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) cache: Vec<u8>,
    pub(super) platter: Vec<u8>,
    pub(super) pending: Vec<(u64, Vec<u8>)>,
}

impl Inode {
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        overlay(&mut self.cache, offset, bytes);
        self.pending.push((offset, bytes.to_vec()));
    }

    /// Moves pending writes to the platter: all (0), none (1), or any sectors (else), some of them cut short or with a
    /// bit flipped; never one where something had been synced before.
    pub(super) fn flush_some(&mut self, random: &mut Random, mode: u64) {
        let synced = self.platter.len() as u64;
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            let mut at = 0;
            while at < bytes.len() {
                let in_sector = (SECTOR - (offset + at as u64) % SECTOR) as usize;
                let end = bytes.len().min(at + in_sector);
                match (mode, random.below(8)) {
                    (0, _) | (2.., 0..=3) => overlay(&mut self.platter, offset + at as u64, &bytes[at..end]),
                    (2.., 4) => {
                        let cut = at + random.below((end - at) as u64) as usize;
                        overlay(&mut self.platter, offset + at as u64, &bytes[at..cut]);
                    }
                    (2.., 5) if offset + at as u64 >= synced => {
                        let mut garbled = bytes[at..end].to_vec();
                        let bit = random.below(garbled.len() as u64 * 8) as usize;
                        garbled[bit / 8] ^= 1 << (bit % 8);
                        overlay(&mut self.platter, offset + at as u64, &garbled);
                    }
                    _ => {}
                }
                at = end;
            }
        }
    }
}

fn overlay(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if bytes.is_empty() {
        return;
    }
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}
