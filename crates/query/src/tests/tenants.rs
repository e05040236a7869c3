//! A reader's SQL reaches its own sites and nothing else, whatever it says.

use arrow::util::pretty::pretty_format_batches;

use super::lake::{Lake, event, only};

/// Files of one site, of the other, and of both.
async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.commit(&[event("mine").client("me"), event("mine").client("me").purchase(5)])
        .await;
    lake.commit(&[event("secret-shop").client("somebody").purchase(999)])
        .await;
    lake.commit(&[event("mine").client("me"), event("secret-shop").client("somebody")])
        .await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_of_the_readers_own_rows() {
    let lake = lake().await;
    let mine = only(&["mine"]);
    for (sql, answer) in [
        ("SELECT count(*) FROM events", "3"),
        ("SELECT count(*) FROM events WHERE tracking_id = 'secret-shop'", "0"),
        ("SELECT count(*) FROM events WHERE tracking_id <> 'mine' OR 1 = 1", "3"),
        ("SELECT max(tracking_id) FROM events", "mine"),
        ("SELECT min(client_id) FROM events", "me"),
        ("SELECT sum(revenue) FROM events", "5.0000"),
        ("SELECT count(DISTINCT client_id) FROM events", "1"),
        (
            "SELECT count(*) FROM (SELECT * FROM events UNION ALL SELECT * FROM events)",
            "6",
        ),
        ("WITH e AS (SELECT * FROM events) SELECT count(*) FROM e", "3"),
        (
            "SELECT count(*) FROM events a JOIN events b ON a.event_type = b.event_type",
            "5",
        ),
        (
            "SELECT count(*) FROM events WHERE client_id IN (SELECT client_id FROM events)",
            "3",
        ),
        ("SELECT (SELECT count(*) FROM footfall.public.events)", "3"),
        (
            "SELECT count(*) FROM events WHERE tracking_id = 'secret-shop' AND client_id = 'somebody'",
            "0",
        ),
        ("SELECT count(*) FROM (SELECT tracking_id FROM events LIMIT 100)", "3"),
    ] {
        assert_eq!(lake.value(&mine, sql).await, answer, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_shown_names_another_site() {
    let lake = lake().await;
    let mine = only(&["mine"]);
    for sql in [
        "SELECT * FROM events",
        "EXPLAIN SELECT * FROM events",
        "EXPLAIN VERBOSE SELECT count(*) FROM events",
        "EXPLAIN ANALYZE SELECT count(*), max(client_id) FROM events",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SHOW TABLES",
        "SHOW ALL",
        "DESCRIBE events",
    ] {
        let shown = lake.run(&mine, sql).await.unwrap();
        let shown = pretty_format_batches(&shown).unwrap().to_string();
        assert!(
            !shown.contains("secret") && !shown.contains("somebody") && !shown.contains("999"),
            "{sql}:\n{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_no_site_sees_no_row() {
    let lake = lake().await;
    for sites in [only(&[]), only(&["another"])] {
        assert_eq!(lake.value(&sites, "SELECT count(*) FROM events").await, "0");
        assert_eq!(
            lake.value(&sites, "SELECT count(DISTINCT client_id) FROM events").await,
            "0"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_both_sees_both() {
    let lake = lake().await;
    assert_eq!(
        lake.value(&only(&["mine", "secret-shop"]), "SELECT count(*) FROM events")
            .await,
        "5"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_files_that_are_wholly_the_readers_reads_nothing() {
    let lake = Lake::new().await;
    lake.commit(&[event("mine")]).await;
    lake.commit(&[event("theirs")]).await;
    let reads = lake
        .reads(async { assert_eq!(lake.value(&only(&["mine"]), "SELECT count(*) FROM events").await, "1") })
        .await;
    assert_eq!(reads, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_tracking_id_is_checked_row_by_row() {
    let lake = Lake::new().await;
    lake.commit(&[event("a-tracking-id-that-is-longer-than-32-characters-1")])
        .await;
    lake.commit(&[event("a-tracking-id-that-is-longer-than-32-characters-2")])
        .await;
    let one = only(&["a-tracking-id-that-is-longer-than-32-characters-1"]);
    assert_eq!(lake.value(&one, "SELECT count(*) FROM events").await, "1");
}
