//! Invariant 8: overload is answered, not absorbed.

use std::time::Duration;

use footfall_model::access::SiteScope;
use futures::{StreamExt, TryStreamExt};

use crate::testing::{TestLake, events, lake, rows, value};
use crate::{Engine, EngineOptions, QueryError};

const ALL: SiteScope = SiteScope::All;

/// Rows without end, for all that a test can wait.
const ENDLESS: &str = "SELECT value AS x FROM generate_series(1, 1000000000000)";

/// Some 40 MB.
const WIDE: &str = "(SELECT value AS x, repeat(md5(value::text), 4) AS y FROM generate_series(1, 300000))";

fn engine(lake: &TestLake, change: impl FnOnce(&mut EngineOptions)) -> Engine {
    let mut options = lake.options();
    change(&mut options);
    Engine::new(lake.table.clone(), &options).unwrap()
}

fn limit_says(answer: Result<impl std::fmt::Debug, QueryError>, says: &str) {
    match answer {
        Err(QueryError::Limit(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_ended_and_told_so() {
    let lake = lake().await;
    let engine = engine(&lake, |o| o.statement_timeout = Duration::from_millis(300));
    limit_says(
        rows(&engine, &ALL, &format!("SELECT sum(x) FROM ({ENDLESS})"), &[]).await,
        "longer than 300ms",
    );
    limit_says(
        rows(&engine, &ALL, &format!("SELECT x FROM ({ENDLESS}) WHERE x < 0"), &[]).await,
        "longer than 300ms",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_keeps_its_slot_no_longer_than_the_limit() {
    let lake = lake().await;
    let engine = engine(&lake, |o| {
        o.statement_timeout = Duration::from_secs(1);
        o.concurrent_queries = 1;
    });
    let mut stalled = engine.execute(&ALL, ENDLESS, &[]).await.unwrap();
    assert!(stalled.next().await.unwrap().is_ok());
    rows(&engine, &ALL, "SELECT 1", &[])
        .await
        .expect("the slot was given back");
    let told = stalled.next().await.expect("the stalled client is told");
    limit_says(told.map_err(QueryError::from), "longer than 1s");
    assert!(stalled.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_slot_waits_and_is_then_told() {
    let lake = lake().await;
    let engine = engine(&lake, |o| {
        o.concurrent_queries = 2;
        o.queue_timeout = Duration::from_millis(100);
    });
    let one = engine.execute(&ALL, ENDLESS, &[]).await.unwrap();
    let two = engine.execute(&ALL, ENDLESS, &[]).await.unwrap();
    limit_says(
        engine.execute(&ALL, "SELECT 1", &[]).await.map(|_| ()),
        "2 queries were running",
    );
    drop(one);
    rows(&engine, &ALL, "SELECT 1", &[])
        .await
        .expect("dropping a stream frees its slot");
    drop(two);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_fail_or_end_leave_no_slot_behind() {
    let lake = lake().await;
    let engine = engine(&lake, |o| {
        o.concurrent_queries = 1;
        o.queue_timeout = Duration::from_millis(100);
    });
    for sql in [
        "SELEC",
        "SELECT nope FROM events",
        "SELECT 1",
        "SELECT CAST('x' AS INT)",
        "INSERT INTO events VALUES (1)",
    ] {
        let answer = rows(&engine, &ALL, sql, &[]).await;
        assert!(!matches!(answer, Err(QueryError::Limit(_))), "{sql}: {answer:?}");
    }
    let ended = engine.execute(&ALL, "SELECT 1", &[]).await.unwrap();
    let ended: Vec<_> = ended.try_collect().await.unwrap();
    assert_eq!(ended.len(), 1);
    rows(&engine, &ALL, "SELECT 1", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_and_what_can_be_spilled_is_spilled() {
    let lake = lake().await;
    let memory = 16 * 1024 * 1024;
    let roomy = engine(&lake, |o| {
        o.memory_bytes = memory;
        o.target_partitions = 1;
    });
    let sorted = format!("SELECT sum(n) FROM (SELECT row_number() OVER (ORDER BY y, x DESC) AS n FROM {WIDE})");
    let sum: u64 = (1..=300_000).sum();
    assert_eq!(value(&roomy, &ALL, &sorted).await, sum.to_string());
    let held = format!("SELECT array_agg(arrow_cast(y, 'Utf8')) FROM {WIDE}");
    limit_says(rows(&roomy, &ALL, &held, &[]).await, "more memory");
    rows(&roomy, &ALL, "SELECT 1", &[])
        .await
        .expect("and the memory is free again");

    let no_disk = engine(&lake, |o| {
        o.memory_bytes = memory;
        o.target_partitions = 1;
        o.spill_bytes = 1024 * 1024;
    });
    limit_says(rows(&no_disk, &ALL, &sorted, &[]).await, "more disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_of_a_function_makes_no_more_than_it_may() {
    let lake = lake().await;
    lake.add("x", events().crowd(10)).await;
    let engine = lake.engine();
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT length(repeat(repeat('x', 1000000), 1000))",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT count(rpad(page_url, 100000000)) FROM events",
        "SELECT array_length(array_repeat(1, 1000000000))",
        "SELECT array_length(list_repeat(page_url, 1000000000)) FROM events",
        "SELECT array_resize([1], 1000000000, 0)",
    ] {
        limit_says(rows(&engine, &ALL, sql, &[]).await, "bytes; ");
    }
    for sql in [
        "SELECT repeat('ab', 1000)",
        "SELECT lpad(page_url, 20, '.') FROM events",
        "SELECT array_repeat('x', 3)",
    ] {
        rows(&engine, &ALL, sql, &[])
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_statement_with_an_enormous_plan_is_refused() {
    let engine = lake().await.engine();
    let doubling: String = (1..60)
        .map(|n| format!(", t{n} AS (SELECT a.x FROM t{} a CROSS JOIN t{} b)", n - 1, n - 1))
        .collect();
    let sql = format!("WITH t0 AS (SELECT 1 AS x){doubling} SELECT * FROM t59");
    limit_says(rows(&engine, &ALL, &sql, &[]).await, "names of WITH");
}

/// Computes without a pause: the join's condition rules out every pair.
const BUSY: &str = "SELECT count(*) FROM generate_series(1, 80000) a JOIN generate_series(1, 80000) b \
                    ON a.value % 2 = b.value % 2 AND a.value + b.value < 0";

/// More than a busy machine needs for a moment's work, and less than the queries compute.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn queries_that_compute_without_a_pause_keep_nobody_else_waiting() {
    let lake = lake().await;
    let engine = std::sync::Arc::new(engine(&lake, |o| {
        o.statement_timeout = Duration::from_secs(2);
        o.concurrent_queries = 8;
    }));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let engine = std::sync::Arc::clone(&engine);
            tokio::spawn(async move { rows(&engine, &ALL, BUSY, &[]).await.err() })
        })
        .collect();
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let asked = std::time::Instant::now();
        tokio::spawn(async {}).await.unwrap();
        assert!(asked.elapsed() < PATIENCE, "others wait {:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for query in busy {
        assert!(matches!(query.await.unwrap(), Some(QueryError::Limit(_))));
    }
    assert!(began.elapsed() < 4 * PATIENCE, "ended after {:?}", began.elapsed());
}
