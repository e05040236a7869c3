//! What a restarted writer recalls from the lake.

use footfall_lake::Operation;
use footfall_model::clock::Micros;
use object_store::ObjectStoreExt;

use super::shard::*;
use crate::wal::LocalWal;
use crate::writer::*;

const HOUR: Micros = 3_600_000_000;

async fn drain_keeping(shard: &Shard, log: &Arc<LocalWal>, ids: usize) {
    let window = Duration::from_secs(6 * 3_600);
    let stop = CancellationToken::new();
    stop.cancel();
    let writer = shard
        .writer_with_dedupe(log, DedupeOptions { window, ids })
        .await
        .unwrap();
    writer.run(stop).await.unwrap();
}

/// Files that were merged are gone; their rows are in a file with more rows than the window has ids.
#[tokio::test(flavor = "multi_thread")]
async fn recall_finds_newest_rows_of_merged_file() {
    let shard = Shard::new();
    // Not in time order, as files are sorted by visitor: every third is of the last hour.
    let events = (0..300).map(|id| (id, NOW - HOUR * (1 + 7 * i64::from(id % 3 != 0))));
    shard.commit_files(Origin::Compaction, 1, events).await;
    let log = shard.log();
    log.append(batch((0..300).filter(|id| id % 3 == 0))).await.unwrap();
    drain_keeping(&shard, &log, 200).await;
    assert_eq!(shard.stored().await, once(0..300));
}

#[tokio::test(flavor = "multi_thread")]
async fn recall_ignores_imported_rows() {
    let shard = Shard::new();
    shard
        .commit_files(Origin::Wal, 1, (0..50).map(|id| (id, NOW - HOUR)))
        .await;
    shard
        .commit_files(Origin::Import, 2, (50..500).map(|id| (id, NOW)))
        .await;
    shard
        .commit_files(Origin::Wal, 3, (500..600).map(|id| (id, NOW - 2 * HOUR)))
        .await;
    let log = shard.log();
    log.append(batch(0..50)).await.unwrap();
    drain_keeping(&shard, &log, 100).await;
    assert_eq!(shard.stored().await, once(0..600));
}

/// Between the pinning of the snapshot and the reading of the file, another process merged and vacuumed it.
#[tokio::test(flavor = "multi_thread")]
async fn recall_follows_rows_into_merged_file() {
    let shard = Shard::new();
    shard.commit_files(Origin::Wal, 1, [(0, NOW), (2, NOW)]).await;
    let table = shard.table().await;
    let before: Vec<_> = table.snapshot().files().map(|file| file.path.clone()).collect();
    let add = shard.write_files(Origin::Compaction, 2, [(0, NOW), (2, NOW)]).await;
    let merge = Commit {
        operation: Operation::Merge,
        remove: before.clone(),
        ..Commit::append(2, add)
    };
    shard.table().await.commit(&merge).await.unwrap();
    for path in &before {
        shard.store.inner.delete(path).await.unwrap();
    }
    let mut window = Window::new(&DedupeOptions::default(), NOW);
    let (timer, stop) = (TokioTimer::new(), CancellationToken::new());
    let recalled = recall::fill(&mut window, &table, NOW - HOUR, &timer, &stop)
        .await
        .unwrap();
    assert_eq!(recalled.map(|recalled| recalled.files), Some(1));
    assert!(!window.insert(EventKey::new("site", "0002"), NOW));
}

/// The server was down for longer than the window; its WAL has duplicates of events committed before.
#[tokio::test(flavor = "multi_thread")]
async fn recall_reaches_before_oldest_unwritten_event() {
    let shard = Shard::new();
    let log = shard.log();
    log.append(received(0..10, NOW - 9 * HOUR)).await.unwrap();
    shard.drain(&log).await;
    log.append(received(5..15, NOW - 8 * HOUR)).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..15));
}
