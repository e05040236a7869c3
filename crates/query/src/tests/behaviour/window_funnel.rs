//! `window_funnel`.

use std::collections::BTreeMap;

use footfall_model::access::SiteScope;
use footfall_sessions::testing::Random;

use crate::testing::{events, lake, only, rows, table, value};
use crate::{Engine, EngineOptions, QueryError};

const ALL: SiteScope = SiteScope::All;

/// The example of ClickHouse's documentation.
const TREND: &str = "(VALUES (1, TIMESTAMP '2019-01-29 10:00:00', 1003), (1, TIMESTAMP '2019-01-31 09:00:00', 1007), \
                     (1, TIMESTAMP '2019-01-30 08:00:00', 1009), (1, TIMESTAMP '2019-02-01 08:00:00', 1010)) \
                     AS trend (user_id, timestamp, \"eventID\")";

const CONDITIONS: &str = "\"eventID\" = 1003, \"eventID\" = 1009, \"eventID\" = 1007, \"eventID\" = 1010";

#[tokio::test(flavor = "multi_thread")]
async fn window_funnel_gives_the_answer_that_clickhouse_documents() {
    let engine = lake().await.engine();
    let counted = async |call: String| {
        let sql = format!(
            "SELECT level, count(*) AS c FROM (SELECT user_id, {call} AS level FROM {TREND} GROUP BY user_id) \
             GROUP BY level ORDER BY level"
        );
        table(&engine, &ALL, &sql).await
    };
    let expected = "+-------+---+\n| level | c |\n+-------+---+\n| 4     | 1 |\n+-------+---+";
    for call in [
        format!("windowFunnel(6048000000000000)(timestamp, {CONDITIONS})"),
        format!("windowFunnel(6048000000000000, 'strict_order')(timestamp, {CONDITIONS})"),
        format!("window_funnel(6048000000000000, timestamp, {CONDITIONS})"),
        format!("window_funnel(INTERVAL '3 days', timestamp, {CONDITIONS})"),
    ] {
        assert_eq!(counted(call.clone()).await, expected, "{call}");
    }
    let shorter = format!("window_funnel(INTERVAL '2 days', timestamp, {CONDITIONS})");
    assert!(counted(shorter).await.contains("| 3     | 1 |"));
}

#[tokio::test(flavor = "multi_thread")]
async fn window_funnel_takes_numbers_dates_filters_and_nulls() {
    let engine = lake().await.engine();
    let rows = "(VALUES (1, 'a'), (2, 'b'), (NULL, 'c'), (4, NULL), (9, 'c')) AS t (at, what)";
    for (call, expected) in [
        ("window_funnel(10, at, what = 'a', what = 'b', what = 'c')", "3"),
        ("window_funnel(7, at, what = 'a', what = 'b', what = 'c')", "2"),
        (
            "window_funnel(10, at, what = 'a', what = 'b', what = 'c') FILTER (WHERE at <> 2)",
            "1",
        ),
        (
            "window_funnel(10, 'strict_order', at, what = 'a', what = 'b', what = 'c')",
            "2",
        ),
        ("window_funnel(10, at, what = 'x', what = 'b')", "0"),
        ("window_funnel(10, at, NULL, what = 'b')", "0"),
        ("window_funnel(2, to_timestamp(at), what = 'a', what = 'b')", "2"),
        ("window_funnel(0, DATE '2026-11-01', what = 'a', what = 'b')", "2"),
    ] {
        assert_eq!(
            value(&engine, &ALL, &format!("SELECT {call} FROM {rows}")).await,
            expected,
            "{call}"
        );
    }
    let running = "SELECT max(n) FROM (SELECT window_funnel(10, at, what = 'a', what = 'b', what = 'c') \
                   OVER (ORDER BY at) AS n FROM (VALUES (1, 'a'), (2, 'b'), (9, 'c')) AS t (at, what))";
    assert_eq!(value(&engine, &ALL, running).await, "3");
    assert_eq!(
        value(
            &engine,
            &ALL,
            "SELECT window_funnel(1, event_timestamp, true) FROM events"
        )
        .await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn window_funnel_refuses_other_arguments_with_the_reason() {
    let engine = lake().await.engine();
    for (call, reason) in [
        ("window_funnel(10)", "takes a window, then modes, a time and conditions"),
        ("window_funnel(10, event_timestamp)", "1 to 32 conditions, not 0"),
        (
            "window_funnel(10, 'strict', event_timestamp, true)",
            "; there are strict_order",
        ),
        (
            "window_funnel(10, event_timestamp, event_type)",
            "a condition is BOOLEAN",
        ),
        (
            "window_funnel(revenue, event_timestamp, true)",
            "an INTERVAL or a number of seconds",
        ),
        (
            "window_funnel(client_hash, event_timestamp, true)",
            "must be a constant",
        ),
        ("window_funnel(-1, event_timestamp, true)", "must not be negative"),
        ("window_funnel(NULL::INT, event_timestamp, true)", "is null"),
        (
            "window_funnel(INTERVAL '1 month', event_timestamp, true)",
            "months differ in length",
        ),
        (
            "window_funnel(INTERVAL '1 day', client_hash, true)",
            "is a number where the times are numbers",
        ),
        ("window_funnel(1, revenue, true)", "a timestamp, a date or an integer"),
        ("window_funnel(DISTINCT 1, event_timestamp, true)", "no DISTINCT"),
        ("retention(1)(true)", "write all arguments in one pair of parentheses"),
    ] {
        let shown = value(&engine, &ALL, &format!("SELECT {call} FROM events")).await;
        assert!(shown.contains(reason), "{call}: {shown}");
    }
}

const STEPS: [&[u64]; 3] = [&[0, 3], &[1, 3, 4], &[2, 4]];

/// By its definition: of each event of the first step, how far one gets in order of time.
fn longest(history: &[(u64, u64)], window: u64) -> usize {
    let mut matches: Vec<(u64, usize)> = Vec::new();
    for (time, what) in history {
        let steps = (0..STEPS.len()).filter(|step| STEPS[*step].contains(what));
        matches.extend(steps.map(|step| (*time, step)));
    }
    matches.sort_unstable();
    let from = |start: usize| {
        let mut step = 0;
        for (time, matched) in &matches[start..] {
            if *time <= matches[start].0 + window && *matched == step {
                step += 1;
            }
        }
        step
    };
    (0..matches.len()).map(from).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn window_funnel_of_random_histories_equals_a_plain_computation() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let lake = lake().await;
        let mut histories: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        let visitors = 1 + random.below(60);
        for file in 0..4 {
            let mut sent = events();
            for _ in 0..random.below(200) {
                let (visitor, time, what) = (random.below(visitors), random.below(40), random.below(6));
                let client = format!("v{visitor}");
                // The event's id is made of client and time: a visitor has one event at a time in a file.
                let at = format!("2026-11-01 10:00:{time:02}.{:03}", file * 10 + what);
                sent = sent.client(&client).at(&at).pageview(&format!("/{what}"));
                histories.entry(client).or_default().push((time, what));
            }
            lake.add(&format!("f{file}"), sent).await;
        }
        for (partitions, window) in [(1, 7), (2, 12), (5, 0)] {
            let options = EngineOptions {
                target_partitions: partitions,
                ..lake.options()
            };
            let engine = Engine::new(lake.table.clone(), &options).unwrap();
            let mut expected: BTreeMap<usize, usize> = BTreeMap::new();
            for history in histories.values() {
                *expected.entry(longest(history, window)).or_default() += 1;
            }
            let condition = |step: usize| {
                let urls: Vec<_> = STEPS[step].iter().map(|what| format!("'/{what}'")).collect();
                format!("page_url IN ({})", urls.join(", "))
            };
            // Times to the second: some are equal.
            let sql = format!(
                "SELECT level, count(*) FROM (SELECT client_id, window_funnel({window}, date_trunc('second', \
                 event_timestamp), {}, {}, {}) AS level FROM events GROUP BY client_id) GROUP BY level ORDER BY level",
                condition(0),
                condition(1),
                condition(2)
            );
            let shown = table(&engine, &ALL, &sql).await;
            let got: BTreeMap<usize, usize> = shown
                .lines()
                .filter_map(|line| {
                    let mut cells = line.split('|').filter_map(|cell| cell.trim().parse().ok());
                    Some((cells.next()?, cells.next()?))
                })
                .collect();
            assert_eq!(
                got, expected,
                "seed {seed}, {partitions} partitions, window {window}\n{shown}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn window_funnel_counts_a_reader_s_own_events_alone() {
    let lake = lake().await;
    lake.add(
        "x",
        events().site("a").client("ann").at("2026-11-01 10:00").pageview("/"),
    )
    .await;
    lake.add("y", events().site("b").client("ann").at("2026-11-01 10:01").purchase(1))
        .await;
    let engine = lake.engine();
    let sql =
        "SELECT window_funnel(600, event_timestamp, event_type = 'pageview', event_type = 'purchase') FROM events";
    assert_eq!(value(&engine, &ALL, sql).await, "2");
    assert_eq!(value(&engine, &only(&["a"]), sql).await, "1");
    assert_eq!(value(&engine, &only(&["b"]), sql).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn window_funnel_beyond_the_memory_is_refused() {
    let lake = lake().await;
    let options = EngineOptions {
        memory_bytes: 16 * 1024 * 1024,
        ..lake.options()
    };
    let engine = Engine::new(lake.table.clone(), &options).unwrap();
    let running = |count: u64| {
        format!(
            "SELECT max(n) FROM (SELECT window_funnel(5, value, value % 3 = 0, value % 3 = 1) OVER (ORDER BY value) AS n \
             FROM generate_series(1, {count}))"
        )
    };
    assert_eq!(value(&engine, &ALL, &running(1_000)).await, "2");
    for (of, enough) in [("", 100_000), (" GROUP BY value % 2", 100_000)] {
        let funnel = |count: u64| {
            format!(
                "SELECT max(n) FROM (SELECT window_funnel(5, value, value % 3 = 0, value % 3 = 1) AS n FROM generate_series(1, {count}){of})"
            )
        };
        assert_eq!(value(&engine, &ALL, &funnel(enough)).await, "2");
        let refused = rows(&engine, &ALL, &funnel(6_000_000), &[]).await;
        assert!(matches!(refused, Err(QueryError::Limit(_))), "{of}: {refused:?}");
    }
}
