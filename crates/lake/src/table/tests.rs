mod merge;
mod sleep;

use footfall_model::clock::{Micros, SystemClock};
use footfall_model::table::events;
use object_store::memory::InMemory;

use super::*;
use crate::{ColumnStatistics, DataFile, Fence, Operation, Origin, ReadSet, StatValue, Txn};

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
        let expected = Some(CommittedPosition {
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
