//! Limits and the errors at them; positions after trimming.

use super::*;

#[test]
fn full_queue_refuses_and_recovers() {
    let options = WalOptions {
        queue_bytes: 1000,
        ..small()
    };
    let mut rig = Rig::open(&SimDisk::new(1), options).unwrap();
    let payloads: Vec<Bytes> = (1..=6).map(|_| Bytes::from(vec![7; 100])).collect();
    let answers = rig.append(&payloads);
    assert!(answers[..4].iter().all(Result::is_ok), "{answers:?}");
    assert!(
        matches!(answers[4], Err(WalError::Overloaded { retry_after_seconds: 1 })),
        "{answers:?}"
    );
    assert!(rig.append(&payloads[..4]).iter().all(Result::is_ok));
    assert_eq!(rig.log.last(), 8);
}

#[test]
fn oversized_record_is_refused_with_sizes() {
    let options = WalOptions {
        max_record_bytes: 50,
        ..small()
    };
    let mut rig = Rig::open(&SimDisk::new(1), options).unwrap();
    let answer = rig.append(&[Bytes::from(vec![0; 51])]).remove(0).unwrap_err();
    assert_eq!(
        answer.to_string(),
        "a WAL record of 51 bytes is over the limit of 50 bytes; send fewer events at once"
    );
    assert_eq!(rig.append(&[Bytes::from(vec![0; 50])]).remove(0).unwrap(), 1);
}

#[test]
fn full_wal_refuses_until_trimmed() {
    let options = WalOptions {
        max_log_bytes: 6000,
        ..small()
    };
    let mut rig = Rig::open(&SimDisk::new(1), options).unwrap();
    let mut stored = 0;
    while rig.append(&[payload(stored + 1)]).remove(0).is_ok() {
        stored += 1;
    }
    assert!(stored > 20, "{stored}");
    let answer = rig.append(&[payload(stored + 1)]).remove(0);
    assert!(
        matches!(answer, Err(WalError::Overloaded { retry_after_seconds: 5 })),
        "{answer:?}"
    );
    assert!(
        matches!(
            rig.log.check_room(),
            Err(WalError::Overloaded { retry_after_seconds: 5 })
        ),
        "check_room reports it too"
    );
    rig.trim(stored).unwrap();
    rig.log.check_room().unwrap();
    rig.fill(20);
    assert_eq!(rig.log.last(), stored + 20);
}

#[test]
fn trim_frees_only_whole_segments() {
    let mut rig = Rig::fresh();
    rig.fill(40);
    let all = rig.disk.segments().len();
    rig.trim(20).unwrap();
    let first = rig.log.first();
    assert!(first > 1 && first <= 21, "{first}");
    assert!(rig.disk.segments().len() < all);
    assert_eq!(rig.positions(), (first..=40).collect::<Vec<_>>());
    assert!(matches!(rig.read(first - 1, 100), Err(WalError::NotHeld(_))));
    assert!(matches!(rig.read(0, 100), Err(WalError::NotHeld(0))));
    assert!(
        matches!(rig.read(42, 100), Err(WalError::NotHeld(42))),
        "41 is the next to be written, 42 is not"
    );
    assert_eq!(rig.power_failure().unwrap().log.first(), first);
}

#[test]
fn positions_continue_after_trim_and_reopen() {
    let mut rig = Rig::fresh();
    for round in 1..=4 {
        rig.fill(6);
        rig.trim(Position::MAX).unwrap();
        assert_eq!(
            (rig.log.first(), rig.log.last(), rig.disk.segments().len()),
            (6 * round + 1, 6 * round, 1)
        );
        rig = if round % 2 == 0 {
            rig.power_failure().unwrap()
        } else {
            rig.kill().unwrap()
        };
        assert_eq!((rig.recovery.first, rig.recovery.last), (6 * round + 1, 6 * round));
        assert!(rig.read(6 * round + 1, 100).unwrap().is_empty());
    }
    rig.fill(1);
    assert_eq!(rig.positions(), [25]);
}

#[test]
fn trim_keeps_small_last_segment() {
    let mut rig = Rig::fresh();
    rig.fill(1);
    rig.trim(1).unwrap();
    assert_eq!(
        (rig.log.first(), rig.disk.segments().len()),
        (1, 1),
        "not a new file every few seconds"
    );
}

#[test]
fn contradictory_limits_are_lowered() {
    let options = WalOptions {
        queue_bytes: 1 << 20,
        max_log_bytes: 10 << 20,
        ..WalOptions::default()
    }
    .consistent();
    assert!(options.max_record_bytes < options.queue_bytes && options.segment_bytes <= options.max_log_bytes / 2);
    assert_eq!(WalOptions::default().consistent(), WalOptions::default());
}

#[test]
fn read_returns_at_least_one_record() {
    let mut rig = Rig::fresh();
    rig.fill(30);
    for from in [1, 17, 29] {
        assert_eq!(rig.read(from, 1).unwrap().len(), 1);
        let (two, three) = (payload(from).len() + payload(from + 1).len(), 3 * 140);
        assert_eq!(rig.read(from, two).unwrap().len(), 2);
        assert!(rig.read(from, three).unwrap().len() >= 2);
    }
    assert_eq!(rig.read(1, usize::MAX).unwrap().len(), 30, "across all segments");
}
