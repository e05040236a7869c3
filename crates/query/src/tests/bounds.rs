//! Limits on what operators and functions make of a row: memory outside the pool is bounded too.

use footfall_model::access::SiteScope;

use crate::testing::{events, lake, rows, value};
use crate::{Engine, QueryError};

const ALL: SiteScope = SiteScope::All;

async fn filled() -> Engine {
    let lake = lake().await;
    lake.add("x", events().crowd(20_000)).await;
    lake.engine()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_multiplying_operators_are_bounded() {
    let engine = filled().await;
    let long = "(SELECT repeat('x', 100000) AS t FROM events LIMIT 1)";
    for (sql, says) in [
        ("SELECT repeat('x', 60000000) FROM events".into(), "the result would take"),
        (format!("SELECT count(a.t || b.page_url) FROM {long} a, events b"), "can't be joined"),
        (
            format!("SELECT count(a.t || b.page_url) FROM {long} a JOIN events b ON length(a.t) > length(b.page_url)"),
            "can't be joined",
        ),
        (
            format!("SELECT count(a.t || b.page_url) FROM {long} a JOIN events b ON a.t <> b.page_url AND a.t = a.t"),
            "can't be joined",
        ),
        (
            "SELECT count(x), max(t) FROM (SELECT unnest(array_repeat(v, 100000)) AS x, repeat('x', 60000) AS t FROM \
             (VALUES (1)) AS s(v))"
                .into(),
            "unnesting",
        ),
        (
            "SELECT max((SELECT string_agg(page_url, '') FROM events) || page_url) FROM events".into(),
            "value of a subquery",
        ),
        (
            "SELECT max(x) FROM (SELECT string_agg(page_url, '') OVER (ORDER BY client_hash) AS x FROM events)".into(),
            "over a frame that moves",
        ),
        (
            "SELECT max(x) FROM (SELECT length(replace(repeat(page_url, 100), '/', repeat('y', 200000))) AS x FROM events)"
                .into(),
            "the result would take",
        ),
        ("SELECT levenshtein(repeat('x', 200000), repeat('y', 200000))".into(), "steps"),
    ] {
        match rows(&engine, &ALL, &sql, &[]).await {
            Err(QueryError::Limit(text)) => assert!(text.contains(says), "{sql}: {text}"),
            other => panic!("{sql}: {:?}", other.map(|rows| rows.len())),
        }
    }
    assert_eq!(value(&engine, &ALL, "SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_statements_pass_the_bounds() {
    let engine = filled().await;
    let constant = "k".repeat(100_000);
    for (sql, expected) in [
        (
            format!("SELECT sum(length('{constant}' || page_url)) FROM events"),
            "2000140000",
        ),
        (
            "SELECT count(*) FROM events a JOIN events b ON a.event_id = b.event_id".into(),
            "20000",
        ),
        (
            "SELECT count(*) FROM events a JOIN events b ON a.client_hash < b.client_hash AND a.event_id = b.event_id"
                .into(),
            "0",
        ),
        (
            "SELECT sum(n) FROM (SELECT row_number() OVER (PARTITION BY page_url ORDER BY event_timestamp) AS n FROM \
             events)"
                .into(),
            "28581429",
        ),
        (
            "SELECT count(*) FROM (SELECT unnest([client_hash, 1, 2]) AS x FROM events)".into(),
            "60000",
        ),
        (
            "SELECT count(*) FROM events WHERE page_url ~ '^/page/[0-3]$'".into(),
            "11429",
        ),
        ("SELECT max(replace(page_url, 'page', 'p')) FROM events".into(), "/p/6"),
        (
            "SELECT max(regexp_replace(page_url, '^/(.*)/', '\\1-')) FROM events".into(),
            "page-6",
        ),
        (
            "SELECT count(*) FROM events a, (VALUES (1), (2), (3)) b(x)".into(),
            "60000",
        ),
        (
            "SELECT sum(x) FROM (SELECT sum(length(page_url)) OVER () AS x FROM events LIMIT 10)".into(),
            "1400000",
        ),
    ] {
        assert_eq!(
            value(&engine, &ALL, &sql).await,
            expected,
            "{sql}",
            sql = &sql[..sql.len().min(200)]
        );
    }
}
