//! The newest records, kept in memory for a reader that keeps up.

use std::collections::VecDeque;

use super::{Position, Record};

/// Bytes of a record beside its payload.
const OVERHEAD: usize = 64;

/// A run of consecutive durable records that ends with the newest, bounded in bytes.
#[derive(Debug)]
pub(super) struct Tail {
    records: VecDeque<Record>,
    bytes: usize,
    limit: usize,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            records: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// Adds the next record and drops the oldest over the limit.
    pub(super) fn push(&mut self, record: Record) {
        if self
            .records
            .back()
            .is_some_and(|last| last.position + 1 != record.position)
        {
            self.forget(Position::MAX);
        }
        self.bytes += cost(&record);
        self.records.push_back(record);
        while self.bytes > self.limit {
            self.drop_first();
        }
    }

    /// Drops records up to and including `position`.
    pub(super) fn forget(&mut self, position: Position) {
        while self.records.front().is_some_and(|record| record.position <= position) {
            self.drop_first();
        }
    }

    /// Records from `from` on that fit in `max_bytes`, at least one; `None` if `from` is not held here.
    pub(super) fn read(&self, from: Position, max_bytes: usize) -> Option<Vec<Record>> {
        let skip = usize::try_from(from.checked_sub(self.records.front()?.position)?).ok()?;
        let mut bytes = 0;
        let wanted = self
            .records
            .range(skip.min(self.records.len())..)
            .enumerate()
            .take_while(|(nth, record)| {
                bytes += record.payload.len();
                *nth == 0 || bytes <= max_bytes
            });
        let records: Vec<Record> = wanted.map(|(_, record)| record.clone()).collect();
        (!records.is_empty()).then_some(records)
    }

    fn drop_first(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.bytes -= cost(&record);
        }
    }
}

fn cost(record: &Record) -> usize {
    record.payload.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn tail(limit: usize, positions: std::ops::RangeInclusive<Position>) -> Tail {
        let mut tail = Tail::new(limit);
        for position in positions {
            tail.push(Record {
                position,
                payload: Bytes::from_static(&[0; 36]),
            });
        }
        tail
    }

    fn positions(tail: &Tail, from: Position, max_bytes: usize) -> Option<Vec<Position>> {
        Some(tail.read(from, max_bytes)?.iter().map(|r| r.position).collect())
    }

    #[test]
    fn tail_holds_newest_that_fit() {
        let tail = tail(300, 1..=10);
        assert_eq!(positions(&tail, 7, usize::MAX), None, "dropped");
        assert_eq!(positions(&tail, 8, usize::MAX), Some(vec![8, 9, 10]));
        assert_eq!(positions(&tail, 8, 80), Some(vec![8, 9]), "as many as fit");
        assert_eq!(positions(&tail, 9, 1), Some(vec![9]), "at least one");
        assert_eq!(positions(&tail, 11, usize::MAX), None, "not yet written");
    }

    #[test]
    fn trimmed_records_are_dropped() {
        let mut tail = tail(1000, 1..=4);
        tail.forget(3);
        assert_eq!(positions(&tail, 3, usize::MAX), None);
        assert_eq!(positions(&tail, 4, usize::MAX), Some(vec![4]));
        tail.forget(9);
        assert_eq!((positions(&tail, 4, usize::MAX), tail.bytes), (None, 0));
    }
}
