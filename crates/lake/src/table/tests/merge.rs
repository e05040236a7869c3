//! Commits that remove files: merges, leases and conflicts.

use super::*;

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
async fn merge_replaces_files_for_all_readers() {
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
async fn unread_file_in_partitions_of_read_set_refuses() {
    let (store, table) = with_files(&["a"]).await;
    let other = open(&store).await;
    let of_days = |id, days: &[i32], snapshot| Commit {
        read_set: Some(ReadSet {
            snapshot,
            partitions: days.iter().copied().collect(),
        }),
        ..Commit::append(id, vec![file(&format!("new-{id}"), 7)])
    };
    let day = file("a", 7).partition_date;
    let read = table.snapshot();
    other.commit(&Commit::append(200, vec![file("b", 7)])).await.unwrap();
    table
        .commit(&of_days(1, &[day - 1, day + 1], read.clone()))
        .await
        .unwrap();
    let refused = table.commit(&of_days(2, &[day], read)).await.unwrap_err();
    assert!(
        matches!(&refused, LakeError::ReadSetChanged { path, version: 3 } if *path == file("b", 7).path),
        "{refused}"
    );
    assert!(!refused.is_transient());
    let read = table.snapshot();
    other.commit(&merge(201, &["a", "b"], "ab")).await.unwrap();
    let refused = table.commit(&of_days(2, &[day], read)).await.unwrap_err();
    assert!(
        matches!(&refused, LakeError::ReadSetChanged { .. }),
        "the same rows, but unread: {refused}"
    );
    table.commit(&of_days(2, &[day], table.snapshot())).await.unwrap();
    assert_eq!(names(&table), ["ab.parquet", "new-1.parquet", "new-2.parquet"]);
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
