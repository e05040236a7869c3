//! Results: snapshots, schemas, error texts.

use std::time::{Duration, Instant};

use footfall_model::access::SiteScope;
use futures::TryStreamExt;

use crate::testing::{events, lake, only, rows, table, value};
use crate::{QueryError, ScalarValue};

#[tokio::test(flavor = "multi_thread")]
async fn statement_reads_one_snapshot() {
    let lake = lake().await;
    lake.add("one", events().crowd(10)).await;
    let engine = lake.engine();
    let count = "SELECT count(event_id) FROM events";
    let open = engine.execute(&SiteScope::All, count, &[]).await.unwrap();
    let both = "SELECT (SELECT count(event_id) FROM events) - (SELECT count(city IS NULL) FROM events)";
    let twice = engine.execute(&SiteScope::All, both, &[]).await.unwrap();
    lake.add("two", events().crowd(10)).await;
    let before: Vec<_> = open.try_collect().await.unwrap();
    assert_eq!(before[0].column(0).as_ref(), &arrow::array::Int64Array::from(vec![10]));
    let same: Vec<_> = twice.try_collect().await.unwrap();
    assert_eq!(same[0].column(0).as_ref(), &arrow::array::Int64Array::from(vec![0]));
    assert_eq!(value(&engine, &SiteScope::All, count).await, "20");
}

/// One of every kind that planners treat differently.
const CORPUS: [&str; 34] = [
    "SELECT 1",
    "SELECT 1 AS a, 'x' AS b, NULL AS c, true AS d, 1.5 AS e",
    "SELECT 'a text' AS t, upper('x'), concat('a', 'b'), substr('abc', 2)",
    "SELECT DATE '2026-11-01', TIMESTAMP '2026-11-01 10:00:00', INTERVAL '1 day', now()",
    "SELECT arrow_cast('x', 'Utf8View') AS v, arrow_cast('x', 'Dictionary(Int32, Utf8)') AS d",
    "SELECT make_array('a', 'b') AS l, named_struct('x', 1, 'y', arrow_cast('v', 'Utf8View')) AS s",
    "SELECT * FROM events",
    "SELECT * FROM events WHERE false",
    "SELECT * FROM events LIMIT 0",
    "SELECT tracking_id, revenue FROM events WHERE revenue IS NOT NULL",
    "SELECT count(*) FROM events",
    "SELECT count(*), sum(revenue), avg(revenue), min(page_url), max(event_timestamp) FROM events",
    "SELECT count(*) FROM events WHERE tracking_id = 'nobody'",
    "SELECT tracking_id, count(*) AS n FROM events GROUP BY tracking_id ORDER BY n",
    "SELECT tracking_id, event_type, count(*) FROM events GROUP BY CUBE (tracking_id, event_type)",
    "SELECT approx_distinct(client_id), approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY client_hash) FROM events",
    "SELECT array_agg(page_url), string_agg(page_url, ',') FROM events",
    "SELECT a.client_id, b.page_url FROM events a LEFT JOIN events b ON a.event_id = b.page_url",
    "SELECT a.client_id, b.is_bot FROM events a FULL JOIN events b ON a.event_id = b.page_url",
    "SELECT tracking_id FROM events UNION ALL SELECT NULL",
    "SELECT 1 UNION ALL SELECT 1.5",
    "SELECT 1 UNION SELECT 'x'",
    "SELECT row_number() OVER (ORDER BY event_timestamp), lag(page_url) OVER (PARTITION BY client_id ORDER BY event_timestamp) FROM events",
    "SELECT date_trunc('hour', event_timestamp), date_bin(INTERVAL '15 minutes', event_timestamp) FROM events",
    "SELECT CASE WHEN is_bot THEN 'bot' END, nullif(page_url, '/'), coalesce(city, country, '?') FROM events",
    "SELECT DISTINCT event_date FROM events",
    "VALUES (1, 'a'), (2, NULL)",
    "WITH t AS (SELECT client_id FROM events) SELECT * FROM t WHERE client_id LIKE 'client%'",
    "SELECT (SELECT max(page_url) FROM events) AS top",
    "SELECT * FROM generate_series(1, 3)",
    "EXPLAIN SELECT count(*) FROM events",
    "EXPLAIN ANALYZE SELECT count(*) FROM events",
    "SHOW TABLES",
    "DESCRIBE events",
];

#[tokio::test(flavor = "multi_thread")]
async fn described_schema_matches_every_batch() {
    let lake = lake().await;
    lake.add("x", events().crowd(20).purchase(12_500).site("b").crowd(3))
        .await;
    let engine = lake.engine();
    for sql in CORPUS {
        let described = engine.describe(&SiteScope::All, sql).await;
        let described = described.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let stream = engine.execute(&SiteScope::All, sql, &[]).await.unwrap();
        assert_eq!(described.schema, stream.schema(), "{sql}");
        let batches: Vec<_> = stream
            .try_collect()
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        for batch in batches {
            assert_eq!(described.schema, batch.schema(), "{sql}");
        }
        let text = format!("{:?}", described.schema);
        assert!(!text.contains("View") && !text.contains("Dictionary"), "{sql}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_kind_and_hint() {
    let lake = lake().await;
    lake.add("x", events().pageview("/")).await;
    let engine = lake.engine();
    let mut answers = Vec::new();
    for sql in [
        "SELEC 1",
        "SELECT * FROM evnts",
        "SELECT * FROM other.public.events",
        "SELECT * FROM nowhere()",
        "SELECT trackingid FROM events",
        "SELECT e.nope FROM events e",
        "SELECT cuont(*) FROM events",
        "SELECT tracking_id, count(*) FROM events",
        "SELECT tracking_id + 1 FROM events",
        "SELECT CAST('x' AS INT)",
        "SELECT CAST(page_url AS INT) FROM events",
        "SELECT 1 / 0",
        "SELECT count(*) FROM events WHERE 1 / (client_hash - client_hash) = 1",
        "SELECT * FROM events a JOIN events b USING (nope)",
        "SELECT range(1, 10)",
        "SELECT abs(?)",
        "SELECT substr(page_url, 'x', 1) FROM events",
        "SELECT count(*) FROM events a JOIN events b ON factorial(count(a.city)) < b.client_hash",
    ] {
        let error = match engine.describe(&SiteScope::All, sql).await {
            Err(error) => error,
            Ok(_) => rows(&engine, &SiteScope::All, sql, &[]).await.unwrap_err(),
        };
        let text: String = format!("{error:?}").chars().take(150).collect();
        answers.push(format!("{sql}\n  {text}"));
    }
    insta::assert_snapshot!(answers.join("\n"), @r#"
    SELEC 1
      Invalid("SQL syntax: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1")
    SELECT * FROM evnts
      NotFound("table 'footfall.public.evnts' not found")
    SELECT * FROM other.public.events
      NotFound("table 'other.public.events' not found")
    SELECT * FROM nowhere()
      NotFound("table function 'nowhere' not found")
    SELECT trackingid FROM events
      NotFound("No field named trackingid. Did you mean 'events.tracking_id'? Valid fields are events.tracking_id, events.client_hash, events.event_timestam
    SELECT e.nope FROM events e
      NotFound("No field named e.nope. Did you mean 'e.os'? Valid fields are e.tracking_id, e.client_hash, e.event_timestamp, e.event_id, e.client_id, e.ses
    SELECT cuont(*) FROM events
      NotFound("Invalid function 'cuont'. Did you mean 'cot'?")
    SELECT tracking_id, count(*) FROM events
      Invalid("Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"events.tracking_id\" must appear in the GRO
    SELECT tracking_id + 1 FROM events
      Invalid("Cannot coerce arithmetic expression Utf8 + Int64 to valid types")
    SELECT CAST('x' AS INT)
      Invalid("Cannot cast string 'x' to value of Int32 type")
    SELECT CAST(page_url AS INT) FROM events
      Invalid("Cannot cast string '/' to value of Int32 type")
    SELECT 1 / 0
      Invalid("division by zero")
    SELECT count(*) FROM events WHERE 1 / (client_hash - client_hash) = 1
      Invalid("division by zero")
    SELECT * FROM events a JOIN events b USING (nope)
      NotFound("No field named nope. Valid fields are a.tracking_id, a.client_hash, a.event_timestamp, a.event_id, a.client_id, a.session_id, a.user_id, a.e
    SELECT range(1, 10)
      NotFound("Invalid function 'range'. Did you mean 'rand'?")
    SELECT abs(?)
      Invalid("the statement has 1 parameters, but 0 values were bound")
    SELECT substr(page_url, 'x', 1) FROM events
      Invalid("Function 'substr' failed to match any signature, errors: Function 'substr' expects 2 arguments but received 3,Function 'substr' requires Int6
    SELECT count(*) FROM events a JOIN events b ON factorial(count(a.city)) < b.client_hash
      Invalid("aggregates and window functions are not allowed in a condition of JOIN: factorial(count(a.city)) < b.client_hash")
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn now_uses_engine_clock() {
    let engine = lake().await.engine();
    assert_eq!(
        value(&engine, &SiteScope::All, "SELECT now()::timestamp::text").await,
        "2026-11-24T12:00:00"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn table_listings_agree() {
    let engine = lake().await.engine();
    let [events] = &engine.tables(&only(&["a"]))[..] else {
        panic!("one table")
    };
    assert_eq!(
        (&*events.catalog, &*events.schema, &*events.name, events.kind),
        ("footfall", "public", "events", "TABLE")
    );
    let listed = "SELECT concat_ws('.', table_catalog, table_schema, table_name, table_type) FROM \
                  information_schema.tables WHERE table_schema <> 'information_schema'";
    assert_eq!(
        value(&engine, &SiteScope::All, listed).await,
        "footfall.public.events.BASE TABLE"
    );
    let described = table(&engine, &SiteScope::All, "DESCRIBE events").await;
    for field in events.columns.fields() {
        assert!(described.contains(field.name().as_str()), "{described}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn largest_statements_do_not_overflow_stack() {
    let lake = lake().await;
    lake.add("x", events().crowd(3)).await;
    let engine = lake.engine();
    let chain = |link: &str, n: usize| (0..n).map(|i| link.replace('#', &i.to_string())).collect::<String>();
    for sql in [
        format!("SELECT client_hash{} FROM events", chain(" + #", 200)),
        format!(
            "SELECT 1 FROM events WHERE page_url = 'x'{}",
            chain(" OR concat(page_url, '#') = 'y#'", 195)
        ),
        format!(
            "SELECT 1 FROM events WHERE page_url LIKE 'x%'{}",
            chain(" AND page_url <> 'y#'", 195)
        ),
        format!("SELECT 1{}", chain("::bigint::text", 99)),
        format!("SELECT 'abc'{}", chain("::varchar(3)", 99)),
        format!("SELECT now(){}", chain("::timestamptz", 199)),
        format!("SELECT now(){}", chain("::timestamptz(6)", 99)),
        format!("SELECT 1{}", chain(" UNION ALL SELECT #", 120)),
        format!(
            "SELECT count(*) FROM (SELECT 1 AS x){}",
            chain(" CROSS JOIN (SELECT # AS x#)", 40)
        ),
        format!("SELECT {}1{}", "(".repeat(20), ")".repeat(20)),
        format!("SELECT 1 WHERE 'x' IN ({}'y')", chain("'#', ", 4_000)),
        format!("SELECT {}1", chain("# AS c#, ", 500)),
    ] {
        let answer = rows(&engine, &SiteScope::All, &sql, &[]).await;
        assert!(answer.is_ok(), "{}…: {answer:?}", &sql[..80]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_is_cheap() {
    let engine = lake().await.engine();
    let one = [ScalarValue::from(1_i64)];
    rows(&engine, &SiteScope::All, "SELECT ?", &one).await.unwrap();
    let begun = Instant::now();
    for _ in 0..10 {
        rows(&engine, &SiteScope::All, "SELECT ?", &one).await.unwrap();
    }
    // Unoptimized code on a busy machine; optimized it is well under 5 ms.
    assert!(
        begun.elapsed() / 10 < Duration::from_millis(500),
        "{:?}",
        begun.elapsed() / 10
    );
    assert!(matches!(
        rows(&engine, &SiteScope::All, "SELECT", &[]).await,
        Ok(_) | Err(QueryError::Invalid(_))
    ));
}

#[tokio::test]
async fn rewritten_operators_keep_nullability() {
    let lake = lake().await;
    lake.add("a", events().pageview("/")).await;
    let sql = "SELECT count(*), max(text) FROM (\
               SELECT client_hash % 7 + 1 AS n, tracking_id || '!' AS text, CAST(2.5 AS BIGINT) AS rounded FROM events \
               UNION ALL SELECT client_hash % 7 * 2, event_type || '!', 1 FROM events GROUP BY 1, 2)";
    insta::assert_snapshot!(table(&lake.engine(), &SiteScope::All, sql).await, @r"
    +----------+-----------+
    | count(*) | max(text) |
    +----------+-----------+
    | 2        | pageview! |
    +----------+-----------+
    ");
}
