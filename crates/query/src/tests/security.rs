//! Invariant 6: no SQL shows a reader another site's rows.

use footfall_model::access::SiteScope;

use crate::testing::{TestLake, events, lake, only, rows, table, value};

/// Site `mine` and site `rival` share a file and have one each; everything of `rival` says "secret".
async fn shared_lake() -> TestLake {
    let lake = lake().await;
    let mine = events()
        .site("mine")
        .client("me")
        .at("2026-11-01 10:00")
        .pageview("/home");
    let rival = |from: crate::testing::EventsBuilder, at: &str| {
        from.site("rival")
            .client("secret")
            .at(at)
            .pageview("/secret")
            .purchase(990_000)
    };
    lake.add("shared", rival(mine.clone(), "2026-11-01 23:00")).await;
    lake.add("mine", mine.at("2026-11-02 10:00").pageview("/home")).await;
    lake.add("rival", rival(events(), "2026-11-03 11:00")).await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_show_only_own_sites() {
    let lake = shared_lake().await;
    let engine = lake.engine();
    let (me, all) = (only(&["mine"]), SiteScope::All);
    for (sql, mine) in [
        ("SELECT count(*) FROM events", "3"),
        ("SELECT count(*) FROM events WHERE tracking_id = 'rival'", "0"),
        ("SELECT count(*) FROM events WHERE tracking_id = 'rival' OR true", "3"),
        ("SELECT count(*) FROM events WHERE event_date = '2026-11-01'", "2"),
        ("SELECT count(*) FROM events WHERE event_date >= '2026-11-03'", "0"),
        ("SELECT count(client_id) FROM events", "3"),
        ("SELECT count(DISTINCT tracking_id) FROM events", "1"),
        (
            "SELECT max(event_timestamp) FROM events WHERE event_date = '2026-11-01'",
            "2026-11-01T10:00:00Z",
        ),
        ("SELECT max(event_timestamp) FROM events", "2026-11-02T10:00:00Z"),
        ("SELECT max(tracking_id) FROM events", "mine"),
        ("SELECT max(event_date) FROM events", "2026-11-02"),
        ("SELECT coalesce(sum(revenue), 0) FROM events", "0.0000"),
        ("SELECT count(*) FROM footfall.public.events", "3"),
        (
            "SELECT count(*) FROM events a JOIN events b ON a.event_date = b.event_date",
            "5",
        ),
        (
            "SELECT count(*) FROM events a CROSS JOIN (SELECT DISTINCT tracking_id FROM events) b",
            "3",
        ),
        (
            "SELECT count(*) FROM events WHERE client_id IN (SELECT client_id FROM events)",
            "3",
        ),
        (
            "SELECT (SELECT count(*) FROM events e WHERE e.tracking_id <> 'mine')",
            "0",
        ),
        (
            "SELECT count(*) FROM events WHERE EXISTS (SELECT 1 FROM events o WHERE o.tracking_id = 'rival')",
            "0",
        ),
        ("WITH t AS (SELECT * FROM events) SELECT count(*) FROM t", "3"),
        (
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t, events WHERE n < 2) SELECT count(*) FROM t",
            "4",
        ),
        (
            "SELECT count(*) FROM (SELECT * FROM events UNION ALL SELECT * FROM events)",
            "6",
        ),
        ("SELECT count(*) FROM (SELECT * FROM events LIMIT 100)", "3"),
        (
            "SELECT count(*) FROM (SELECT 1 FROM events ORDER BY event_timestamp DESC LIMIT 100)",
            "3",
        ),
        ("SELECT count(*) OVER () FROM events", "3"),
        ("SELECT approx_distinct(tracking_id) FROM events", "1"),
        (
            "SELECT count(*) FROM events WHERE tracking_id LIKE '%' AND page_url IS NOT NULL",
            "3",
        ),
    ] {
        assert_eq!(value(&engine, &me, sql).await, mine, "{sql}");
        assert_eq!(
            value(&engine, &only(&[]), sql).await == mine,
            mine == "0" || mine == "0.0000",
            "{sql}"
        );
    }
    assert_eq!(value(&engine, &all, "SELECT count(*) FROM events").await, "7");
    assert_eq!(
        value(&engine, &only(&["mine", "rival"]), "SELECT count(*) FROM events").await,
        "7"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_output_holds_no_foreign_secret() {
    let lake = shared_lake().await;
    let engine = lake.engine();
    for sql in [
        "SELECT * FROM events",
        "SELECT * FROM events ORDER BY event_timestamp DESC",
        "SELECT client_id, page_url FROM events WHERE page_url > '/'",
        "SELECT array_agg(client_id), array_agg(page_url) FROM events",
        "SELECT first_value(client_id ORDER BY event_timestamp DESC) FROM events",
        "EXPLAIN SELECT * FROM events",
        "EXPLAIN SELECT max(client_id), count(*) FROM events",
        "EXPLAIN FORMAT TREE SELECT * FROM events WHERE revenue > 0",
        "EXPLAIN FORMAT PGJSON SELECT * FROM events",
        "EXPLAIN ANALYZE SELECT * FROM events",
        "EXPLAIN VERBOSE SELECT * FROM events",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.views",
        "SELECT * FROM information_schema.df_settings",
        "SHOW ALL",
        "SHOW TABLES",
        "DESCRIBE events",
        "SELECT CAST(page_url AS INT) FROM events",
        "SELECT 1 / (CASE WHEN starts_with(page_url, '/sec') THEN 0 ELSE 1 END) FROM events",
        "SELECT event_id FROM events WHERE 1 / (CASE WHEN starts_with(page_url, '/sec') THEN 0 ELSE 1 END) = 1",
    ] {
        let printed = table(&engine, &only(&["mine"]), sql).await;
        assert!(
            !printed.contains("secret") && !printed.contains("rival") && !printed.contains("division"),
            "{sql}\n{printed}"
        );
    }
    let admin = table(&engine, &SiteScope::All, "SELECT * FROM events").await;
    assert!(admin.contains("/secret"), "the test could not fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_plans_show_no_files_and_no_scan() {
    let lake = shared_lake().await;
    let engine = lake.engine();
    for sql in [
        "SELECT count(*) FROM events",
        "SELECT client_id FROM events WHERE tracking_id = 'mine'",
        "SELECT client_id FROM events ORDER BY tracking_id, client_hash, event_timestamp LIMIT 1",
        "SELECT 1 FROM events a JOIN events b USING (client_id)",
        "SELECT count(*) FROM events WHERE event_date = '2027-01-01'",
    ] {
        for format in ["INDENT", "TREE", "PGJSON", "GRAPHVIZ"] {
            let plan = table(&engine, &only(&["mine"]), &format!("EXPLAIN FORMAT {format} {sql}")).await;
            assert!(
                !plan.contains("DataSource") && !plan.contains("parquet"),
                "{sql}\n{plan}"
            );
        }
        let plan = table(&engine, &only(&["mine"]), &format!("EXPLAIN FORMAT INDENT {sql}")).await;
        assert!(plan.contains("SiteFilterExec: table=events"), "{sql}\n{plan}");
    }
}

/// The row that fails is another site's, in a file of 200 sites of which one uses the column, so that it takes fewer
/// bytes than the site's name.
#[tokio::test(flavor = "multi_thread")]
async fn reader_error_hides_other_sites_values() {
    let lake = lake().await;
    let mut crowd = events();
    for n in 0..200 {
        crowd = crowd.site(&format!("site-{n:03}")).crowd(20);
    }
    lake.add("shared", crowd.site("site-050").purchase(50_020_000)).await;
    let engine = lake.engine();
    let conditions = [
        "CAST(user_id AS BIGINT) = 1",
        "1 / (CASE WHEN revenue > 5001 THEN 0 ELSE 1 END) = 1",
        "CAST(revenue * 10000 AS INT) > 0",
        "1 / (CASE WHEN tracking_id = 'site-050' THEN 0 ELSE 1 END) = 1",
    ];
    for condition in conditions {
        let sql = format!("SELECT count(*) FROM events WHERE {condition}");
        let reader = rows(&engine, &only(&["site-100"]), &sql, &[]).await;
        assert!(reader.is_ok(), "{sql}: {reader:?}");
    }
    let all = format!("SELECT count(*) FROM events WHERE {}", conditions[1]);
    assert!(
        rows(&engine, &SiteScope::All, &all, &[]).await.is_err(),
        "the test could not fail"
    );
}

/// Only another site has rows on the day for which the condition fails.
#[tokio::test(flavor = "multi_thread")]
async fn reader_error_hides_other_sites_days() {
    let lake = shared_lake().await;
    // By its statistics this file could hold rows of "mine".
    let others = events()
        .site("a")
        .at("2026-11-04 10:00")
        .pageview("/")
        .site("z")
        .pageview("/");
    lake.add("others", others).await;
    let engine = lake.engine();
    for day in [1, 2, 3, 4] {
        let sql = format!("SELECT count(*) FROM events WHERE 1 / (extract(day FROM event_date) - {day}) <= 1");
        let answer = rows(&engine, &only(&["mine"]), &sql, &[]).await;
        assert_eq!(answer.is_err(), day < 3, "{sql}: {answer:?}");
        assert!(rows(&engine, &SiteScope::All, &sql, &[]).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_site_statistics_keep_isolation() {
    let lake = lake().await;
    let long = |end: &str| format!("{}{end}", "long-name-".repeat(4));
    let both = events().site(&long("1")).pageview("/1").site(&long("2")).pageview("/2");
    lake.add("x", both).await;
    let engine = lake.engine();
    assert_eq!(
        value(&engine, &only(&[&long("1")]), "SELECT count(*) FROM events").await,
        "1"
    );
    assert_eq!(
        value(&engine, &only(&[&long("3")]), "SELECT count(*) FROM events").await,
        "0"
    );
}
