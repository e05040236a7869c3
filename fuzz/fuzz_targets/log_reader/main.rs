//! The log over any disk: what a program of [`image`]'s small language leaves in the folder is verified, opened, read,
//! written to and opened again.
//!
//! Checked: no panic; whole records before any damage are read as they were written; a log that nobody touched is
//! called sound; verifying changes nothing; a reader always gets on; positions that were told are never used again;
//! what is appended to whatever was found is there afterwards; the lists of damage stay bounded.

#![no_main]

mod disk;
mod image;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use disk::MemoryDisk;
use footfall_ingest::wal::{
    Committer, CommitterTurn, EventLog, LocalWal, Position, Recovery, WalError, WalOptions, verify_on,
};
use footfall_model::clock::IdGen;
use futures::FutureExt;
use image::Image;
use libfuzzer_sys::fuzz_target;

/// Places of damage that the log lists for one segment, and one for its header.
const LISTED: usize = 1002;

#[derive(Debug)]
struct FixedId;

impl IdGen for FixedId {
    fn next_id(&self) -> u128 {
        u128::from_le_bytes(image::ID)
    }
}

type Opened = (LocalWal, Committer, Recovery);

fn open(disk: &MemoryDisk) -> Result<Opened, WalError> {
    let options = WalOptions {
        segment_bytes: 256,
        tail_bytes: 64,
        ..WalOptions::default()
    };
    LocalWal::open_manual(Arc::new(disk.clone()), options, &FixedId)
}

fuzz_target!(|program: &[u8]| {
    let image = Image::run(program);
    let disk = MemoryDisk::of(&image.files);
    let verified = verify_on(&disk);
    assert_eq!(disk.files(), image.files, "verifying changes nothing");
    if let Ok(report) = &verified {
        assert!(report.damaged.len() <= LISTED * report.segments);
        assert!(report.records <= report.bytes / 24);
    }
    if image.untouched {
        let report = verified.as_ref().expect("an untouched log can be verified");
        assert!(report.is_sound() && report.torn_bytes == 0, "{report:?}");
    }
    let Ok((log, committer, recovery)) = open(&disk) else {
        return;
    };
    assert!(verified.is_ok(), "it opens, but: {verified:?}");
    assert!(recovery.damaged.len() <= LISTED * image.files.len());
    assert_eq!((recovery.first, recovery.last), (log.first(), log.last()));
    assert!(recovery.first <= recovery.last + 1);
    let records = read_all(&log);
    for (position, payload) in image.promised() {
        assert_eq!(records.get(&position), Some(&payload), "record {position}");
    }
    // Positions end where a signed number does; nobody gets there.
    if recovery.last < u64::MAX / 4 {
        go_on(&disk, (log, committer, recovery), records);
    }
});

/// Everything that can be read, going on behind each damage.
fn read_all(log: &LocalWal) -> BTreeMap<Position, Bytes> {
    let mut records = BTreeMap::new();
    let mut from = log.first();
    for max_bytes in [1, 1 << 10, 1 << 20].into_iter().cycle() {
        match read(log, from, max_bytes) {
            Ok(batch) if batch.is_empty() => break,
            Ok(batch) => {
                for record in batch {
                    assert_eq!(record.position, from, "no gap and no repetition");
                    records.insert(record.position, record.payload);
                    from += 1;
                }
            }
            Err(WalError::Damaged(damage)) => {
                assert!(damage.resume_at > from, "a reader that gets on: {damage:?} at {from}");
                if damage.resume_at > log.last() {
                    break;
                }
                from = damage.resume_at;
            }
            Err(error) => panic!("at {from}: {error}"),
        }
    }
    records
}

fn read(log: &LocalWal, from: Position, max_bytes: usize) -> Result<Vec<footfall_ingest::wal::Record>, WalError> {
    log.read_from(from, max_bytes)
        .now_or_never()
        .expect("reads where it is called")
}

/// Two groups are appended, then the process is killed; then everything is still there.
fn go_on(disk: &MemoryDisk, (log, mut committer, recovery): Opened, mut expected: BTreeMap<Position, Bytes>) {
    for nth in 1..=2 {
        let payload = Bytes::from(vec![nth; 200]);
        let mut waiting = log.append(payload.clone());
        assert!((&mut waiting).now_or_never().is_none(), "not yet durable");
        assert_eq!(committer.turn(), CommitterTurn::Worked);
        let position = waiting.now_or_never().expect("answered").expect("the disk takes it");
        assert_eq!(position, recovery.last + Position::from(nth), "the next position");
        expected.insert(position, payload);
    }
    drop((log, committer));
    let (log, _committer, again) = open(disk).expect("what was open opens again");
    assert_eq!((again.last, again.torn_bytes), (recovery.last + 2, 0));
    assert_eq!(read_all(&log), expected);
}
