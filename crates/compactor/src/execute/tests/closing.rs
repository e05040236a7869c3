//! Days of more files than a task may read.

use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::*;

/// Visitor and time of the file's events, in its order.
async fn keys(lake: &TestLake, file: &DataFile) -> Vec<(i64, Micros)> {
    let batches = read_rows(lake.events().store(), events(), file, ALL).await.unwrap();
    let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
    let keys = batches.iter().flat_map(|batch| {
        let visitors = batch.column_by_name("client_hash").unwrap().as_primitive::<Int64Type>();
        let times = batch.column_by_name("event_timestamp").unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        visitors.values().iter().copied().zip(times.values().iter().copied())
    });
    keys.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn day_of_many_runs_closes_in_order_without_overlap() {
    let mut lake = test_lake().await;
    lake.compactor.policy = Policy {
        target_bytes: 1,
        max_inputs: 2,
        ..lake.compactor.policy
    };
    let numbers = 0..36_000;
    for part in 0..6 {
        let rows: Vec<Event> = numbers.clone().filter(|n| n % 6 == part).map(|n| ("a", 0, n)).collect();
        lake.add(Origin::Wal, &rows).await;
        lake.clock.0.fetch_add(SECOND, Ordering::SeqCst);
    }
    lake.clock.0.fetch_add(2 * DAY, Ordering::SeqCst);
    let mut rounds = 0;
    while !lake.compactor.plan().is_empty() {
        let task = lake.compactor.plan().remove(0);
        lake.compactor.execute(&task, None).await.unwrap();
        rounds += 1;
        assert!(rounds < 20);
    }
    let live = lake.events().snapshot();
    let mut files = Vec::new();
    for file in live.files() {
        assert_eq!(FileState::of(file).stage, Stage::Final);
        let keys = keys(&lake, file).await;
        assert!(keys.is_sorted());
        files.push((keys[0].0, keys[keys.len() - 1].0, keys.len()));
    }
    files.sort_unstable();
    assert!(files.len() > 2, "{files:?}");
    assert!(files.windows(2).all(|pair| pair[0].1 < pair[1].0), "{files:?}");
    assert_eq!(files.iter().map(|file| file.2).sum::<usize>(), numbers.count());
}
