//! What users see of routing.

use footfall_compactor::Policy;
use footfall_model::access::SiteScope;

use super::source;
use crate::testing::{events, only, rows, table, value};
use crate::tests::documented::{Example, assert_examples, examples};
use crate::tests::rollups::{Rolled, rolled};
use crate::{Caller, QueryError};

const ALL: SiteScope = SiteScope::All;

/// A merged file of 100 events, and one of 3 that is not merged yet.
async fn lake() -> Rolled {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events().crowd(50), 0).await;
    rolled.add(events().site("b").crowd(50), 1).await;
    for task in rolled.compactors[0].plan_day(20_758) {
        rolled.compactors[0].execute(&task, None).await.unwrap();
    }
    rolled.add(events().at("2026-11-01 20:00").crowd(3), 2).await;
    rolled
}

#[tokio::test]
async fn explain_names_source_and_reason() {
    let rolled = lake().await;
    for (sql, expected) in [
        (
            "SELECT country, count(*) FROM events GROUP BY 1",
            "rollup countries_daily: 1 segment with 2 rows and 1 file of events with 3 rows instead of 103 events",
        ),
        (
            "SELECT count(*) FROM events WHERE event_timestamp >= '2026-11-01 10:00:30'",
            "rollup events_totals: 1 segment with 2 rows and 2 files of events with 103 rows instead of 103 events; the \
             edges of the asked time are read from events",
        ),
        (
            "SELECT count(DISTINCT client_id) FROM events WHERE tracking_id = 'a'",
            "raw events: no segment covers them yet, or segments have as many rows",
        ),
        (
            "SELECT city, count(*) FROM events GROUP BY 1",
            "raw events: the closest rollup, events_totals, lacks the column city",
        ),
        (
            "SELECT date_trunc('minute', event_timestamp), count(*) FROM events GROUP BY 1",
            "raw events: the closest rollup, events_totals, lacks times as fine as \
             date_trunc(Utf8(\"minute\"), event_timestamp)",
        ),
        (
            "SELECT median(revenue) FROM events",
            "raw events: the closest rollup, events_totals, lacks median(revenue)",
        ),
    ] {
        assert_eq!(source(&rolled.engine, &ALL, sql).await, expected, "{sql}");
    }
    // Of a reader, whose files hold other sites' rows too, no figures are shown.
    assert_eq!(
        source(&rolled.engine, &only(&["a"]), "SELECT count(*) FROM events").await,
        "rollup totals_daily, and events that it does not cover yet"
    );
}

#[tokio::test]
async fn examples_of_queries_give_the_results_shown() {
    const PAGE: &str = include_str!("../../../../../docs/queries.md");
    let rolled = lake().await;
    let decided = examples(PAGE, "routing");
    assert!(decided.len() > 2);
    for Example { sql, result, .. } in decided {
        let sql = sql.strip_prefix("EXPLAIN ").unwrap();
        let source = source(&rolled.engine, &ALL, sql).await;
        assert_eq!(format!("aggregate 1: {source}"), result, "{sql}");
    }
    assert_examples(PAGE, &rolled.engine).await;
}

#[tokio::test]
async fn each_aggregate_is_decided_alone() {
    let rolled = lake().await;
    let sql = "EXPLAIN SELECT a.country, a.n, b.m FROM (SELECT country, count(*) AS n FROM events GROUP BY 1) a \
               JOIN (SELECT country, count(DISTINCT user_id) AS m FROM events GROUP BY 1) b ON a.country = b.country";
    let plan = table(&rolled.engine, &ALL, sql).await;
    assert!(plan.contains("aggregate 1: rollup countries_daily"), "{plan}");
    assert!(plan.contains("aggregate 2: raw events: the closest rollup"), "{plan}");
}

#[tokio::test]
async fn explain_says_what_would_help() {
    let rolled = lake().await;
    let sql = "EXPLAIN SELECT a.n, b.m, c.r FROM (SELECT count(*) AS n FROM events WHERE country = 'BE') a, \
               (SELECT count(DISTINCT client_id) AS m FROM events WHERE city = 'Gent' AND tracking_id = 'a') b, \
               (SELECT median(revenue) AS r FROM events) c";
    for sites in [ALL, only(&["a"])] {
        let plan = table(&rolled.engine, &sites, sql).await;
        let lines: Vec<_> = plan.lines().map(|line| line.trim_matches(['|', ' '])).collect();
        let after = |decision: &str| {
            let at = lines.iter().position(|line| line.contains(decision)).unwrap();
            lines[at + 1]
        };
        assert_eq!(
            after("aggregate 2: raw events"),
            "a rollup by day, city, visitor with event_count would answer it"
        );
        assert_eq!(plan.matches("would answer it").count(), 1, "{plan}");
    }
}

#[tokio::test]
async fn routing_can_be_turned_off() {
    let rolled = lake().await;
    let off = Caller::from(&ALL).with_routing(false);
    let plan = rows(&rolled.engine, off, "EXPLAIN SELECT count(*) FROM events", &[]).await;
    let plan = arrow::util::pretty::pretty_format_batches(&plan.unwrap())
        .unwrap()
        .to_string();
    assert!(plan.contains("aggregate 1: raw events: routing is off"), "{plan}");
    assert!(!plan.contains("rollups/"), "{plan}");
}

#[tokio::test]
async fn prepared_statements_are_routed_with_their_values() {
    let rolled = lake().await;
    let sql = "SELECT count(*) FROM events WHERE event_timestamp >= $1 AND tracking_id = $2";
    let values = [
        crate::ScalarValue::TimestampMicrosecond(Some(crate::testing::micros("2026-11-01 10:00")), Some("UTC".into())),
        crate::ScalarValue::from("a"),
    ];
    let answer = rolled
        .engine
        .execute_at(Caller::from(&ALL), sql, &values, None)
        .await
        .unwrap();
    let sources = answer.provenance.sources();
    assert!(
        sources[0].starts_with("rollup events_totals") || sources[0].starts_with("rollup events_hourly"),
        "{sources:?}"
    );
}

#[tokio::test]
async fn ended_statements_are_listed() {
    let rolled = lake().await;
    rows(&rolled.engine, &ALL, "SELECT count(*) FROM events", &[])
        .await
        .unwrap();
    rows(&rolled.engine, &ALL, "SELECT nothing FROM events", &[])
        .await
        .unwrap_err();
    let listed = table(
        &rolled.engine,
        &ALL,
        "SELECT sql, status, source, rows, rows_read > 0 AS reads, snapshot IS NOT NULL AS pinned FROM system.queries \
         ORDER BY started_at, sql",
    )
    .await;
    insta::assert_snapshot!(listed);
    let others = rows(&rolled.engine, &only(&["a"]), "SELECT sql FROM system.queries", &[]).await;
    assert!(matches!(others, Err(QueryError::NotFound(_))), "{others:?}");
    assert_eq!(
        value(
            &rolled.engine,
            &ALL,
            "SELECT count(*) FROM system.queries WHERE bytes_read > 0"
        )
        .await,
        "1"
    );
}
