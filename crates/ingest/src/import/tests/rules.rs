//! The same rules as over HTTP.

use std::time::Duration;

use footfall_model::hash::{DedupeBy, derived_event_id};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn blank_is_null_and_campaign_is_found_in_address() {
    let lake = Lake::new().await;
    let blanks = r#","user_id":"","channel":"","utm_source":"","session_id":" ","event_id":"","country":"de""#;
    let address = r#","page_url":"https://shop.example/?utm_source=news&utm_medium=email""#;
    let report = lake.import_text("x.ndjson", &line(&format!("{blanks}{address}"))).await;
    assert_eq!(report.changed, BTreeMap::from([(("session_id", "blanked"), 1)]));
    for (column, expected) in [
        ("user_id", None),
        ("session_id", None),
        ("channel", Some("Email")),
        ("source", Some("news")),
        ("utm_source", Some("news")),
        ("utm_medium", Some("email")),
        ("country", Some("DE")),
        ("page_host", Some("shop.example")),
    ] {
        assert_eq!(lake.values(column).await, [expected.map(str::to_owned)], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_campaign_and_channel_win_row_by_row() {
    let lake = Lake::new().await;
    let rows = [
        r#","client_id2":1,"channel":"House list","page_url":"https://x.org/?utm_source=news""#,
        r#","event_id":"2","utm_medium":"cpc","page_url":"https://x.org/?utm_source=google&utm_medium=email""#,
        r#","event_id":"3","source":"Instagram""#,
        r#","event_id":"4","source":"s","channel":"c""#,
    ];
    lake.import_text("x.ndjson", &rows.map(line).join("\n")).await;
    assert_eq!(
        lake.texts("channel").await,
        ["House list", "Organic Social", "Paid Search", "c"]
    );
    assert_eq!(lake.texts("source").await, ["Instagram", "google", "news", "s"]);
    assert_eq!(lake.texts("utm_source").await, ["google", "news", "null", "null"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_text_is_cut_or_replaced_and_counted() {
    let lake = Lake::new().await;
    let odd = [
        line(&format!(
            r#","page_title":"{}","utm_term":"a\u0000b\ud83d""#,
            "ü".repeat(1_025)
        )),
        line(&format!(r#","user_id":"{}","country":"Germany""#, "x".repeat(300))),
    ];
    let report = lake.import_text("x.ndjson", &odd.join("\n")).await;
    assert_eq!(
        report.changed,
        BTreeMap::from([
            (("page.title", "cut"), 1),
            (("utm.term", "replaced"), 1),
            (("user.user_id", "cut"), 1),
            (("user.country", "ignored"), 1),
        ])
    );
    assert_eq!(lake.texts("page_title").await, ["null".to_owned(), "ü".repeat(1_024)]);
    assert_eq!(lake.texts("utm_term").await, ["a\u{fffd}b\u{fffd}", "null"]);
    assert_eq!(lake.texts("country").await, ["null"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_and_future_are_as_configured() {
    let lake = Lake::new().await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let options = |retention, max_future| ImportOptions {
        limits: CollectOptions {
            retention,
            max_future,
            ..CollectOptions::default()
        },
        ..ImportOptions::default()
    };
    let at = |time: &str| line("").replace("2026-10-31T10:00:00Z", time);
    let old = lake.file("old.ndjson", at("2025-09-01T00:00:00Z"));
    let report = lake.import(&old).await.unwrap();
    insta::assert_debug_snapshot!(report.rejected);
    assert_eq!(
        lake.import_with(&old, options(days(800), days(0)))
            .await
            .unwrap()
            .imported,
        1
    );
    let future = lake.file("future.ndjson", at("2026-11-01T00:30:00Z"));
    assert!(
        lake.import_with(&future, options(days(800), days(0)))
            .await
            .unwrap()
            .is_refused()
    );
    assert_eq!(
        lake.import_with(&future, options(days(1), days(1)))
            .await
            .unwrap()
            .imported,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn visit_over_midnight_keeps_its_session() {
    let lake = Lake::new().await;
    let at = |time: &str| line(r#","session_id":"s""#).replace("2026-10-31T10:00:00Z", time);
    lake.import_text(
        "x.ndjson",
        &[at("2026-10-30T23:59:00Z"), at("2026-10-31T00:01:00Z")].join("\n"),
    )
    .await;
    assert_eq!(lake.texts("session_id").await, ["s", "s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_id_differ_by_content_or_by_key() {
    let purchases = [
        line(r#","revenue":10"#),
        line(r#","revenue":25"#),
        line(r#","revenue":"25.0""#),
    ]
    .join("\n");
    let lake = Lake::new().await;
    let report = lake.import_text("x.ndjson", &purchases).await;
    assert_eq!((report.imported, report.duplicates), (2, 1));
    let mut by_key = Lake::new().await;
    by_key.parts.sites = Arc::new(Sites::from([("a".into(), Some(DedupeBy::Key))]));
    let report = by_key.import_text("x.ndjson", &purchases).await;
    assert_eq!((report.imported, report.duplicates), (1, 2));
    let key = derived_event_id("a", "1", "", NOW - 14 * 3_600_000_000, "x");
    assert_eq!(by_key.texts("event_id").await, [key]);
}
