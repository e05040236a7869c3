//! Invariant 8: overload is refused, not absorbed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use footfall_model::access::{Principal, Role, SiteScope};
use futures::{StreamExt, TryStreamExt};

use crate::testing::{CORES, TestLake, events, lake, rows, value};
use crate::{Caller, Engine, EngineOptions, QueryError};

const ALL: SiteScope = SiteScope::All;

/// Rows without end, as far as a test can wait.
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

fn timeout_says(answer: Result<impl std::fmt::Debug, QueryError>, says: &str) {
    match answer {
        Err(QueryError::Timeout(text)) => assert!(text.contains(says), "{text}"),
        other => panic!("{other:?}"),
    }
}

fn caller(token: &str) -> Caller {
    Caller::from(&Principal {
        token_id: token.into(),
        role: Role::Reader,
        sites: ALL,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_timeout_ends_computing_statement() {
    let _alone = CORES.write().await;
    let lake = lake().await;
    let engine = engine(&lake, |o| o.statement_timeout = Duration::from_millis(300));
    timeout_says(
        rows(&engine, &ALL, &format!("SELECT sum(x) FROM ({ENDLESS})"), &[]).await,
        "longer than 300ms",
    );
    timeout_says(
        rows(&engine, &ALL, &format!("SELECT x FROM ({ENDLESS}) WHERE x < 0"), &[]).await,
        "longer than 300ms",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_result_releases_slot_and_resumes() {
    let _alone = CORES.write().await;
    let lake = lake().await;
    let engine = engine(&lake, |o| {
        o.statement_timeout = Duration::from_secs(1);
        o.concurrent_queries = 1;
    });
    let mut paused = Vec::new();
    for _ in 0..4 {
        let mut stream = engine.execute(&ALL, ENDLESS, &[]).await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        paused.push(stream);
    }
    // Longer than a statement may compute.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    rows(&engine, &ALL, "SELECT 1", &[]).await.expect("nobody computes");
    for stream in &mut paused {
        for _ in 0..10 {
            assert!(stream.next().await.unwrap().is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_timeout_ends_unread_result() {
    let lake = lake().await;
    let engine = engine(&lake, |o| o.idle_timeout = Duration::from_millis(300));
    let mut left = engine.execute(&ALL, ENDLESS, &[]).await.unwrap();
    let mut short = engine.execute(&ALL, "SELECT 1", &[]).await.unwrap();
    assert!(left.next().await.unwrap().is_ok());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = loop {
        match left.next().await.expect("an end with its reason") {
            Ok(_) => {}
            Err(error) => break QueryError::from(error),
        }
    };
    timeout_says(Err::<(), _>(ended), "no rows of the result were taken");
    assert!(left.next().await.is_none());
    assert!(short.next().await.unwrap().is_ok(), "rows that were made are delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_results_are_bounded_per_token() {
    let lake = lake().await;
    let engine = engine(&lake, |o| {
        o.open_queries_per_token = 2;
        o.queue_timeout = Duration::from_millis(100);
    });
    let one = engine.execute(caller("ann"), ENDLESS, &[]).await.unwrap();
    let two = engine.execute(caller("ann"), ENDLESS, &[]).await.unwrap();
    limit_says(
        engine.execute(caller("ann"), "SELECT 1", &[]).await.map(|_| ()),
        "could not begin",
    );
    engine
        .execute(caller("bob"), "SELECT 1", &[])
        .await
        .expect("bob has none");
    drop(one);
    engine
        .execute(caller("ann"), "SELECT 1", &[])
        .await
        .expect("dropping a stream ends its statement");
    drop(two);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_share_slots_fairly() {
    let _alone = CORES.write().await;
    let lake = lake().await;
    let engine = Arc::new(engine(&lake, |o| o.statement_timeout = Duration::from_secs(20)));
    let heavy = format!("SELECT sum(x % 7) FROM ({ENDLESS})");
    let queued: Vec<_> = (0..100)
        .map(|_| {
            let (engine, heavy) = (Arc::clone(&engine), heavy.clone());
            tokio::spawn(async move {
                let stream = engine.execute(caller("ann"), &heavy, &[]).await?;
                stream.try_collect::<Vec<_>>().await.map_err(QueryError::from)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        let asked = Instant::now();
        let stream = engine.execute(caller("bob"), "SELECT 1", &[]).await.unwrap();
        let answer: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(answer.len(), 1);
        assert!(asked.elapsed() < MOMENT, "{:?}", asked.elapsed());
    }
    queued.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_runs_over_described_version() {
    let lake = lake().await;
    lake.add("x", events().crowd(10)).await;
    let engine = lake.engine();
    let count = "SELECT count(*) FROM events";
    let described = engine.describe(&ALL, count).await.unwrap();
    lake.add("y", events().crowd(5)).await;
    assert_eq!(value(&engine, &ALL, count).await, "15");
    for (version, rows) in [(Some(described.version), 10), (Some(1_000_000), 15), (None, 15)] {
        let stream = engine.execute_at(&ALL, count, &[], version).await.unwrap().rows;
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(
            batches[0].column(0).as_primitive::<Int64Type>().value(0),
            rows,
            "{version:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_statements_release_slots() {
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
async fn memory_is_bounded_and_spills() {
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
async fn function_results_are_bounded() {
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
async fn short_statement_with_huge_plan_is_refused() {
    let engine = lake().await.engine();
    let doubling: String = (1..60)
        .map(|n| format!(", t{n} AS (SELECT a.x FROM t{} a CROSS JOIN t{} b)", n - 1, n - 1))
        .collect();
    let sql = format!("WITH t0 AS (SELECT 1 AS x){doubling} SELECT * FROM t59");
    limit_says(rows(&engine, &ALL, &sql, &[]).await, "names of WITH");
}

/// Computes without a pause: the join's condition excludes every pair.
const BUSY: &str = "SELECT count(*) FROM generate_series(1, 80000) a JOIN generate_series(1, 80000) b \
                    ON a.value % 2 = b.value % 2 AND a.value + b.value < 0";

/// More than a busy machine needs for a moment's work, and less than the queries compute.
const MOMENT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nonstop_queries_do_not_block_others() {
    let _alone = CORES.write().await;
    let lake = lake().await;
    let engine = Arc::new(engine(&lake, |o| {
        o.statement_timeout = Duration::from_secs(2);
        o.concurrent_queries = 8;
    }));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { rows(&engine, &ALL, BUSY, &[]).await.err() })
        })
        .collect();
    let began = Instant::now();
    for _ in 0..20 {
        let asked = Instant::now();
        tokio::spawn(async {}).await.unwrap();
        assert!(asked.elapsed() < MOMENT, "others wait {:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for query in busy {
        assert!(matches!(query.await.unwrap(), Some(QueryError::Timeout(_))));
    }
    assert!(began.elapsed() < 4 * MOMENT, "ended after {:?}", began.elapsed());
}
