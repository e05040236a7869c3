//! The thread, the callers, and a real folder.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::wal::{FsDisk, verify};

fn threaded(disk: &SimDisk) -> Arc<LocalWal> {
    Arc::new(
        LocalWal::open_on(Arc::new(disk.clone()), small(), &FixedId(1))
            .unwrap()
            .0,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_share_syncs() {
    let disk = SimDisk::new(1);
    let log = Arc::new(
        LocalWal::open_on(Arc::new(disk.clone()), WalOptions::default(), &FixedId(1))
            .unwrap()
            .0,
    );
    disk.set(|faults| faults.sync_time = Duration::from_millis(1));
    let tasks: Vec<_> = (0..100)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut positions = Vec::new();
                for nth in 0..10 {
                    positions.push(log.append(format!("{task}/{nth}").into()).await.unwrap());
                }
                positions
            })
        })
        .collect();
    let mut positions = BTreeSet::new();
    for task in tasks {
        positions.extend(task.await.unwrap());
    }
    assert_eq!(positions, (1..=1000).collect());
    assert!(disk.syncs() < 150, "{} syncs for 1,000 appends", disk.syncs());
    let records = log.read_from(1, usize::MAX).await.unwrap();
    let distinct: BTreeSet<Bytes> = records.into_iter().map(|record| record.payload).collect();
    assert_eq!(distinct.len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_is_invisible_until_durable() {
    let disk = SimDisk::new(1);
    let log = threaded(&disk);
    disk.set(|faults| faults.sync_time = Duration::from_millis(100));
    let append = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append(payload(1)).await })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(log.last(), 0);
    assert!(log.read_from(1, 1000).await.unwrap().is_empty());
    log.wait_for(1).await.unwrap();
    assert_eq!(log.read_from(1, 1000).await.unwrap().len(), 1);
    assert_eq!(append.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_finishes_accepted_and_refuses_new() {
    let disk = SimDisk::new(1);
    let log = threaded(&disk);
    disk.set(|faults| faults.sync_time = Duration::from_millis(20));
    let accepted: Vec<_> = (1..=5)
        .map(|position| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(payload(position)).await })
        })
        .collect();
    while log.last() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let waits = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.wait_for(99).await })
    };
    log.close().await;
    for append in accepted {
        // Appends before the close are stored, appends after it get `Closed`.
        assert!(matches!(append.await.unwrap(), Ok(_) | Err(WalError::Closed)));
    }
    assert!(matches!(waits.await.unwrap(), Err(WalError::Closed)));
    assert!(matches!(log.append(payload(9)).await, Err(WalError::Closed)));
    assert!(matches!(log.trim(1).await, Err(WalError::Closed)));
    assert!(
        log.wait_for(1).await.is_ok() && !log.read_from(1, 1000).await.unwrap().is_empty(),
        "reading goes on"
    );
}

#[tokio::test]
async fn real_folder_keeps_records() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state/log");
    for round in 0..3_u64 {
        let (log, recovery) = LocalWal::open(&folder, small()).unwrap();
        assert_eq!((recovery.first, recovery.last, recovery.torn_bytes), (1, 20 * round, 0));
        for position in 20 * round + 1..=20 * round + 20 {
            assert_eq!(log.append(payload(position)).await.unwrap(), position);
        }
        let mut read = Vec::new();
        while let Some(last) = log.read_from(read.len() as u64 + 1, 1000).await.unwrap().last() {
            read.extend(read.len() as u64 + 1..=last.position);
        }
        assert_eq!(read.len() as u64, 20 * round + 20);
    }
    assert_eq!(verify(&folder).unwrap().records, 60);
    let (log, _) = LocalWal::open(&folder, small()).unwrap();
    log.trim(60).await.unwrap();
    assert_eq!((log.first(), log.last()), (61, 60));
    drop(log);
    assert_eq!(
        LocalWal::open(&folder, small()).unwrap().1,
        Recovery {
            first: 61,
            last: 60,
            ..Recovery::default()
        }
    );
}

#[tokio::test]
async fn folder_is_locked_by_one_wal() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = LocalWal::open(dir.path(), small()).unwrap();
    let refused = LocalWal::open(dir.path(), small()).unwrap_err();
    assert!(matches!(refused, WalError::InUse { .. }));
    let text = refused.to_string();
    assert!(
        text.starts_with(&format!("another footfall process (process {})", std::process::id())),
        "{text}"
    );
    assert!(matches!(verify(dir.path()), Err(WalError::InUse { .. })));
    drop(log);
    assert!(LocalWal::open(dir.path(), small()).is_ok());
}

#[test]
fn disk_error_names_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = FsDisk::open(&file.join("log")).unwrap_err().to_string();
    assert!(
        error.starts_with("the WAL cannot use ") && error.contains("file/log"),
        "{error}"
    );
    assert!(verify(&dir.path().join("nowhere")).is_err());
}
