//! The writer over a real WAL and a real lake.

mod recall;
mod shard;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use self::shard::{Shard, batch, once};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn restart_stores_each_event_once() {
    let shard = Shard::new();
    let log = shard.log();
    log.append(batch(0..50)).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..50));
    drop(log);
    let log = shard.log();
    shard.drain(&log).await;
    log.append(batch(50..60)).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..60));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_event_is_dropped_after_restart() {
    let shard = Shard::new();
    let log = shard.log();
    log.append(batch([1, 0, 1])).await.unwrap();
    log.append(batch([1, 2])).await.unwrap();
    shard.drain(&log).await;
    log.append(batch([0, 3])).await.unwrap();
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..4));
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_killed_at_any_moment_stores_each_event_once() {
    let shard = Shard::new();
    let log = shard.log();
    let mut sent = 0;
    for round in 0..25_u64 {
        let writer = shard.writer(&log).await.unwrap();
        let running = tokio::spawn(writer.run(CancellationToken::new()));
        for _ in 0..4 {
            log.append(batch(sent..sent + 3)).await.unwrap();
            sent += 3;
        }
        tokio::time::sleep(Duration::from_micros(round * 700)).await;
        running.abort();
        let _ = running.await;
    }
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_store_delays_and_stores_each_event_once() {
    let shard = Shard::new();
    let log = shard.log();
    shard.table().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(shard.writer(&log).await.unwrap().run(stop.clone()));
    for round in 0..3 {
        shard.store.failures.store(3 + round % 2, Ordering::SeqCst);
        log.append(batch(round as usize * 10..round as usize * 10 + 10))
            .await
            .unwrap();
        while shard.store.failures.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // A stop before the writer's retry may leave events to the next start.
    while shard.stored().await.len() < 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(shard.stored().await, once(0..30));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_without_store_leaves_events_to_next_start() {
    let shard = Shard::new();
    let log = shard.log();
    shard.table().await;
    log.append(batch(0..10)).await.unwrap();
    shard.store.failures.store(1_000_001, Ordering::SeqCst);
    shard.drain(&log).await;
    shard.store.failures.store(0, Ordering::SeqCst);
    assert_eq!(shard.stored().await, BTreeMap::new());
    shard.drain(&log).await;
    assert_eq!(shard.stored().await, once(0..10));
}

#[tokio::test(flavor = "multi_thread")]
async fn second_writer_of_a_wal_is_fenced() {
    let shard = Shard::new();
    let log = shard.log();
    let (one, two) = (shard.writer(&log).await.unwrap(), shard.writer(&log).await.unwrap());
    log.append(batch(0..10)).await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    one.run(stop.clone()).await.unwrap();
    let refused = two.run(stop).await.unwrap_err();
    assert!(
        matches!(refused, WriterError::Lake(LakeError::Fenced { .. })),
        "{refused}"
    );
    assert_eq!(shard.stored().await, once(0..10));
}
