//! Outside of a tokio runtime, as in a simulation.

use futures::executor::block_on;

use super::*;

#[test]
fn merge_without_runtime_gives_the_same() {
    block_on(async {
        let lake = test_lake().await;
        lake.add(Origin::Wal, &[("a", 0, 1), ("b", 0, 2), ("b", 0, 3)]).await;
        lake.add(Origin::Wal, &[("a", 0, 1), ("a", 0, 4), ("b", 1, 5)]).await;
        lake.clock.0.fetch_add(3 * DAY, Ordering::Relaxed);
        lake.merge_all().await;
        let merged = [("a", 0, 1), ("a", 0, 4), ("b", 0, 2), ("b", 0, 3), ("b", 1, 5)];
        assert_eq!(lake.rows().await, owned(&merged));
        assert_eq!(lake.verify().await, 2 * built_in().len());
    });
}

#[test]
fn damaged_input_without_runtime_is_named() {
    block_on(async {
        let lake = test_lake().await;
        lake.add(Origin::Wal, &[("a", 0, 1)]).await;
        lake.add(Origin::Wal, &[("a", 0, 2)]).await;
        let damaged = lake.events().snapshot().files().next().unwrap().path.clone();
        lake.overwrite(&damaged, "no Parquet").await;
        let task = lake.compactor.plan_day(FIRST).remove(0);
        let error = lake.compactor.execute(&task, None).await.unwrap_err();
        assert_eq!(error.damaged(), Some(&damaged));
        assert_eq!(lake.events().snapshot().len(), 2);
    });
}
