//! Memory, time and company are bounded.

use std::time::{Duration, Instant};

use footfall_model::access::SiteScope;

use super::lake::{Lake, event};
use crate::QueryError;

/// Runs for hours if it is let.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 3000000) a, generate_series(1, 3000000) b \
                       WHERE a.value + b.value = 7";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_runs_too_long_is_stopped_and_told_the_limit() {
    let lake = Lake::with_options(|options| options.statement_timeout = Duration::from_millis(300)).await;
    let started = Instant::now();
    let error = lake.run(&SiteScope::All, ENDLESS).await.unwrap_err();
    assert!(
        matches!(&error, QueryError::Limit(text) if text.contains("300ms")),
        "{error:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_needs_too_much_memory_is_refused_and_the_next_is_answered() {
    let lake = Lake::with_options(|options| {
        options.memory_bytes = 2 * 1_024 * 1_024;
        options.spill_bytes = 1_024;
    })
    .await;
    let sql = "SELECT count(*) FROM (SELECT value, value || 'x' AS y FROM generate_series(1, 2000000) ORDER BY y)";
    let error = lake.run(&SiteScope::All, &format!("{sql} t")).await.err();
    let big = "SELECT array_agg(value || 'xxxxxxxxxxxxxxxx') FROM generate_series(1, 3000000)";
    let error = match error {
        Some(error) => error,
        None => lake.run(&SiteScope::All, big).await.unwrap_err(),
    };
    assert!(matches!(error, QueryError::Limit(_)), "{error:?}");
    assert_eq!(lake.value(&SiteScope::All, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_run_at_once_and_a_dropped_one_makes_room() {
    let lake = Lake::new().await;
    lake.commit(&[event("a")]).await;
    let sql = "SELECT client_id FROM events";
    let first = lake.engine.execute(&SiteScope::All, sql, &[]).await.unwrap();
    let _second = lake.engine.execute(&SiteScope::All, sql, &[]).await.unwrap();
    let error = lake.run(&SiteScope::All, sql).await.unwrap_err();
    assert!(
        matches!(&error, QueryError::Limit(text) if text.contains("too many")),
        "{error:?}"
    );
    drop(first);
    lake.run(&SiteScope::All, sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_planning_gives_its_slot_back() {
    let lake = Lake::new().await;
    for _ in 0..5 {
        lake.run(&SiteScope::All, "SELECT nothing FROM events")
            .await
            .unwrap_err();
    }
    assert_eq!(lake.value(&SiteScope::All, "SELECT 1").await, "1");
}
