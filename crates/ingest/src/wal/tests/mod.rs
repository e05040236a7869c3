//! The WAL on a simulated disk with failures, and in a real folder.

mod damage;
mod disk_failures;
mod history;
mod limits;
mod local;

use std::sync::Arc;

use bytes::Bytes;
use footfall_model::clock::IdGen;
use futures::FutureExt;

use super::{Committer, CommitterTurn, EventLog, LocalWal, Position, Record, Recovery, WalError, WalOptions};
use crate::simulation::disk::SimDisk;

/// Ids of the WALs in these tests.
#[derive(Debug, Clone, Copy)]
pub(super) struct FixedId(u128);

impl IdGen for FixedId {
    fn next_id(&self) -> u128 {
        self.0
    }
}

/// Small limits, so that a few records reach each of them.
fn small() -> WalOptions {
    WalOptions {
        segment_bytes: 1500,
        tail_bytes: 600,
        ..WalOptions::default()
    }
}

/// A WAL whose committer is driven by the test.
#[derive(Debug)]
struct Rig {
    disk: SimDisk,
    log: LocalWal,
    committer: Committer,
    recovery: Recovery,
}

impl Rig {
    fn open(disk: &SimDisk, options: WalOptions) -> Result<Self, WalError> {
        let (log, committer, recovery) = LocalWal::open_manual(Arc::new(disk.clone()), options, &FixedId(0xF00))?;
        Ok(Self {
            disk: disk.clone(),
            log,
            committer,
            recovery,
        })
    }

    /// A new WAL with small limits.
    fn fresh() -> Self {
        Self::open(&SimDisk::new(1), small()).unwrap()
    }

    /// The process is killed and starts again; the machine stays up.
    fn kill(self) -> Result<Self, WalError> {
        let Self { disk, .. } = self;
        disk.kill();
        Self::open(&disk, small())
    }

    /// The machine loses power.
    fn power_failure(self) -> Result<Self, WalError> {
        let Self { disk, .. } = self;
        disk.power_failure();
        Self::open(&disk, small())
    }

    /// Appends all as one group.
    fn append(&mut self, payloads: &[Bytes]) -> Vec<Result<Position, WalError>> {
        let log = &self.log;
        let mut appends: Vec<_> = payloads.iter().map(|payload| log.append(payload.clone())).collect();
        let early: Vec<_> = appends.iter_mut().map(FutureExt::now_or_never).collect();
        while self.committer.turn() == CommitterTurn::Worked {}
        let late = appends.into_iter().zip(early);
        late.map(|(append, early)| early.unwrap_or_else(|| append.now_or_never().expect("answered")))
            .collect()
    }

    /// Appends `count` records in groups of three; panics if an append fails.
    fn fill(&mut self, count: u64) {
        let next = self.log.last() + 1;
        let payloads: Vec<Bytes> = (next..next + count).map(payload).collect();
        for group in payloads.chunks(3) {
            for answer in self.append(group) {
                answer.unwrap();
            }
        }
    }

    fn trim(&mut self, position: Position) -> Result<(), WalError> {
        let mut trim = self.log.trim(position);
        let early = (&mut trim).now_or_never();
        while self.committer.turn() == CommitterTurn::Worked {}
        early.unwrap_or_else(|| trim.now_or_never().expect("answered"))
    }

    fn read(&self, from: Position, max_bytes: usize) -> Result<Vec<Record>, WalError> {
        self.log
            .read_from(from, max_bytes)
            .now_or_never()
            .expect("reads inline")
    }

    /// Everything from `from` to the end or to the first error.
    fn read_all(&self, from: Position, max_bytes: usize) -> (Vec<Record>, Option<WalError>) {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let next = all.last().map_or(from, |record| record.position + 1);
            match self.read(next, max_bytes) {
                Ok(records) if records.is_empty() => return (all, None),
                Ok(records) => all.extend(records),
                Err(error) => return (all, Some(error)),
            }
        }
    }

    fn positions(&self) -> Vec<Position> {
        let (records, error) = self.read_all(self.log.first(), 300);
        assert!(error.is_none(), "{error:?}");
        for record in &records {
            assert_eq!(record.payload, payload(record.position), "record {}", record.position);
        }
        records.iter().map(|record| record.position).collect()
    }
}

/// The payload at a position: 100 to 139 bytes, distinct.
fn payload(position: Position) -> Bytes {
    format!("{position:>width$}", width = 100 + (position % 40) as usize).into()
}
