//! A full disk and one that fails to sync.

use super::*;

fn fails(rig: &mut Rig) -> String {
    let answers = rig.append(&[Bytes::from_static(b"refused"), Bytes::from_static(b"too")]);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(WalError::Disk { .. }))),
        "{answers:?}"
    );
    answers.into_iter().next().unwrap().unwrap_err().to_string()
}

#[test]
fn full_disk_refuses_groups_and_recovers() {
    let mut rig = Rig::fresh();
    rig.fill(10);
    for more in [0, 10, 30] {
        let used: u64 = rig
            .disk
            .segments()
            .iter()
            .map(|name| rig.disk.contents(name).len() as u64)
            .sum();
        rig.disk.set(|faults| faults.space = Some(used + more));
        for _ in 0..3 {
            assert!(fails(&mut rig).contains("no storage space"));
        }
        assert_eq!(rig.positions(), (1..=rig.log.last()).collect::<Vec<_>>());
        rig.disk.set(|faults| faults.space = None);
        rig.fill(10);
    }
    let rig = rig.power_failure().unwrap();
    assert_eq!(rig.positions(), (1..=40).collect::<Vec<_>>());
}

#[test]
fn trim_frees_space_on_full_disk() {
    let mut rig = Rig::fresh();
    rig.fill(40);
    let used: u64 = rig
        .disk
        .segments()
        .iter()
        .map(|name| rig.disk.contents(name).len() as u64)
        .sum();
    rig.disk.set(|faults| faults.space = Some(used));
    fails(&mut rig);
    rig.trim(30).unwrap();
    rig.fill(5);
    assert_eq!(rig.log.last(), 45);
}

#[test]
fn trimming_everything_frees_full_disk() {
    let mut rig = Rig::fresh();
    rig.fill(40);
    assert!(rig.disk.segments().len() > 2);
    let contents = rig
        .disk
        .segments()
        .into_iter()
        .map(|name| rig.disk.contents(&name).len());
    let used: usize = contents.sum();
    rig.disk.set(|faults| faults.space = Some(used as u64));
    fails(&mut rig);
    rig.trim(40).unwrap();
    rig.fill(5);
    assert_eq!(rig.positions(), [41, 42, 43, 44, 45]);
}

#[test]
fn failed_sync_is_never_readable() {
    for cut_fails in [false, true] {
        let mut rig = Rig::fresh();
        rig.fill(5);
        let before = rig.disk.segments();
        rig.disk.set(|faults| {
            faults.fail_syncs = 1;
            faults.fail_truncates = u32::from(cut_fails);
        });
        assert!(fails(&mut rig).contains("the disk failed"));
        assert_eq!(rig.positions(), [1, 2, 3, 4, 5], "what failed is not readable");
        rig.fill(2);
        assert_eq!(rig.disk.segments().len(), before.len() + 1, "a new file");
        assert_eq!(rig.positions(), [1, 2, 3, 4, 5, 6, 7]);
        for _ in 0..3 {
            rig = rig.power_failure().unwrap();
            assert_eq!(
                rig.positions(),
                [1, 2, 3, 4, 5, 6, 7],
                "positions 6 and 7 are what was acknowledged"
            );
        }
    }
}

#[test]
fn segment_without_durable_record_is_replaced() {
    let mut rig = Rig::fresh();
    for _ in 0..3 {
        rig.disk.set(|faults| faults.fail_syncs = 1);
        fails(&mut rig);
    }
    rig.fill(2);
    assert_eq!(rig.disk.segments().len(), 1);
    assert_eq!(rig.power_failure().unwrap().positions(), [1, 2]);
}

#[test]
fn kill_during_write_reports_torn_tail() {
    let mut torn = 0;
    for seed in 0..20 {
        let mut rig = Rig::open(&SimDisk::new(seed), small()).unwrap();
        rig.fill(4);
        rig.disk.set(|faults| faults.fuse = Some(0));
        fails(&mut rig);
        let rig = rig.kill().unwrap();
        assert!(rig.log.last() >= 4);
        torn += u64::from(rig.recovery.torn_bytes > 0);
    }
    assert!(torn > 5, "{torn} of 20 were torn");
}

#[test]
fn failed_dir_sync_keeps_segment_positions() {
    let mut rig = Rig::fresh();
    rig.fill(6);
    rig.disk.set(|faults| faults.fail_dir_syncs = 1);
    assert!(matches!(rig.trim(Position::MAX), Err(WalError::Disk { .. })));
    assert_eq!(rig.positions(), [1, 2, 3, 4, 5, 6], "nothing was removed");
    rig.fill(2);
    assert_eq!(rig.kill().unwrap().positions(), [1, 2, 3, 4, 5, 6, 7, 8]);
}
