//! Planning is bounded: a statement is planned quickly, or refused with what to do instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_model::access::SiteScope;

use crate::testing::{CORES, events, lake, table, value};
use crate::{Engine, EngineOptions, QueryError};

const ALL: SiteScope = SiteScope::All;

fn list(items: usize, separator: &str, item: impl Fn(usize) -> String) -> String {
    (0..items).map(item).collect::<Vec<_>>().join(separator)
}

/// Nested subqueries, each of which names the column below it twice.
fn doubling(levels: usize, innermost: &str) -> String {
    (0..levels).fold(format!("SELECT {innermost} AS s FROM events"), |inner, _| {
        format!("SELECT s || s AS s FROM ({inner})")
    })
}

/// The heaviest statements that are legal, or seem to be.
fn heavy() -> Vec<(&'static str, String)> {
    let long_text = list(150, ", ", |n| format!("md5(repeat('a', 15000000)) AS c{n}"));
    let lengths = list(30, ", ", |n| format!("length(repeat('x', 15000000)) AS c{n}"));
    let nested = list(60, ", ", |n| {
        format!("replace(repeat('x', 4000), 'x', repeat('y', {n}000)) AS c{n}")
    });
    let self_joins = list(46, " ", |n| format!("JOIN events e{n} ON e{n}.event_id = e.event_id"));
    let columns = "event_type, page_url, client_id, session_id, event_id, country, city, browser, os, is_bot, revenue";
    vec![
        ("constants_of_15_mb", format!("SELECT {long_text}")),
        ("lengths_of_constants", format!("SELECT {lengths} FROM events")),
        ("nested_constants", format!("SELECT {nested} FROM events")),
        (
            "doubling_columns",
            format!("SELECT * FROM ({}) WHERE s = ''", doubling(16, "page_url")),
        ),
        ("doubling_constants", doubling(16, "'xxxxxxxx'")),
        ("joins_of_everything", format!("SELECT * FROM events e {self_joins}")),
        (
            "joins_of_one_column",
            format!("SELECT count(*) FROM events e {self_joins}"),
        ),
        (
            "cross_joins",
            format!(
                "SELECT count(*) FROM events e, {}",
                list(46, ", ", |n| format!("events e{n}"))
            ),
        ),
        (
            "unions_of_everything",
            list(46, " UNION ALL ", |_| "SELECT * FROM events".into()),
        ),
        (
            "unions_of_one_column",
            list(46, " UNION ", |_| "SELECT event_id FROM events".into()),
        ),
        ("cube", format!("SELECT count(*) FROM events GROUP BY CUBE ({columns})")),
        (
            "values_of_in",
            format!(
                "SELECT count(*) FROM events WHERE page_url IN ({})",
                list(19_000, ", ", |n| format!("'{n}'"))
            ),
        ),
        (
            "values_of_in_not_constant",
            format!(
                "SELECT count(*) FROM events WHERE page_url IN ({})",
                list(290, ", ", |n| format!("lower('A{n}')"))
            ),
        ),
        (
            "rows_of_values",
            format!(
                "SELECT count(*) FROM (VALUES {})",
                list(9_000, ", ", |n| format!("({n}, 'x')"))
            ),
        ),
        (
            "case",
            format!(
                "SELECT CASE {} END FROM events",
                list(180, " ", |n| format!("WHEN page_url = '{n}' THEN {n}"))
            ),
        ),
        (
            "aggregates",
            format!(
                "SELECT {} FROM events",
                list(300, ", ", |n| format!("sum(client_hash + {n}) AS c{n}"))
            ),
        ),
        (
            "windows",
            format!(
                "SELECT {} FROM events",
                list(100, ", ", |n| format!(
                    "sum(client_hash) OVER (ORDER BY client_hash + {n}) AS c{n}"
                ))
            ),
        ),
        (
            "columns",
            format!(
                "SELECT {} FROM events",
                list(2000, ", ", |n| format!("client_hash + {n} AS c{n}"))
            ),
        ),
        (
            "subqueries_in_where",
            format!(
                "SELECT count(*) FROM events e WHERE {}",
                list(60, " AND ", |n| format!(
                    "EXISTS (SELECT 1 FROM events x WHERE x.event_id = e.event_id AND x.client_hash > {n})"
                ))
            ),
        ),
        (
            "scalar_subqueries",
            format!(
                "SELECT {}",
                list(60, ", ", |n| format!(
                    "(SELECT count(*) FROM events WHERE client_hash > {n}) AS c{n}"
                ))
            ),
        ),
        (
            "or_of_ands",
            format!(
                "SELECT count(*) FROM events WHERE {}",
                list(30, " OR ", |n| format!(
                    "({})",
                    list(30, " AND ", |m| format!("client_hash <> {}", n * 100 + m))
                ))
            ),
        ),
        (
            "and_of_ors",
            format!(
                "SELECT count(*) FROM events WHERE {}",
                list(30, " AND ", |n| format!(
                    "({})",
                    list(30, " OR ", |m| format!("client_hash = {}", n * 100 + m))
                ))
            ),
        ),
        ("with_of_with", {
            let names = list(8, ", ", |n| {
                format!("t{} AS (SELECT a.x FROM t{n} a JOIN t{n} b ON a.x = b.x)", n + 1)
            });
            format!("WITH t0 AS (SELECT event_id AS x FROM events), {names} SELECT count(*) FROM t8")
        }),
        (
            "nested_subqueries",
            (0..20).fold("SELECT * FROM events".to_owned(), |inner, _| {
                format!("SELECT * FROM ({inner})")
            }),
        ),
        (
            "patterns",
            format!(
                "SELECT count(*) FROM events WHERE {}",
                list(150, " OR ", |n| format!("page_url ~ '(\\w{{20}}){{{}}}$'", n % 15))
            ),
        ),
    ]
}

async fn filled() -> Engine {
    let lake = lake().await;
    lake.add("x", events().crowd(100)).await;
    // A result that may be kept is computed before it is returned: planning alone is measured here.
    let options = EngineOptions {
        result_cache_bytes: 0,
        ..lake.options()
    };
    Engine::new(Arc::clone(&lake.table), &options).unwrap()
}

/// Time until a statement is planned or refused on a busy machine; a second or less on an idle one.
const MOMENT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn heaviest_statements_plan_quickly_or_fail() {
    let _alone = CORES.write().await;
    let engine = filled().await;
    let only = std::env::var("SHAPE").ok();
    let mut bad = Vec::new();
    for (name, sql) in heavy() {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let began = Instant::now();
        let described = engine
            .describe(&ALL, &sql)
            .await
            .map(|described| described.schema.fields().len());
        let describing = began.elapsed();
        let began = Instant::now();
        let planned = engine.execute(&ALL, &sql, &[]).await.map(|_| ());
        let planning = began.elapsed();
        let short = |text: QueryError| text.to_string().chars().take(90).collect::<String>();
        eprintln!(
            "{name}: {describing:?} {:?}, {planning:?} {:?}",
            described.map_err(short),
            planned.map_err(short)
        );
        if describing.max(planning) > MOMENT {
            bad.push(format!("{name}: described in {describing:?}, planned in {planning:?}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_constants_are_not_folded() {
    let engine = filled().await;
    let explained = table(
        &engine,
        &ALL,
        "EXPLAIN SELECT repeat('ab', 3), repeat('x', 60000), 'y' || 'z'",
    )
    .await;
    assert!(explained.contains("ababab") && explained.contains("yz"), "{explained}");
    assert!(explained.len() < 10_000, "{} bytes", explained.len());
    let length = value(&engine, &ALL, "SELECT length(repeat('x', 60000) || repeat('y', 60000))").await;
    assert_eq!(length, "120000");
}

#[tokio::test(flavor = "multi_thread")]
async fn concat_operator_keeps_nulls_names_and_types() {
    let engine = filled().await;
    for (sql, expected) in [
        ("SELECT 'a' || 'b' || 'c'", "abc"),
        (
            "SELECT page_url || '?' || 1 FROM events WHERE page_url = '/page/0' LIMIT 1",
            "/page/0?1",
        ),
        ("SELECT count(NULL || page_url) FROM events", "0"),
        ("SELECT count(user_id || page_url) FROM events", "0"),
        ("SELECT array_length([1] || [2, 3])", "3"),
        (
            "SELECT max(x) FROM (SELECT page_url || 'x' FROM events) AS t(x)",
            "/page/6x",
        ),
    ] {
        assert_eq!(value(&engine, &ALL, sql).await, expected, "{sql}");
    }
    let described = engine
        .describe(&ALL, "SELECT page_url || 'x', event_type FROM events")
        .await
        .unwrap();
    assert_eq!(described.schema.field(0).name(), "events.page_url || Utf8(\"x\")");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_planning_is_interrupted() {
    let lake = lake().await;
    let mut options = lake.options();
    options.statement_timeout = Duration::from_millis(5);
    let engine = Engine::new(std::sync::Arc::clone(&lake.table), &options).unwrap();
    let heavy = heavy();
    let (_, sql) = heavy.iter().find(|(name, _)| *name == "or_of_ands").unwrap();
    assert!(matches!(engine.describe(&ALL, sql).await, Err(QueryError::Timeout(_))));
    assert!(matches!(
        engine.execute(&ALL, sql, &[]).await.err(),
        Some(QueryError::Timeout(_))
    ));
    let began = Instant::now();
    while !engine.is_idle() {
        assert!(began.elapsed() < MOMENT, "still plans");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
