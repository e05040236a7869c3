//! What is read, and what is not.

use footfall_model::access::SiteScope;

use super::lake::{Lake, event};

/// f0: site a, 1 November; f1: site b, 1 November; f2-0, f2-1: both sites, 2 and 3 November.
async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.commit(&[
        event("a").client("c1"),
        event("a").client("c2").at("2026-11-01T12:00:00Z"),
    ])
    .await;
    lake.commit(&[event("b").client("c1"), event("b").client("c3").purchase(7)])
        .await;
    lake.commit(&[
        event("a").at("2026-11-02T00:00:00Z"),
        event("b").at("2026-11-02T09:00:00Z"),
        event("a").at("2026-11-03T23:59:59.999999Z"),
    ])
    .await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_hold_an_answer_are_not_read() {
    let lake = lake().await;
    for (filter, files) in [
        ("true", "f0-0 f1-0 f2-0 f2-1"),
        ("tracking_id = 'a'", "f0-0 f2-0 f2-1"),
        ("tracking_id = 'nobody'", ""),
        ("event_date = '2026-11-02'", "f2-0"),
        ("event_date > '2026-11-02'", "f2-1"),
        ("event_timestamp >= '2026-11-02T09:00:00Z'", "f2-0 f2-1"),
        ("event_timestamp >= '2026-11-02T09:00:00.000001Z'", "f2-1"),
        ("event_timestamp < '2026-11-01T12:00:00Z'", "f0-0 f1-0"),
        ("tracking_id = 'b' AND event_timestamp < '2026-11-02'", "f1-0"),
        ("tracking_id IN ('b', 'c') AND event_date = '2026-11-01'", "f1-0"),
        (
            "tracking_id = 'a' AND event_date BETWEEN '2026-10-01' AND '2026-11-01'",
            "f0-0",
        ),
        (
            "event_date = '2026-11-01' OR event_date = '2026-11-03'",
            "f0-0 f1-0 f2-1",
        ),
        // By the visitor's hash: c2 was on 1 November alone, and its hash lies outside the other files' ranges.
        ("tracking_id = 'a' AND client_id = 'c2'", "f0-0"),
        ("event_type = 'purchase'", "f0-0 f1-0 f2-0 f2-1"),
    ] {
        let sql = format!("SELECT client_id FROM events WHERE {filter}");
        assert_eq!(lake.files(&sql).await.join(" "), files, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_reads_no_file() {
    let lake = lake().await;
    for (sql, answer) in [
        ("SELECT count(*) FROM events", "7"),
        ("SELECT count(*) FROM events WHERE event_date = '2026-11-09'", "0"),
    ] {
        let reads = lake
            .reads(async { assert_eq!(lake.value(&SiteScope::All, sql).await, answer) })
            .await;
        assert_eq!(reads, 0, "{sql}");
    }
    let sql = "SELECT count(*) FROM events WHERE event_type = 'purchase'";
    let reads = lake
        .reads(async { assert_eq!(lake.value(&SiteScope::All, sql).await, "1") })
        .await;
    assert!(reads > 0, "a condition on the rows needs the rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn footers_are_read_once() {
    let lake = lake().await;
    let sql = "SELECT sum(revenue) FROM events";
    let first = lake.reads(lake.value(&SiteScope::All, sql)).await;
    let second = lake.reads(lake.value(&SiteScope::All, sql)).await;
    assert!(second < first, "{second} reads after {first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_applied_inside_the_scan() {
    let lake = lake().await;
    let plan = lake
        .plan(
            &SiteScope::All,
            "SELECT client_id FROM events WHERE event_type = 'purchase'",
        )
        .await;
    assert!(plan.contains("predicate=event_type"), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_follow_each_other_need_no_sort() {
    let lake = Lake::new().await;
    for site in ["a", "b", "c", "d"] {
        lake.commit(&[event(site).client("x"), event(site).client("y")]).await;
    }
    let sql = "SELECT tracking_id, client_id FROM events ORDER BY tracking_id, client_hash, event_timestamp";
    let plan = lake.plan(&SiteScope::All, sql).await;
    assert!(!plan.contains("SortExec"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_overlap_are_sorted_where_order_is_asked_for() {
    let lake = Lake::new().await;
    for client in ["x", "y", "z"] {
        lake.commit(&[event("a").client(client), event("b").client(client)])
            .await;
    }
    let sql = "SELECT tracking_id FROM events ORDER BY tracking_id, client_hash, event_timestamp";
    assert!(lake.plan(&SiteScope::All, sql).await.contains("SortExec"));
    let answer = lake.table(sql).await;
    assert_eq!(answer.matches("| a ").count(), 3);
    assert!(answer.rfind("| a ") < answer.find("| b "), "{answer}");
}
