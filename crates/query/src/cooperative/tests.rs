//! Each shape of statement that keeps operators computing: beside a short one, cancelled, dropped, out of time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_model::access::SiteScope;
use futures::{StreamExt, TryStreamExt};

use crate::testing::{CORES, TestLake, events, lake};
use crate::{Caller, Engine, QueryError};

const ALL: SiteScope = SiteScope::All;

/// Until a statement that was given up has given everything back, and until a short one is answered.
/// A second, on a machine that does nothing else.
const SOON: Duration = Duration::from_secs(3);

/// Each computes for minutes, or asks for more than there is, and none of its rows matter.
const SHAPES: [(&str, &str); 22] = [
    (
        "cross_join",
        "SELECT sum(a.client_hash % 7 + b.client_hash % 5) FROM events a, events b, events c",
    ),
    (
        "cross_join_of_counts",
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
    ),
    (
        "nested_loops_without_rows",
        "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value + b.value < 0",
    ),
    (
        "nested_loops_with_rows",
        "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value < b.value",
    ),
    (
        "nested_loops_outer",
        "SELECT count(*) FROM generate_series(1, 1000000) a LEFT JOIN generate_series(1, 1000000) b \
         ON a.value * b.value < 0",
    ),
    (
        "hash_join_of_one_key",
        "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b \
         ON a.value % 2 = b.value % 2",
    ),
    (
        "hash_join_of_one_key_without_rows",
        "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b \
         ON a.value % 2 = b.value % 2 AND a.value + b.value < 0",
    ),
    (
        "semi_join_without_rows",
        "SELECT count(*) FROM generate_series(1, 1000000) a WHERE EXISTS (SELECT 1 FROM generate_series(1, 1000000) b \
         WHERE a.value % 2 = b.value % 2 AND a.value + b.value < 0)",
    ),
    (
        "recursion_without_end",
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n",
    ),
    (
        "recursion_that_doubles",
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT a.x + 1 FROM n a, (VALUES (1), (2)) b) SELECT sum(x) FROM n",
    ),
    (
        "window_over_everything",
        "SELECT sum(n) FROM (SELECT row_number() OVER (ORDER BY value % 1000, value) AS n \
         FROM generate_series(1, 100000000))",
    ),
    (
        "window_to_the_end",
        "SELECT sum(n) FROM (SELECT sum(value) OVER (ORDER BY value ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) \
         AS n FROM generate_series(1, 100000000))",
    ),
    (
        "median_of_growing_frames",
        "SELECT sum(n) FROM (SELECT median(value) OVER (ORDER BY value) AS n FROM generate_series(1, 1000000))",
    ),
    (
        "sort",
        "SELECT sum(n) FROM (SELECT value AS n, lag(value) OVER (ORDER BY md5(value::text)) AS m \
         FROM generate_series(1, 100000000)) WHERE m > 0",
    ),
    (
        "groups",
        "SELECT count(*) FROM (SELECT md5(value::text) AS k, count(*) FROM generate_series(1, 1000000000) GROUP BY 1)",
    ),
    (
        "unnest",
        "SELECT sum(x) FROM (SELECT unnest(array_repeat(a.value, 700)) AS x FROM generate_series(1, 10000000) a)",
    ),
    (
        "pattern",
        "SELECT count(*) FROM generate_series(1, 100000000) WHERE repeat(md5(value::text), 10) ~ '(\\w{1,30}x){20}$'",
    ),
    (
        "pattern_for_each_row",
        "SELECT count(*) FROM generate_series(1, 100000000) \
         WHERE regexp_like('aaaa', '(\\w{30}){' || (value % 20)::text || '}$')",
    ),
    (
        "lists_of_everything",
        "SELECT array_length(array_agg(value)) FROM generate_series(1, 1000000000)",
    ),
    (
        "text_of_everything",
        "SELECT length(string_agg(value::text, ',')) FROM generate_series(1, 1000000000)",
    ),
    (
        "distances",
        "SELECT sum(levenshtein(repeat(value::text, 300), repeat(md5(value::text), 60))) \
         FROM generate_series(1, 100000000)",
    ),
    (
        "sets_of_groups",
        "SELECT count(*) FROM (SELECT client_hash, page_url, event_id, count(*) FROM events, generate_series(1, 100000) \
         GROUP BY CUBE (client_hash, page_url, event_id, value))",
    ),
];

async fn filled() -> (TestLake, Arc<Engine>) {
    let lake = lake().await;
    lake.add("x", events().crowd(20_000)).await;
    let mut options = lake.options();
    options.statement_timeout = Duration::from_millis(1200);
    // Sorts and groups spill what takes a moment to sort; the tests' operators are not optimized.
    options.memory_bytes = 32 << 20;
    let engine = Arc::new(Engine::new(Arc::clone(&lake.table), &options).unwrap());
    (lake, engine)
}

fn caller(token: &str) -> Caller {
    Caller::from(&footfall_model::access::Principal {
        token_id: token.into(),
        role: footfall_model::access::Role::Reader,
        sites: ALL,
    })
}

async fn is_idle(engine: &Engine) -> bool {
    let began = Instant::now();
    while began.elapsed() < SOON {
        if engine.is_idle() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_statements_yield_and_stop() {
    let _alone = CORES.write().await;
    let (_lake, engine) = filled().await;
    let only = std::env::var("SHAPE").ok();
    let mut bad = Vec::new();
    for (name, sql) in SHAPES {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        // Beside a short statement, and out of time.
        let began = Instant::now();
        let running: Vec<_> = (0..4)
            .map(|_| {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    let stream = engine.execute(caller("heavy"), sql, &[]).await?;
                    stream.try_collect::<Vec<_>>().await.map_err(QueryError::from)
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let asked = Instant::now();
        let short = engine
            .execute(
                caller("light"),
                "SELECT count(*) FROM events WHERE tracking_id = 'x'",
                &[],
            )
            .await;
        let short = match short {
            Ok(stream) => stream.try_collect::<Vec<_>>().await.map_err(QueryError::from),
            Err(error) => Err(error),
        };
        let latency = asked.elapsed();
        if short.is_err() || latency > SOON {
            bad.push(format!(
                "{name}: a short statement beside it: {latency:?} {:?}",
                short.err()
            ));
        }
        let mut answers = Vec::new();
        for query in running {
            answers.push(query.await.unwrap().map(|rows| rows.len()));
        }
        let ended = began.elapsed();
        let idle = is_idle(&engine).await;
        eprintln!(
            "{name}: short {latency:?}, ended {ended:?} {:?} idle {idle}",
            answers[0]
        );
        if !idle {
            bad.push(format!("{name}: still computes after its time is over"));
        }
        // Dropped.
        let mut stream = match engine.execute(caller("heavy"), sql, &[]).await {
            Ok(stream) => stream,
            Err(error) => {
                eprintln!("{name}: {error}");
                continue;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
        drop(stream);
        if !is_idle(&engine).await {
            bad.push(format!("{name}: still computes after it was dropped"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
