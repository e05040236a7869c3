//! Random histories: acknowledged records survive every failure, once, in order.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::simulation::disk::{Faults, SimDisk};
use crate::simulation::random::Random;
use crate::wal::verify_on;

#[derive(Debug, Clone)]
enum Op {
    /// Appends records of these sizes at once.
    Append(Vec<usize>),
    /// Trims up to this percentage of the records.
    Trim(u64),
    Close,
    Kill,
    PowerFailure,
    /// The process dies during a later disk change; then it restarts, with or without a power failure.
    DieSoon(u64, bool),
    FailSync(u32),
    FailTruncate,
    FailDirSync,
    /// The disk has room for this many more bytes.
    Full(u64),
    RoomAgain,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        12 => prop::collection::vec(prop_oneof![4 => 8_usize..200, 1 => 200_usize..1200], 1..5).prop_map(Op::Append),
        2 => (0..=100_u64).prop_map(Op::Trim),
        1 => Just(Op::Close),
        2 => Just(Op::Kill),
        2 => Just(Op::PowerFailure),
        2 => ((0..12_u64), any::<bool>()).prop_map(|(after, power)| Op::DieSoon(after, power)),
        1 => (1..3_u32).prop_map(Op::FailSync),
        1 => Just(Op::FailTruncate),
        1 => Just(Op::FailDirSync),
        1 => (0..1500_u64).prop_map(Op::Full),
        2 => Just(Op::RoomAgain),
    ];
    prop::collection::vec(op, 1..40)
}

/// The WAL beside a simple model of it.
struct History {
    rig: Rig,
    /// What the WAL must hold, by position: acknowledged, or found after a restart.
    held: BTreeMap<Position, Bytes>,
    /// Every payload ever appended.
    attempted: BTreeSet<Bytes>,
    trimmed: Position,
    random: Random,
    power_fails: Option<bool>,
}

impl History {
    fn new(seed: u64) -> Self {
        let rig = Rig::open(&SimDisk::new(seed), small()).unwrap();
        Self {
            rig,
            held: BTreeMap::new(),
            attempted: BTreeSet::new(),
            trimmed: 0,
            random: Random::new(seed ^ 0xABCD),
            power_fails: None,
        }
    }

    fn run(mut self, ops: &[Op]) -> Self {
        for op in ops {
            self = self.apply(op);
            if self.rig.disk.is_dead() {
                let power = self.power_fails.take().unwrap_or(false);
                self = self.restart(power);
            }
            self.check_live();
        }
        self
    }

    fn apply(mut self, op: &Op) -> Self {
        let disk = self.rig.disk.clone();
        match op {
            Op::Append(sizes) => self.append(sizes),
            Op::Trim(hundredths) => {
                let position = self.rig.log.last() * hundredths / 100;
                self.trimmed = self.trimmed.max(position);
                let _ = self.rig.trim(position);
            }
            Op::Close => {
                // Dropping closes; the test then gives the committer one more turn.
                drop(self.rig.log);
                assert!(self.rig.committer.turn() == CommitterTurn::Closed);
                drop(self.rig.committer);
                self.rig = reopen(&disk);
                self.check_reopened();
            }
            Op::Kill => return self.restart(false),
            Op::PowerFailure => return self.restart(true),
            Op::DieSoon(after, power) => {
                self.power_fails = Some(*power);
                disk.set(|faults| faults.fuse = Some(*after));
            }
            Op::FailSync(times) => disk.set(|faults| faults.fail_syncs = *times),
            Op::FailDirSync => disk.set(|faults| faults.fail_dir_syncs = 1),
            Op::FailTruncate => disk.set(|faults| faults.fail_truncates = 1),
            Op::Full(more) => {
                let used: u64 = disk
                    .segments()
                    .iter()
                    .map(|name| disk.contents(name).len() as u64)
                    .sum();
                disk.set(|faults| faults.space = Some(used + more));
            }
            Op::RoomAgain => disk.set(|faults| faults.space = None),
        }
        self
    }

    fn append(&mut self, sizes: &[usize]) {
        let number = self.attempted.len();
        let payloads = sizes.iter().enumerate();
        let payloads: Vec<Bytes> = payloads
            .map(|(nth, size)| format!("{:0size$}", number + nth).into())
            .collect();
        self.attempted.extend(payloads.iter().cloned());
        let answers = self.rig.append(&payloads);
        for (payload, answer) in payloads.into_iter().zip(answers) {
            if let Ok(position) = answer {
                assert_eq!(
                    self.held.last_key_value().map_or(self.next(), |(last, _)| last + 1),
                    position,
                    "gapless"
                );
                assert!(
                    self.held.insert(position, payload).is_none(),
                    "position {position} twice"
                );
            }
        }
    }

    /// The next position if nothing is held.
    fn next(&self) -> Position {
        self.rig.log.first()
    }

    fn restart(mut self, power: bool) -> Self {
        let disk = self.rig.disk.clone();
        drop(self.rig.log);
        drop(self.rig.committer);
        let crash = || match power {
            true => disk.power_failure(),
            false => disk.kill(),
        };
        crash();
        self.power_fails = None;
        // The first start may itself die in the middle of something.
        disk.set(|faults| {
            *faults = Faults {
                fuse: Some(self.random.below(8)),
                ..Faults::default()
            }
        });
        drop(Rig::open(&disk, small()));
        crash();
        self.rig = reopen(&disk);
        self.check_reopened();
        self
    }

    fn read(&mut self) -> BTreeMap<Position, Bytes> {
        let (records, error) = self
            .rig
            .read_all(self.rig.log.first(), 1 + self.random.below(2000) as usize);
        assert!(error.is_none(), "no crash is taken for damage: {error:?}");
        records
            .into_iter()
            .map(|record| (record.position, record.payload))
            .collect()
    }

    /// While it runs, the WAL holds exactly what was acknowledged.
    fn check_live(&mut self) {
        let read = self.read();
        let first = self.rig.log.first();
        assert!(
            first <= self.trimmed + 1,
            "only what may be trimmed is gone: from {first}, trimmed {}",
            self.trimmed
        );
        self.held.retain(|position, _| *position >= first);
        assert_eq!(read, self.held);
        assert_eq!(
            self.rig.log.last(),
            self.held.last_key_value().map_or(first - 1, |(last, _)| *last)
        );
    }

    /// After a restart, unacknowledged records may follow the acknowledged ones; from then on they stay.
    fn check_reopened(&mut self) {
        assert_eq!(self.rig.recovery.damaged, [], "no crash is taken for damage");
        let read = self.read();
        let (first, last) = (self.rig.log.first(), self.rig.log.last());
        assert!(first <= self.trimmed + 1);
        assert_eq!(
            read.keys().copied().collect::<Vec<_>>(),
            (first..=last).collect::<Vec<_>>(),
            "gapless"
        );
        for (position, payload) in self.held.range(first..) {
            assert_eq!(read.get(position), Some(payload), "acknowledged record {position}");
        }
        if let Some((position, _)) = self.held.last_key_value() {
            assert!(last >= *position, "positions are not used again");
        }
        assert!(
            read.values().all(|payload| self.attempted.contains(payload)),
            "nothing else"
        );
        let distinct: BTreeSet<&Bytes> = read.values().collect();
        assert_eq!(distinct.len(), read.len(), "nothing twice");
        self.held = read;
    }
}

fn reopen(disk: &SimDisk) -> Rig {
    disk.kill();
    disk.set(|faults| *faults = Faults::default());
    Rig::open(disk, small()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_records_survive_crashes(seed: u64, ops in ops()) {
        History::new(seed).run(&ops).restart(true);
    }

    #[test]
    fn flipped_bit_loses_one_reported_record(seed: u64, ops in ops(), file: u64, bit: u64) {
        let calm: Vec<Op> =
            ops.into_iter().filter(|op| matches!(op, Op::Append(_) | Op::Trim(_) | Op::Close | Op::Kill)).collect();
        let history = History::new(seed).run(&calm).restart(false);
        let History { rig, held, .. } = history;
        let disk = rig.disk.clone();
        drop(rig);
        let names = disk.segments();
        let name = &names[file as usize % names.len()];
        let bits = disk.contents(name).len() as u64 * 8;
        disk.flip(name, (bit % bits) as usize);

        let report = verify_on(&disk).unwrap();
        prop_assert!(!report.is_sound() || report.torn_bytes > 0, "never hidden");
        let mut rig = Rig::open(&disk, small()).unwrap();
        let lost = lost_when_read(&rig, &held);
        prop_assert!(lost.len() <= 1, "{lost:?}");
        let reported: Vec<Position> = report.damaged.iter().flat_map(|d| d.lost_from..d.resume_at).collect();
        prop_assert_eq!(&lost, &reported);

        // Then the WAL continues: no position is used twice, lost records stay lost and reported.
        let last = rig.log.last();
        prop_assert_eq!(last, held.last_key_value().map_or(last, |(last, _)| *last));
        let more = Bytes::from_static(b"more");
        prop_assert_eq!(rig.append(std::slice::from_ref(&more)).remove(0).unwrap(), last + 1);
        drop(rig);
        let mut held = held;
        held.insert(last + 1, more);
        prop_assert_eq!(lost_when_read(&Rig::open(&disk, small()).unwrap(), &held), lost);
    }

    #[test]
    fn garbage_segment_opens(seed: u64, cut: u64, garbage in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut rig = Rig::open(&SimDisk::new(seed), small()).unwrap();
        rig.fill(5);
        let disk = rig.disk.clone();
        drop(rig);
        let name = disk.segments().remove(0);
        disk.tamper(&name, |bytes| {
            bytes.truncate(128 + (cut % (bytes.len() as u64 - 128)) as usize);
            bytes.extend_from_slice(&garbage);
        });
        let mut rig = Rig::open(&disk, small()).unwrap();
        rig.fill(3);
    }
}

/// Reads everything, continues behind damage and checks the rest; returns the lost positions.
fn lost_when_read(rig: &Rig, held: &BTreeMap<Position, Bytes>) -> Vec<Position> {
    let mut lost = Vec::new();
    let mut from = rig.log.first();
    loop {
        let (records, error) = rig.read_all(from, 700);
        for record in records {
            assert_eq!(
                Some(&record.payload),
                held.get(&record.position),
                "record {}",
                record.position
            );
            assert!(record.position >= from);
            from = record.position + 1;
        }
        match error {
            None => break,
            Some(WalError::Damaged(damage)) => {
                assert_eq!(damage.lost_from, from, "everything before the damage is read: {damage}");
                lost.extend(damage.lost_from..damage.resume_at);
                from = damage.resume_at;
            }
            Some(other) => panic!("{other}"),
        }
    }
    assert_eq!(from, rig.log.last() + 1);
    lost
}
