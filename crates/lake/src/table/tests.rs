use std::sync::atomic::{AtomicI64, Ordering};

use footfall_model::clock::{Micros, SystemClock};
use footfall_model::table::events;
use object_store::memory::InMemory;

use super::*;
use crate::{ColumnStatistics, DataFile, Fence, Operation, Origin, StatValue, Txn};

fn file(name: &str, rows: u64) -> DataFile {
    let time = StatValue::Timestamp;
    DataFile {
        path: layout::data_path(events(), 20_758, name),
        size: 1_000,
        rows: Some(rows),
        written_at: 1_793_491_300_123_000,
        partition_date: 20_758,
        statistics: Box::new([
            ColumnStatistics::exact(StatValue::text("a"), StatValue::text("b"), 0),
            ColumnStatistics::exact(StatValue::Int64(i64::MIN), StatValue::Int64(i64::MAX), 0),
            ColumnStatistics::exact(time(1_793_491_200_000_001), time(1_793_491_200_123_456), 0),
            ColumnStatistics::exact(time(1_793_491_200_000_002), time(1_793_491_200_123_457), 0),
        ]),
        origin: Origin::Wal,
        tags: vec![("covers".into(), "x".into())],
    }
}

fn commit(id: u128, name: &str, after: i64, upto: i64) -> Commit {
    Commit {
        txn: Some(Txn {
            app_id: "writer".into(),
            after,
            upto,
            fingerprint: None,
        }),
        ..Commit::append(id, vec![file(name, 7)])
    }
}

async fn open(store: &Arc<dyn ObjectStore>) -> Table {
    Table::open(Arc::clone(store), Arc::clone(events()), Arc::new(SystemClock))
        .await
        .unwrap()
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn names(table: &Table) -> Vec<String> {
    let mut names: Vec<_> = table
        .snapshot()
        .files()
        .filter_map(|f| f.path.filename().map(str::to_owned))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn reopened_table_has_statistics_and_position() {
    let store = memory();
    let table = open(&store).await;
    assert_eq!(table.commit(&commit(1, "x", 0, 40)).await.unwrap(), 1);
    let again = open(&store).await;
    for table in [&again, &table] {
        let files: Vec<_> = table.snapshot().files().map(|file| file.as_ref().clone()).collect();
        assert_eq!(files, [file("x", 7)]);
    }
    assert_eq!(again.transaction("writer").await.unwrap(), Some(40));
    assert_eq!(again.transaction("nobody").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_loses_nothing() {
    let store = memory();
    let table = open(&store).await;
    for i in 0..12_i64 {
        table
            .commit(&commit(i as u128, &format!("f{i:02}"), i, i + 1))
            .await
            .unwrap();
    }
    table.checkpoint().await.unwrap();
    let again = open(&store).await;
    assert_eq!(names(&again), names(&table));
    let by_name = |t: &Table| t.snapshot().files().find(|f| f.path.as_ref().contains("f03")).cloned();
    assert_eq!(*by_name(&again).unwrap(), file("f03", 7));
    assert_eq!(again.transaction("writer").await.unwrap(), Some(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_resets_log_growth() {
    let store = memory();
    let table = open(&store).await;
    for id in 0..7_u8 {
        let name = format!("f{id}");
        table
            .commit(&Commit::append(id.into(), vec![file(&name, 7)]))
            .await
            .unwrap();
    }
    let before = table.log_growth().await.unwrap();
    assert_eq!((before.versions, before.checkpoint_bytes), (8, 0));
    assert!(before.bytes > 8 * 500);
    table.checkpoint().await.unwrap();
    table.commit(&Commit::append(99, vec![file("last", 7)])).await.unwrap();
    let after = table.log_growth().await.unwrap();
    assert_eq!(after.versions, 1);
    assert!(after.checkpoint_bytes > 1_000 && after.bytes < before.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaved_tables_see_each_other() {
    let store = memory();
    let (one, two) = (open(&store).await, open(&store).await);
    one.commit(&Commit {
        txn: None,
        ..commit(1, "x", 0, 0)
    })
    .await
    .unwrap();
    two.commit(&Commit {
        txn: None,
        ..commit(2, "y", 0, 0)
    })
    .await
    .unwrap();
    one.refresh().await.unwrap();
    assert_eq!(names(&one), ["x.parquet", "y.parquet"]);
    assert_eq!(names(&two), names(&one));
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_lost_reply_counts_once() {
    let store = memory();
    let (lost, retry) = (open(&store).await, open(&store).await);
    lost.commit(&commit(1, "x", 0, 5)).await.unwrap();
    assert_eq!(retry.commit(&commit(1, "x", 0, 5)).await.unwrap(), 1);
    assert_eq!(names(&retry), ["x.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_writer_is_fenced() {
    let store = memory();
    let (one, two) = (open(&store).await, open(&store).await);
    one.commit(&commit(1, "x", 0, 5)).await.unwrap();
    for (id, upto) in [(2, 4), (3, 5), (4, 9)] {
        let refused = two.commit(&commit(id, "y", 0, upto)).await.unwrap_err();
        assert!(matches!(refused, LakeError::Fenced { theirs: 5, .. }), "{refused}");
    }
    assert_eq!(names(&open(&store).await), ["x.parquet"]);
    two.commit(&commit(5, "z", 5, 9)).await.unwrap();
}

#[tokio::test]
async fn position_has_input_fingerprint() {
    let store = memory();
    let table = open(&store).await;
    assert_eq!(table.progress("writer").await.unwrap(), None);
    for (id, upto, fingerprint) in [(1, 4, Some(77)), (2, 9, Some(88)), (3, 10, Some(Txn::UNKNOWN))] {
        let mut commit = commit(id, &format!("{id}"), upto - 1, upto);
        commit.txn.as_mut().unwrap().fingerprint = fingerprint;
        table.commit(&commit).await.unwrap();
        let expected = Some(Progress {
            upto,
            fingerprint: fingerprint.filter(|known| *known != Txn::UNKNOWN),
        });
        assert_eq!(table.progress("writer").await.unwrap(), expected, "met");
        assert_eq!(open(&store).await.progress("writer").await.unwrap(), expected, "read");
        table.checkpoint().await.unwrap();
        assert_eq!(
            open(&store).await.progress("writer").await.unwrap(),
            expected,
            "checkpointed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_is_fenced_after_refresh() {
    let store = memory();
    let (one, two) = (open(&store).await, open(&store).await);
    one.commit(&commit(1, "x", 0, 5)).await.unwrap();
    two.refresh().await.unwrap();
    assert!(matches!(
        two.commit(&commit(2, "y", 4, 6)).await,
        Err(LakeError::Fenced { .. })
    ));
    assert_eq!(
        two.commit(&commit(1, "x", 0, 5)).await.unwrap(),
        1,
        "its own commit, found again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pinned_snapshot_never_changes() {
    let table = open(&memory()).await;
    let pinned = table.snapshot();
    table.commit(&commit(1, "x", 0, 1)).await.unwrap();
    assert!(pinned.is_empty());
    assert_eq!(table.snapshot().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_list_keeps_position() {
    let store = memory();
    open(&store).await.commit(&commit(1, "x", 0, 5)).await.unwrap();
    for follows in [false, true] {
        let table = open(&store).await;
        if follows {
            table
                .commit(&Commit {
                    txn: None,
                    ..commit(2, "y", 0, 0)
                })
                .await
                .unwrap();
        }
        let newest = layout::commit_path(events(), table.snapshot().version());
        let hidden = store.get(&newest).await.unwrap().bytes().await.unwrap();
        store.delete(&newest).await.unwrap();
        let answer = table.transaction("writer").await;
        assert!(!matches!(answer, Ok(None)), "{answer:?}");
        store.put(&newest, hidden.into()).await.unwrap();
        assert_eq!(table.transaction("writer").await.unwrap(), Some(5));
    }
}

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

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_unknown_position_is_fenced() {
    let store = memory();
    open(&store).await.commit(&commit(1, "x", 0, 5)).await.unwrap();
    let refused = open(&store).await.commit(&commit(2, "y", 0, 5)).await.unwrap_err();
    assert!(matches!(refused, LakeError::Fenced { theirs: 5, .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn positionless_commit_with_lost_reply_counts_once() {
    let store = memory();
    for (id, follows) in [(1, false), (2, true)] {
        let retry = open(&store).await;
        let plain = Commit {
            txn: None,
            ..commit(id, &format!("x{id}"), 0, 0)
        };
        let version = open(&store).await.commit(&plain).await.unwrap();
        if follows {
            retry.refresh().await.unwrap();
        }
        assert_eq!(retry.commit(&plain).await.unwrap(), version);
        assert_eq!(retry.snapshot().len() as u64, version);
    }
}

fn merge(id: u128, remove: &[&str], add: &str) -> Commit {
    Commit {
        operation: Operation::Merge,
        remove: remove.iter().map(|name| file(name, 7).path).collect(),
        ..Commit::append(id, vec![file(add, 7)])
    }
}

async fn with_files(files: &[&str]) -> (Arc<dyn ObjectStore>, Table) {
    let store = memory();
    let table = open(&store).await;
    for (name, id) in files.iter().zip(100..) {
        table.commit(&Commit::append(id, vec![file(name, 7)])).await.unwrap();
    }
    (store, table)
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_replaces_files_for_everybody() {
    let (store, table) = with_files(&["a", "b", "c"]).await;
    let other = open(&store).await;
    table.commit(&merge(1, &["a", "c"], "ac")).await.unwrap();
    other.refresh().await.unwrap();
    for table in [&table, &other, &open(&store).await] {
        assert_eq!(names(table), ["ac.parquet", "b.parquet"]);
    }
    table.checkpoint().await.unwrap();
    assert_eq!(names(&open(&store).await), ["ac.parquet", "b.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_missing_file_conflicts() {
    let (store, table) = with_files(&["a", "b", "c"]).await;
    let other = open(&store).await;
    table.commit(&merge(1, &["a", "b"], "ab")).await.unwrap();
    for late in [&other, &table] {
        let refused = late.commit(&merge(2, &["b", "c"], "bc")).await.unwrap_err();
        assert!(
            matches!(&refused, LakeError::Conflict { path, .. } if *path == file("b", 7).path),
            "{refused}"
        );
        assert!(!refused.is_transient());
    }
    assert_eq!(names(&open(&store).await), ["ab.parquet", "c.parquet"]);
    other.commit(&merge(3, &["ab", "c"], "abc")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn merge_with_lost_reply_counts_once() {
    let (store, table) = with_files(&["a", "b"]).await;
    let retry = open(&store).await;
    let version = table.commit(&merge(1, &["a", "b"], "ab")).await.unwrap();
    assert_eq!(retry.commit(&merge(1, &["a", "b"], "ab")).await.unwrap(), version);
    assert_eq!(names(&retry), ["ab.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_do_not_conflict_with_merge() {
    let (store, table) = with_files(&["a", "b"]).await;
    let other = open(&store).await;
    other.commit(&commit(9, "new", 0, 5)).await.unwrap();
    table.commit(&merge(1, &["a", "b"], "ab")).await.unwrap();
    other.commit(&commit(10, "newer", 5, 6)).await.unwrap();
    assert_eq!(names(&other), ["ab.parquet", "new.parquet", "newer.parquet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_lease_epoch_is_refused() {
    let (store, table) = with_files(&["a", "b", "c"]).await;
    let fenced = |id, epoch, remove: &[&str], add: &str| Commit {
        fence: Some(Fence {
            app_id: "compactor-00".into(),
            epoch,
        }),
        ..merge(id, remove, add)
    };
    let old = open(&store).await;
    table.commit(&fenced(1, 3, &["a"], "a2")).await.unwrap();
    table.commit(&fenced(2, 3, &["b"], "b2")).await.unwrap();
    for late in [&old, &open(&store).await] {
        let refused = late.commit(&fenced(3, 2, &["c"], "c2")).await.unwrap_err();
        assert!(
            matches!(refused, LakeError::StaleLease { ours: 2, theirs: 3, .. }),
            "{refused}"
        );
    }
    old.commit(&fenced(4, 4, &["c"], "c2")).await.unwrap();
    table.checkpoint().await.unwrap();
    assert_eq!(open(&store).await.transaction("compactor-00").await.unwrap(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn operation_sets_commit_info_and_data_change() {
    let (store, table) = with_files(&["a", "b"]).await;
    table.commit(&merge(1, &["a"], "a2")).await.unwrap();
    let delete = Commit {
        operation: Operation::Delete,
        add: Vec::new(),
        ..merge(2, &["b"], "b2")
    };
    table.commit(&delete).await.unwrap();
    let mut written = Vec::new();
    for version in 2..=4 {
        let path = layout::commit_path(events(), version);
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        let text = String::from_utf8(bytes.into()).unwrap();
        for line in text.lines() {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(info) = action.get("commitInfo") {
                written.push(format!("{version} {} {}", info["operation"], info["isBlindAppend"]));
            }
            if let Some(remove) = action.get("remove") {
                assert_eq!(remove["extendedFileMetadata"], true);
                assert_eq!(remove["partitionValues"]["event_date"], "2026-11-01");
                assert_eq!(remove["size"], 1_000);
                assert_eq!(remove["tags"]["footfall.origin"], "wal");
                assert!(remove["deletionTimestamp"].as_i64().unwrap() > 1_700_000_000_000);
                written.push(format!("{version} remove {} {}", remove["path"], remove["dataChange"]));
            }
            if let Some(add) = action.get("add") {
                written.push(format!("{version} add {} {}", add["path"], add["dataChange"]));
            }
        }
    }
    let expected = [
        r#"2 "WRITE" true"#,
        r#"2 add "event_date=2026-11-01/b.parquet" true"#,
        r#"3 "OPTIMIZE" false"#,
        r#"3 remove "event_date=2026-11-01/a.parquet" false"#,
        r#"3 add "event_date=2026-11-01/a2.parquet" false"#,
        r#"4 "DELETE" false"#,
        r#"4 remove "event_date=2026-11-01/b.parquet" true"#,
    ];
    assert_eq!(written, expected);
}
