//! Which files a condition leaves to read.

use footfall_model::access::SiteScope;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::testing::{TestLake, events, lake, only, rows, table, value};

/// Three days: "one" holds site a alone, "two" sites b and c; day three has both in one file.
async fn three_days() -> TestLake {
    let lake = lake().await;
    for day in 1..=3 {
        let at = |hour| format!("2026-11-0{day} {hour}:00");
        let a = events()
            .site("a")
            .client("x")
            .at(&at("08"))
            .pageview("/")
            .at(&at("09"))
            .purchase(5);
        let b = |from: crate::testing::EventsBuilder| {
            let b = from.site("b").client("y").at(&at("10")).pageview("/b").pageview("/bb");
            b.site("c").client("z").at(&at("23")).pageview("/c")
        };
        if day == 3 {
            lake.add("three", b(a)).await;
        } else {
            lake.add("one", a).await;
            lake.add("two", b(events())).await;
        }
    }
    lake
}

/// `01/one 02/two`: the files that are read.
async fn files(lake: &TestLake, sites: &SiteScope, condition: &str) -> String {
    lake.reads.take();
    // A new engine has no cached footers: a file of which only the footer is read counts as read.
    let sql = format!("SELECT event_id FROM events WHERE {condition}");
    rows(&lake.engine(), sites, &sql, &[]).await.unwrap();
    let files = lake.reads.files();
    if files.is_empty() {
        return "none".into();
    }
    let names = files.iter().map(|file| {
        let name = file.as_ref().trim_start_matches("events/event_date=2026-11-");
        name.trim_end_matches(".parquet").to_owned()
    });
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn pruned_files_are_not_read() {
    let lake = three_days().await;
    let mut left = Vec::new();
    for condition in [
        "true",
        "event_date = '2026-11-02'",
        "event_date IN ('2026-11-01', '2026-11-03')",
        "extract(day FROM event_date) = 2",
        "event_date > '2026-11-03'",
        "tracking_id = 'a'",
        "tracking_id = 'b' AND event_date < '2026-11-03'",
        "tracking_id IN ('c', 'nobody')",
        "tracking_id LIKE 'c%'",
        "tracking_id = 'nobody'",
        "event_timestamp >= '2026-11-02 12:00:00'",
        "event_timestamp >= '2026-11-02'",
        "event_timestamp < timestamp '2026-11-02T00:00:00Z'",
        "event_timestamp BETWEEN '2026-11-01T09:30:00Z' AND '2026-11-01T11:00:00Z'",
        "event_timestamp > now() - interval '22 days'",
        "date_trunc('day', event_timestamp) = '2026-11-02'",
        "event_timestamp::date = '2026-11-02'",
        "client_id = 'x' AND tracking_id = 'a'",
        "client_id = 'nobody' AND tracking_id = 'a'",
        "client_id = 'y' AND tracking_id IN ('b', 'c') AND event_date = '2026-11-01'",
        "client_hash = 0",
        "city = 'Ghent'",
        "event_date = '2026-11-01' OR tracking_id = 'a'",
        "event_date = '2026-11-01' AND random() < 0.5",
    ] {
        left.push(format!(
            "{condition:<80} {}",
            files(&lake, &SiteScope::All, condition).await
        ));
    }
    insta::assert_snapshot!(left.join("\n"), @"
    true                                                                             01/one 01/two 02/one 02/two 03/three
    event_date = '2026-11-02'                                                        02/one 02/two
    event_date IN ('2026-11-01', '2026-11-03')                                       01/one 01/two 03/three
    extract(day FROM event_date) = 2                                                 02/one 02/two
    event_date > '2026-11-03'                                                        none
    tracking_id = 'a'                                                                01/one 02/one 03/three
    tracking_id = 'b' AND event_date < '2026-11-03'                                  01/two 02/two
    tracking_id IN ('c', 'nobody')                                                   01/two 02/two 03/three
    tracking_id LIKE 'c%'                                                            01/two 02/two 03/three
    tracking_id = 'nobody'                                                           none
    event_timestamp >= '2026-11-02 12:00:00'                                         02/two 03/three
    event_timestamp >= '2026-11-02'                                                  02/one 02/two 03/three
    event_timestamp < timestamp '2026-11-02T00:00:00Z'                               01/one 01/two
    event_timestamp BETWEEN '2026-11-01T09:30:00Z' AND '2026-11-01T11:00:00Z'        01/two
    event_timestamp > now() - interval '22 days'                                     02/two 03/three
    date_trunc('day', event_timestamp) = '2026-11-02'                                01/one 01/two 02/one 02/two 03/three
    event_timestamp::date = '2026-11-02'                                             02/one 02/two
    client_id = 'x' AND tracking_id = 'a'                                            01/one 02/one 03/three
    client_id = 'nobody' AND tracking_id = 'a'                                       none
    client_id = 'y' AND tracking_id IN ('b', 'c') AND event_date = '2026-11-01'      01/two
    client_hash = 0                                                                  03/three
    city = 'Ghent'                                                                   01/one 01/two 02/one 02/two 03/three
    event_date = '2026-11-01' OR tracking_id = 'a'                                   01/one 01/two 02/one 03/three
    event_date = '2026-11-01' AND random() < 0.5                                     01/one 01/two
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_prunes_files_of_other_sites() {
    let lake = three_days().await;
    assert_eq!(files(&lake, &only(&["a"]), "true").await, "01/one 02/one 03/three");
    assert_eq!(files(&lake, &only(&["c"]), "true").await, "01/two 02/two 03/three");
    assert_eq!(files(&lake, &only(&["c"]), "tracking_id = 'a'").await, "03/three");
    for condition in [
        "event_date = '2026-11-02'",
        "extract(day FROM event_date) = 2",
        "event_timestamp::date = '2026-11-02'",
        "event_timestamp BETWEEN '2026-11-02' AND '2026-11-02 23:30:00'",
    ] {
        assert_eq!(files(&lake, &only(&["c"]), condition).await, "02/two", "{condition}");
    }
    assert_eq!(files(&lake, &only(&["nobody"]), "true").await, "none");
    assert_eq!(files(&lake, &only(&[]), "true").await, "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_keeps_the_answer() {
    let lake = three_days().await;
    let engine = lake.engine();
    // A condition that no statistics decide, beside the one that prunes.
    for condition in [
        "event_date = '2026-11-02'",
        "event_date IN ('2026-11-01', '2026-11-03')",
        "extract(day FROM event_date) = 2",
        "event_timestamp >= '2026-11-02 09:00:00'",
        "event_timestamp < '2026-11-02 09:00:00.000001'",
        "tracking_id = 'b'",
        "client_id = 'x' AND tracking_id = 'a'",
        "client_id IN ('x', 'y') AND tracking_id IN ('a', 'b')",
        "tracking_id <> 'a'",
        "NOT (tracking_id = 'a' AND event_date = '2026-11-01')",
    ] {
        let fast = value(
            &engine,
            &SiteScope::All,
            &format!("SELECT count(event_id) FROM events WHERE {condition}"),
        )
        .await;
        let slow = value(
            &engine,
            &SiteScope::All,
            &format!("SELECT count(*) FROM (SELECT *, random() AS r FROM events) WHERE r >= 0 AND ({condition})"),
        )
        .await;
        assert_eq!(fast, slow, "{condition}");
        assert_ne!(fast, "0", "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_extremes_come_from_statistics() {
    let lake = three_days().await;
    let engine = lake.engine();
    lake.reads.take();
    for (sql, answer) in [
        ("SELECT count(*) FROM events", "15"),
        ("SELECT count(tracking_id) FROM events", "15"),
        ("SELECT count(*) FROM events WHERE event_date = '2026-11-01'", "5"),
        ("SELECT count(*) FROM events WHERE event_date > '2026-12-01'", "0"),
        ("SELECT max(event_timestamp) FROM events", "2026-11-03T23:00:00Z"),
        (
            "SELECT min(event_timestamp) FROM events WHERE event_date >= '2026-11-02'",
            "2026-11-02T08:00:00Z",
        ),
        ("SELECT min(tracking_id) FROM events", "a"),
        ("SELECT max(event_date) FROM events", "2026-11-03"),
    ] {
        assert_eq!(value(&engine, &SiteScope::All, sql).await, answer, "{sql}");
        assert_eq!(lake.reads.take(), 0, "{sql}");
    }
    // Also for a reader, of files that hold only its site.
    let sql = "SELECT count(*) FROM events WHERE event_date < '2026-11-03'";
    assert_eq!(value(&engine, &only(&["a"]), sql).await, "4");
    assert_eq!(lake.reads.take(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rounded_extremes_are_read_from_files() {
    let lake = lake().await;
    lake.add("x", events().at("2026-11-01 10:00:00.000999").pageview("/"))
        .await;
    let latest = async |reads: bool| {
        lake.reads.take();
        let sql = "SELECT max(event_timestamp) FROM events";
        let latest = value(&lake.engine(), &SiteScope::All, sql).await;
        assert_eq!(latest, "2026-11-01T10:00:00.000999Z");
        assert_eq!(lake.reads.take() > 0, reads);
    };
    latest(false).await;
    // Spark and others keep milliseconds.
    let log = |version: u64| Path::from(format!("events/_delta_log/{version:020}.json"));
    let ours = lake.table.store().get(&log(1)).await.unwrap().bytes().await.unwrap();
    let theirs = String::from_utf8(ours.into()).unwrap().replace(".000999Z", ".000Z");
    lake.table.store().put(&log(2), theirs.into()).await.unwrap();
    lake.table.refresh().await.unwrap();
    latest(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_reads_one_file_and_caches_footers() {
    let lake = three_days().await;
    let engine = lake.engine();
    lake.reads.take();
    let all = SiteScope::All;
    rows(&engine, &all, "SELECT event_id FROM events LIMIT 1", &[])
        .await
        .unwrap();
    let first = lake.reads.take();
    rows(&engine, &all, "SELECT event_id FROM events LIMIT 1", &[])
        .await
        .unwrap();
    let second = lake.reads.take();
    assert!(second < first, "footer again: {second} of {first} requests");
    rows(&engine, &all, "SELECT city FROM events", &[]).await.unwrap();
    assert!(
        first < lake.reads.take(),
        "a LIMIT of 1 read as much as the whole table"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn page_indexes_are_read_once() {
    let lake = lake().await;
    lake.add("x", events().site("a").crowd(15_000).site("b").crowd(15_000))
        .await;
    let engine = lake.engine();
    let requests = async |client: u32| {
        lake.reads.take();
        let sql = format!("SELECT event_id FROM events WHERE tracking_id = 'b' AND client_id = 'client-{client}'");
        rows(&engine, &SiteScope::All, &sql, &[]).await.unwrap();
        lake.reads.take()
    };
    let first = requests(1).await;
    // One for each condition on the site and the visitor, one for the column that is asked for.
    assert_eq!(requests(2).await, 4, "{first} at first");
}

#[tokio::test(flavor = "multi_thread")]
async fn visitor_lookup_reads_pages_only() {
    let lake = lake().await;
    let crowd = events().site("a").crowd(15_000).site("b").crowd(15_000);
    lake.add("x", crowd).await;
    let engine = lake.engine();
    let sql = "EXPLAIN ANALYZE SELECT page_url FROM events WHERE tracking_id = 'b' AND client_id = 'client-77'";
    let figures = table(&engine, &SiteScope::All, sql).await;
    assert!(
        figures.contains("page_index_pages_pruned=4 total → 2 matched"),
        "{figures}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_pushed_into_parquet_reader() {
    let lake = three_days().await;
    let sql = "EXPLAIN FORMAT INDENT SELECT client_id FROM events WHERE event_type = 'purchase' AND revenue > 0";
    let plan = table(&lake.engine(), &SiteScope::All, sql).await;
    assert!(plan.contains("predicate=event_type"), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
}
