//! Rows that are no events: all or nothing, and every reason.

use super::*;

const BAD_ROWS: [&str; 12] = [
    "a,1,pageview,2026-10-31T10:00:00Z,{},1.5",
    "nobody,1,pageview,2026-10-31T10:00:00Z,,",
    "a, ,pageview,2026-10-31T10:00:00Z,,",
    "a,1,pageview,yesterday,,",
    "a,1,pageview,,,",
    "a,1,pageview,2027-10-31T10:00:00Z,,",
    "a,1,pageview,2020-10-31T10:00:00Z,,",
    "a,1,pageview,2026-10-31T10:00:00Z,[1],",
    "a,1,pageview,2026-10-31T10:00:00Z,,cheap",
    "a,1,pageview",
    "a,1,\"page\"view,2026-10-31T10:00:00Z,,",
    "a,1,pageview,2026-10-31T10:00:00Z,\"{\"\"a\"\":\",",
];

fn bad_file(lake: &Lake) -> PathBuf {
    let header = "tracking_id,client_id,event_type,event_timestamp,custom_properties,revenue";
    lake.file("events.csv", format!("{header}\n{}", BAD_ROWS.join("\n")))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_imported_if_a_row_is_rejected() {
    let lake = Lake::new().await;
    let report = lake.import(&bad_file(&lake)).await.unwrap();
    assert_eq!(
        (report.outcome, report.rows, report.imported, report.rejected_rows()),
        (Outcome::Refused, 12, 0, 11)
    );
    assert!(report.is_refused());
    insta::assert_debug_snapshot!(report.rejected);
    assert_eq!((lake.count(), lake.stored_files().await), (0, 0));
    assert_eq!(lake.parts.table.snapshot().version(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rejection_leaves_no_files() {
    let lake = Lake::new().await;
    let content = format!("{}\n{{", lines(30, 0..40_000));
    let options = ImportOptions {
        chunk_rows: 1_000,
        ..ImportOptions::default()
    };
    let report = lake
        .import_with(&lake.file("x.ndjson", content), options)
        .await
        .unwrap();
    assert_eq!(
        rejected(&report),
        BTreeMap::from([("the line is not valid JSON", vec![40_001])])
    );
    assert_eq!((lake.count(), lake.stored_files().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_rows_are_skipped_on_request() {
    let lake = Lake::new().await;
    let report = lake.skip_rejected(&bad_file(&lake)).await;
    assert_eq!(
        (report.outcome, report.imported, report.rejected_rows()),
        (Outcome::Imported, 1, 11)
    );
    assert!(!report.is_refused());
    assert_eq!(lake.count(), 1);
    let only_bad = lake.file("bad.ndjson", "{\n[]");
    assert!(lake.skip_rejected(&only_bad).await.is_refused(), "nothing went in");
}

#[tokio::test(flavor = "multi_thread")]
async fn same_command_works_once_the_site_is_there() {
    let mut lake = Lake::new().await;
    let content = [line(""), line(r#","event_id":"n""#).replace(r#""a""#, r#""new""#)].join("\n");
    let path = lake.file("x.ndjson", content);
    assert!(lake.import(&path).await.unwrap().is_refused());
    let sites = Sites::from([("a".into(), None), ("new".into(), None)]);
    lake.parts.sites = Arc::new(sites);
    assert_eq!(lake.import(&path).await.unwrap().imported, 2);
    assert_eq!(lake.import(&path).await.unwrap().outcome, Outcome::Repeated);
    assert_eq!(lake.texts("tracking_id").await, ["a", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_rows_come_in_after_repair() {
    let mut lake = Lake::new().await;
    let content = [line(""), line(r#","event_id":"n""#).replace(r#""a""#, r#""new""#)].join("\n");
    let path = lake.file("x.ndjson", content);
    for _ in 0..2 {
        lake.skip_rejected(&path).await;
        assert_eq!(lake.texts("tracking_id").await, ["a"]);
    }
    lake.parts.sites = Arc::new(Sites::from([("a".into(), None), ("new".into(), None)]));
    let report = lake.skip_rejected(&path).await;
    assert_eq!((report.imported, report.duplicates), (1, 1));
    assert_eq!(lake.texts("tracking_id").await, ["a", "new"]);
    assert_eq!(lake.import(&path).await.unwrap().outcome, Outcome::Repeated);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_lines_are_rejected_by_number() {
    let lake = Lake::new().await;
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_100_000));
    let content = [
        line("").into_bytes(),
        b"{".to_vec(),
        b"".to_vec(),
        line(r#","event_id":"2""#).into_bytes(),
        b"[]".to_vec(),
        b"\0".to_vec(),
        b"{\"a\":\"\xff\"}".to_vec(),
        long.into_bytes(),
        br#"{"page":7}"#.to_vec(),
        br#"{"client_id":{}}"#.to_vec(),
        br#"{"client_id":1,"client_id":2}"#.to_vec(),
        br#"{"event_timestamp":true}"#.to_vec(),
        line(r#","event_id":"3""#).into_bytes(),
    ];
    let report = lake.skip_rejected(&lake.file("x.jsonl", content.join(&b'\n'))).await;
    assert_eq!((report.rows, report.imported), (12, 3));
    insta::assert_debug_snapshot!(rejected(&report));
}
