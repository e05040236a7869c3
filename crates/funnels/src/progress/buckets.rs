//! Rows by the first bits of their visitors' hashes.

use super::Row;

/// 256 buckets: each is sorted in the processor's cache, and forgotten as soon as it is done with.
const BITS: u32 = 8;

/// Rows in any order, which are taken out in order.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// Empty, or all of them.
    buckets: Vec<Vec<Row>>,
    /// Those before it have been taken.
    next: usize,
    /// Rows that have not.
    rows: usize,
}

impl Buckets {
    pub(super) fn push(&mut self, row: Row) {
        if self.buckets.is_empty() {
            self.buckets.resize_with(1 << BITS, Vec::new);
        }
        // In the order of the hashes, which have a sign.
        let hash = row.client_hash.cast_unsigned() ^ (1 << (u64::BITS - 1));
        let bucket = &mut self.buckets[(hash >> (u64::BITS - BITS)) as usize];
        if bucket.len() == bucket.capacity() {
            // By a quarter: there are many, and memory that is half empty would soon not suffice.
            bucket.reserve_exact((bucket.len() / 4).max(16));
        }
        bucket.push(row);
        self.rows += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows of some visitors, in order: after those that were taken before.
    pub(super) fn take_next(&mut self) -> Option<Vec<Row>> {
        let rest = self.buckets.get_mut(self.next..)?;
        let skipped = rest.iter().position(|bucket| !bucket.is_empty())?;
        self.next += skipped + 1;
        let mut rows = std::mem::take(&mut rest[skipped]);
        self.rows -= rows.len();
        rows.sort_unstable();
        Some(rows)
    }

    /// Bytes.
    pub(super) fn memory(&self) -> usize {
        let rows: usize = self.buckets.iter().map(Vec::capacity).sum();
        rows * size_of::<Row>() + self.buckets.capacity() * size_of::<Vec<Row>>()
    }
}
