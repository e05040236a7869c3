//! Results that are kept: when they are used, and when not.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use footfall_model::access::SiteScope;
use futures::TryStreamExt;
use futures::future::join_all;

use crate::testing::{TestLake, events, lake, only, rows, value};
use crate::{Answer, Engine, EngineOptions};

const ALL: SiteScope = SiteScope::All;

async fn with_two_days() -> TestLake {
    let lake = lake().await;
    lake.add("first", events().at("2026-11-01 10:00").crowd(10)).await;
    lake.add("second", events().at("2026-11-02 10:00").crowd(20)).await;
    lake
}

/// Whether the result was kept, and its rows.
async fn asked(engine: &Engine, sites: &SiteScope, sql: &str) -> (bool, String) {
    let answer = engine.execute_at(sites, sql, &[], None).await.unwrap();
    let is_cached = answer.provenance.to_json()["is_cached"] == true;
    let Answer { rows, .. } = answer;
    let batches: Vec<_> = rows.try_collect().await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap();
    (is_cached, text.to_string())
}

async fn is_kept(engine: &Engine, sql: &str) -> bool {
    let (_, first) = asked(engine, &ALL, sql).await;
    let (is_kept, second) = asked(engine, &ALL, sql).await;
    assert!(!is_kept || first == second, "{sql}");
    is_kept
}

#[tokio::test]
async fn equal_statements_are_computed_once() {
    let lake = with_two_days().await;
    let engine = lake.engine();
    let sql = "SELECT event_date, count(*), count(DISTINCT client_id) FROM events GROUP BY 1 ORDER BY 1";
    let (first_kept, first) = asked(&engine, &ALL, sql).await;
    lake.reads.take();
    let (second_kept, second) = asked(&engine, &ALL, sql).await;
    assert_eq!((first_kept, second_kept, lake.reads.take()), (false, true, 0));
    assert_eq!(first, second);
    // A reader's answer is its own.
    let (kept, of_reader) = asked(&engine, &only(&["other"]), sql).await;
    assert!(!kept && of_reader != first);
}

#[tokio::test]
async fn commits_end_results_of_the_files_that_are_read() {
    let lake = with_two_days().await;
    let engine = lake.engine();
    let count = "SELECT count(*) FROM events";
    let visitors = "SELECT count(DISTINCT client_id) FROM events";
    let first_day = "SELECT count(DISTINCT client_id) FROM events WHERE event_date = '2026-11-01'";
    for (sql, expected) in [(count, "30"), (visitors, "20"), (first_day, "10")] {
        assert_eq!(value(&engine, &ALL, sql).await, expected, "{sql}");
    }
    lake.add("third", events().client("new").at("2026-11-02 20:00").pageview("/"))
        .await;
    for (sql, expected) in [(count, "31"), (visitors, "21")] {
        assert_eq!(value(&engine, &ALL, sql).await, expected, "{sql}");
    }
    // No file of the first day is another.
    let (kept, _) = asked(&engine, &ALL, first_day).await;
    assert!(kept);
    lake.add("late", events().client("new").at("2026-11-01 20:00").pageview("/"))
        .await;
    let (kept, _) = asked(&engine, &ALL, first_day).await;
    assert!(!kept);
    assert_eq!(value(&engine, &ALL, first_day).await, "11");
}

#[tokio::test]
async fn results_that_depend_on_more_than_the_lake_are_not_kept() {
    let lake = with_two_days().await;
    let engine = lake.engine();
    for (sql, expected) in [
        ("SELECT count(*) FROM events", true),
        ("SELECT 1", true),
        ("SELECT count(*) FROM events TABLESAMPLE SYSTEM (50)", true),
        // The test's clock stands still.
        (
            "SELECT count(*) FROM events WHERE event_timestamp < now() - INTERVAL '1 day'",
            true,
        ),
        ("SELECT count(*) FROM events WHERE random() > 2", false),
        ("SELECT uuid() IS NULL", false),
        ("SELECT count(*) FROM system.queries", false),
        ("SELECT (SELECT max(rows) FROM system.files) FROM events LIMIT 1", false),
        ("EXPLAIN SELECT count(*) FROM events", false),
        ("EXPLAIN ANALYZE SELECT count(*) FROM events", false),
    ] {
        assert_eq!(is_kept(&engine, sql).await, expected, "{sql}");
    }
    // Values are a part of the statement.
    let sql = "SELECT count(*) FROM events WHERE client_id = $1";
    for (client, expected) in [("client-3", "2"), ("client-13", "1"), ("client-3", "2")] {
        let batches = rows(&engine, &ALL, sql, &[client.into()]).await.unwrap();
        let shown = arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
        assert_eq!(shown, expected, "{client}");
    }
}

#[tokio::test]
async fn statements_wait_for_an_equal_one() {
    let lake = with_two_days().await;
    let engine = Arc::new(lake.engine());
    let sql = "SELECT client_id, count(*) FROM events GROUP BY 1 ORDER BY 1";
    let answers = join_all((0..8).map(|_| asked(&engine, &ALL, sql))).await;
    assert_eq!(answers.iter().filter(|(kept, _)| !kept).count(), 1);
    assert!(answers.iter().all(|(_, text)| *text == answers[0].1));
    let log = "SELECT count(*) FROM system.queries WHERE cached AND rows = 20 AND rows_read = 0";
    assert_eq!(value(&engine, &ALL, log).await, "7");
    // What fails is not kept, and keeps nobody waiting.
    let failing = "SELECT CAST(client_id AS INT) FROM events";
    let failed = join_all((0..3).map(|_| rows(&engine, &ALL, failing, &[]))).await;
    assert!(failed.iter().all(Result::is_err));
    for _ in 0..100 {
        if engine.is_idle() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("failed statements hold threads or memory");
}

#[tokio::test]
async fn large_results_flow_and_are_not_kept() {
    let lake = with_two_days().await;
    let engine = lake.engine();
    let sql = "SELECT value, repeat('x', 100) FROM generate_series(1, 20000)";
    assert!(!is_kept(&engine, sql).await);
    let batches = rows(&engine, &ALL, sql, &[]).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
}

#[tokio::test]
async fn cache_can_be_off() {
    let lake = with_two_days().await;
    let options = EngineOptions {
        result_cache_bytes: 0,
        ..lake.options()
    };
    let engine = Engine::new(Arc::clone(&lake.table), &options).unwrap();
    assert!(!is_kept(&engine, "SELECT count(*) FROM events").await);
}

#[tokio::test]
async fn results_of_other_series_are_not_taken() {
    let lake = with_two_days().await;
    let engine = lake.engine();
    for end in [5, 7, 9] {
        for function in ["generate_series", "range"] {
            let sql = format!("SELECT max(value) FROM {function}(1, {end})");
            let expected = if function == "range" { end - 1 } else { end };
            assert_eq!(value(&engine, &ALL, &sql).await, expected.to_string(), "{sql}");
        }
    }
    assert!(is_kept(&engine, "SELECT count(*) FROM generate_series(1, 3) CROSS JOIN events").await);
}
