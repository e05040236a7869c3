//! Torn or damaged, and what is reported to readers and operators.

use super::*;
use crate::simulation::disk::SimDisk;
use crate::wal::record::{WalId, encode_record, encode_seal};
use crate::wal::segment::{HEADER_BYTES, Header, file_name};
use crate::wal::{Damage, VerifyReport, verify_on};

const ID: WalId = WalId([3; 16]);

/// A segment that begins with record 1, of groups given as first position and number of records.
struct Segment {
    bytes: Vec<u8>,
    offsets: Vec<usize>,
}

fn segment(groups: &[(Position, u32)]) -> Segment {
    let mut bytes = Header { id: ID, first: 1 }.encode();
    let mut offsets = vec![0];
    for (first, count) in groups {
        for index in 0..*count {
            offsets.push(bytes.len());
            encode_record(&mut bytes, ID, *first, index, &payload(first + u64::from(index)));
        }
    }
    Segment { bytes, offsets }
}

impl Segment {
    fn sealed(mut self, durable: Position) -> Self {
        encode_seal(&mut self.bytes, ID, durable);
        self
    }

    /// Breaks the record at `position`.
    fn broken(mut self, position: usize) -> Self {
        self.bytes[self.offsets[position] + 30] ^= 4;
        self
    }

    fn open(self) -> Rig {
        Rig::open(&self.disk(), small()).unwrap()
    }

    fn disk(self) -> SimDisk {
        let disk = SimDisk::new(1);
        disk.put(&file_name(1), self.bytes);
        disk
    }
}

fn lost(damaged: &[Damage]) -> Vec<(Position, Position)> {
    damaged
        .iter()
        .map(|damage| (damage.lost_from, damage.resume_at))
        .collect()
}

#[test]
fn broken_last_group_is_torn_tail() {
    let torn = segment(&[(1, 2), (3, 3)]).broken(4);
    let size = (torn.bytes.len() - torn.offsets[4]) as u64;
    let rig = torn.open();
    assert_eq!(
        rig.recovery,
        Recovery {
            first: 1,
            last: 3,
            torn_bytes: size,
            damaged: vec![]
        }
    );
    assert_eq!(
        rig.positions(),
        [1, 2, 3],
        "whole records of the torn group are kept, what follows the tear is not"
    );

    // Records kept by a restart are sealed: from now on a flipped bit in them is damage.
    let disk = rig.disk.clone();
    drop(rig);
    let third = segment(&[(1, 2), (3, 1)]).offsets[3];
    disk.flip(&file_name(1), (third + 50) * 8);
    assert_eq!(lost(&Rig::open(&disk, small()).unwrap().recovery.damaged), [(3, 4)]);
}

#[test]
fn broken_record_before_later_group_is_damage() {
    let mut rig = segment(&[(1, 2), (3, 3), (6, 1)]).broken(4).open();
    assert_eq!((rig.recovery.last, rig.recovery.torn_bytes), (6, 0));
    assert_eq!(lost(&rig.recovery.damaged), [(4, 5)]);
    let damaged_file = rig.disk.contents(&file_name(1));

    let (before, error) = rig.read_all(1, 10_000);
    assert_eq!(before.len(), 3);
    let text = error.unwrap().to_string();
    assert!(
        text.contains("sim/00000000000000000001.log at byte") && text.ends_with("record 4 is lost"),
        "{text}"
    );
    assert!(
        matches!(rig.read(4, 10_000), Err(WalError::Damaged(_))),
        "reported every time"
    );
    assert_eq!(
        rig.read(5, 10_000).unwrap().len(),
        2,
        "records behind the damage are readable"
    );

    rig.fill(4);
    assert_eq!(rig.read_all(5, 300).0.last().unwrap().position, 10);
    assert_eq!(
        rig.disk.contents(&file_name(1)),
        damaged_file,
        "the damaged file is not written again"
    );
    assert_eq!(rig.disk.segments(), [file_name(1), file_name(7)]);
    assert!(!verify_on(&rig.disk).unwrap().is_sound());
}

#[test]
fn seal_proves_last_group() {
    let rig = segment(&[(1, 2), (3, 2)]).sealed(4).broken(4).open();
    assert_eq!((rig.recovery.last, lost(&rig.recovery.damaged)), (4, vec![(4, 5)]));
    assert_eq!(rig.read_all(1, 1000).0.len(), 3);
    assert!(rig.read(5, 1000).unwrap().is_empty());
    let rig = segment(&[(1, 2), (3, 2)]).sealed(4).open();
    assert_eq!(
        (rig.recovery.last, rig.recovery.torn_bytes),
        (4, 0),
        "the seal itself is no damage"
    );
}

#[test]
fn damage_and_torn_tail_in_one_file() {
    let rig = segment(&[(1, 2), (3, 3), (6, 2)]).broken(2).broken(4).broken(7).open();
    assert_eq!(lost(&rig.recovery.damaged), [(2, 3), (4, 5)]);
    assert_eq!(rig.recovery.last, 6);
    assert!(rig.recovery.torn_bytes > 0);
}

#[test]
fn record_planted_in_payload_is_ignored() {
    let mut planted = Vec::new();
    encode_record(&mut planted, WalId([9; 16]), 3, 0, b"planted");
    let mut bytes = Header { id: ID, first: 1 }.encode();
    encode_record(&mut bytes, ID, 1, 0, b"first");
    let second = bytes.len();
    encode_record(&mut bytes, ID, 2, 0, &planted);
    bytes[second + 5] ^= 1;
    let rig = Segment { bytes, offsets: vec![] }.open();
    assert_eq!(
        (rig.recovery.last, rig.recovery.damaged.len()),
        (1, 0),
        "nothing proves record 2"
    );
}

#[test]
fn missing_or_short_segment_is_reported() {
    let mut rig = Rig::fresh();
    rig.fill(40);
    let names = rig.disk.segments();
    assert!(names.len() >= 4, "{names:?}");
    let first_of = |nth: usize| -> Position { names[nth].trim_end_matches(".log").parse().unwrap() };

    rig.disk
        .tamper(&names[0], |bytes| bytes.truncate(HEADER_BYTES as usize + 200));
    let Some(WalError::Damaged(damage)) = rig.read_all(1, 200).1 else {
        panic!("damaged")
    };
    assert_eq!((damage.lost_from, damage.resume_at), (2, first_of(1)), "{damage}");

    crate::wal::Disk::remove(&rig.disk, &names[1]).unwrap();
    let Err(WalError::Damaged(damage)) = rig.read(first_of(1), 200) else {
        panic!("damaged")
    };
    assert_eq!(
        (damage.lost_from, damage.resume_at),
        (first_of(1), first_of(2)),
        "{damage}"
    );
    assert!(rig.read(first_of(2), 200).is_ok());

    let report = verify_on(&rig.disk).unwrap();
    let lost: u64 = report
        .damaged
        .iter()
        .map(|damage| damage.resume_at - damage.lost_from)
        .sum();
    assert_eq!(lost + report.records, 40);
}

#[test]
fn damaged_header_loses_no_record() {
    let sound = || segment(&[(1, 2)]).sealed(2);
    let one_copy = sound().disk();
    one_copy.flip(&file_name(1), 100);
    let rig = Rig::open(&one_copy, small()).unwrap();
    assert_eq!(
        (lost(&rig.recovery.damaged), rig.positions()),
        (vec![(1, 1)], vec![1, 2])
    );

    let both = sound().disk();
    both.flip(&file_name(1), 100);
    both.flip(&file_name(1), 700);
    let error = Rig::open(&both, small()).unwrap_err().to_string();
    assert!(
        error.ends_with("header is damaged; nothing from record 1 on can be read"),
        "{error}"
    );

    both.put(&file_name(3), Header { id: ID, first: 3 }.encode());
    let mut rig = Rig::open(&both, small()).unwrap();
    rig.fill(1);
    assert_eq!(
        (rig.recovery.damaged.len(), rig.positions()),
        (1, vec![1, 2, 3]),
        "another file has the WAL's id"
    );
}

#[test]
fn truncated_header_is_not_written_into() {
    let disk = segment(&[]).disk();
    disk.tamper(&file_name(1), |bytes| bytes.truncate(100));
    let mut rig = Rig::open(&disk, small()).unwrap();
    assert_eq!(rig.recovery.damaged.len(), 1, "one copy of the header is cut off");
    assert_eq!(rig.append(&[payload(1)]).len(), 1);
    let rig = rig.kill().unwrap();
    assert_eq!((rig.recovery.last, rig.recovery.torn_bytes), (1, 0));
    assert_eq!(rig.read(1, 1).unwrap()[0].payload, payload(1));
}

#[test]
fn headerless_last_file_is_not_overwritten() {
    let disk = segment(&[(1, 2)]).disk();
    disk.put(&file_name(3), vec![0; 700]);
    let mut rig = Rig::open(&disk, small()).unwrap();
    assert_eq!(lost(&rig.recovery.damaged), [(3, 3), (3, 4)]);
    rig.fill(1);
    assert_eq!(disk.segments(), [file_name(1), file_name(3), file_name(4)]);
    assert_eq!(disk.contents(&file_name(3)), [0; 700]);
    assert!(matches!(rig.read(3, 100), Err(WalError::Damaged(_))));
}

#[test]
fn foreign_segment_is_refused() {
    let refusal = |name: &str, bytes: Vec<u8>| {
        let disk = segment(&[(1, 2)]).disk();
        disk.put(name, bytes);
        match Rig::open(&disk, small()) {
            Err(error @ WalError::Foreign { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let other_log = Header {
        id: WalId([4; 16]),
        first: 3,
    }
    .encode();
    assert!(refusal(&file_name(3), other_log).contains("another WAL's id"));
    assert!(refusal(&file_name(4), Header { id: ID, first: 3 }.encode()).contains("was it renamed?"));
    let mut newer = Header { id: ID, first: 3 }.encode();
    for copy in newer.chunks_mut(64) {
        copy[8] = 9;
        let checksum = crc32fast::hash(&copy[..60]);
        copy[60..].copy_from_slice(&checksum.to_le_bytes());
    }
    assert!(refusal(&file_name(3), newer).contains("format version 9"));
}

#[test]
fn damage_ends_at_next_segment() {
    let disk = segment(&[(1, 2)]).sealed(50).disk();
    let mut next = Header { id: ID, first: 4 }.encode();
    encode_record(&mut next, ID, 4, 0, b"after");
    disk.put(&file_name(4), next);
    assert_eq!(lost(&verify_on(&disk).unwrap().damaged), [(3, 4)]);

    let rig = Rig::open(&disk, small()).unwrap();
    match rig.read(3, 1) {
        Err(WalError::Damaged(damage)) => assert_eq!((damage.lost_from, damage.resume_at), (3, 4)),
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.read(4, 1).unwrap().len(), 1);
}

#[test]
fn impossible_position_is_damage() {
    let mut beyond = segment(&[(1, 2)]);
    let end = beyond.bytes.len();
    encode_record(&mut beyond.bytes, ID, Position::MAX, 0, b"beyond");
    encode_seal(&mut beyond.bytes, ID, Position::MAX);
    let rig = beyond.open();
    assert_eq!((rig.recovery.last, rig.recovery.damaged.len()), (2, 0));
    assert_eq!(rig.disk.contents(&file_name(1))[..end], segment(&[(1, 2)]).bytes);

    for first in [0, Position::MAX] {
        let disk = SimDisk::new(1);
        disk.put(&file_name(first), Header { id: ID, first }.encode());
        assert!(matches!(verify_on(&disk), Err(WalError::Foreign { .. })), "{first}");
    }
}

#[test]
fn sound_wal_verifies_as_sound() {
    let mut rig = Rig::fresh();
    rig.fill(30);
    let report = verify_on(&rig.disk).unwrap();
    let VerifyReport {
        segments,
        records,
        first,
        last,
        torn_bytes,
        ..
    } = report;
    assert_eq!(
        (segments, records, first, last, torn_bytes),
        (rig.disk.segments().len(), 30, 1, 30, 0)
    );
    assert!(report.is_sound());
    assert_eq!(
        verify_on(&SimDisk::new(1)).unwrap(),
        VerifyReport {
            first: 1,
            ..VerifyReport::default()
        }
    );
}
