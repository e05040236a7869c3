//! A process that was suspended while others committed and cleaned up the Delta log.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::Relaxed)
    }
}

/// The sleeping process knows version 1; versions 2 to 4 are made meanwhile, and all but the last are cleaned away.
async fn asleep_while_the_log_is_cleaned() -> (Arc<dyn ObjectStore>, Arc<HandClock>, Table) {
    let store = memory();
    let clock = Arc::new(HandClock::default());
    let sleeper = Table::open(Arc::clone(&store), Arc::clone(events()), clock.clone())
        .await
        .unwrap();
    sleeper.commit(&commit(1, "sleeper", 0, 5)).await.unwrap();
    let other = open(&store).await;
    for nth in 2..5_u8 {
        let name = format!("other-{nth}");
        other
            .commit(&Commit {
                txn: None,
                ..commit(nth.into(), &name, 0, 0)
            })
            .await
            .unwrap();
    }
    other.checkpoint().await.unwrap();
    for version in 0..4 {
        store.delete(&layout::commit_path(events(), version)).await.unwrap();
    }
    clock.0.fetch_add(26 * 3_600 * 1_000_000, Ordering::Relaxed);
    (store, clock, sleeper)
}

#[tokio::test(flavor = "multi_thread")]
async fn sleeper_commits_after_cleaned_versions() {
    let (store, _, sleeper) = asleep_while_the_log_is_cleaned().await;
    assert_eq!(sleeper.commit(&commit(9, "late", 5, 7)).await.unwrap(), 5);
    let all = ["late", "other-2", "other-3", "other-4", "sleeper"].map(|name| format!("{name}.parquet"));
    assert_eq!(names(&sleeper), all);
    assert_eq!(names(&open(&store).await), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn sleeper_follows_cleaned_log_and_is_fenced() {
    let (store, clock, sleeper) = asleep_while_the_log_is_cleaned().await;
    open(&store).await.commit(&commit(8, "rival", 5, 6)).await.unwrap();
    sleeper.refresh().await.unwrap();
    assert_eq!(sleeper.snapshot().version(), 5);
    assert!(matches!(
        sleeper.commit(&commit(9, "late", 5, 7)).await,
        Err(LakeError::Fenced { theirs: 6, .. })
    ));
    clock.0.fetch_add(26 * 3_600 * 1_000_000, Ordering::Relaxed);
    sleeper.refresh().await.unwrap();
    assert_eq!(
        sleeper.transaction("writer").await.unwrap(),
        Some(6),
        "nothing new: nothing changes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rival_commit_during_sleep_fences() {
    let store = memory();
    let clock = Arc::new(HandClock::default());
    let sleeper = Table::open(Arc::clone(&store), Arc::clone(events()), clock.clone())
        .await
        .unwrap();
    assert_eq!(sleeper.transaction("writer").await.unwrap(), None);
    open(&store).await.commit(&commit(1, "rival", 0, 5)).await.unwrap();
    clock.0.fetch_add(26 * 3_600 * 1_000_000, Ordering::Relaxed);
    let refused = sleeper.commit(&commit(2, "late", 0, 5)).await.unwrap_err();
    assert!(matches!(refused, LakeError::Fenced { theirs: 5, .. }), "{refused}");
}
