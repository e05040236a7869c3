//! Clauses similar to those that are refused: each is honoured, which its result shows, or refused by parser or
//! planner.

use footfall_model::access::SiteScope;

use crate::QueryError;
use crate::testing::{events, lake, rows};

/// Goes after `FROM`.
const T: &str = "(VALUES (1), (2), (2), (NULL)) t(x)";

#[rustfmt::skip]
const HONOURED: &[(&str, &str)] = &[
    // What the planner would drop, and we rewrite.
    ("SELECT CAST('Grüße' AS VARCHAR(4)) AS v", "Grüß"),
    ("SELECT 'abcdef'::VARCHAR(3) AS v", "abc"),
    ("SELECT TRY_CAST(12345 AS VARCHAR(3)) AS v", "123"),
    ("SELECT CAST(CAST('abcdef' AS VARCHAR(4)) AS VARCHAR(2)) AS v", "ab"),
    ("SELECT CAST(NULL AS VARCHAR(3)) IS NULL AS v", "true"),
    ("SELECT arrow_typeof(CAST('2026-11-01 10:00:00+05:45' AS TIMESTAMP WITH TIME ZONE)) AS v", "Timestamp(ns, \"UTC\")"),
    ("SELECT CAST('2026-11-01 10:00:00+05:45' AS TIMESTAMPTZ) AS v", "2026-11-01T04:15:00Z"),
    ("SELECT '2026-11-01 10:00:00'::TIMESTAMPTZ AS v", "2026-11-01T10:00:00Z"),
    ("SELECT TIMESTAMP WITH TIME ZONE '2026-11-01 10:00:00+05:45' AS v", "2026-11-01T04:15:00Z"),
    // Similar to clauses that are refused.
    ("SELECT x FROM {T} WHERE x IS NOT NULL GROUP BY x QUALIFY row_number() OVER (ORDER BY x DESC) = 1", "2"),
    ("SELECT sum(x) OVER w FROM {T} WINDOW w AS () LIMIT 1", "5"),
    ("SELECT count(*) FROM {T} GROUP BY ROLLUP (x) ORDER BY 1 DESC LIMIT 1", "4"),
    ("SELECT count(*) FROM {T} GROUP BY GROUPING SETS ((x), ()) ORDER BY 1 DESC LIMIT 1", "4"),
    ("SELECT count(*) FROM (SELECT x FROM {T} GROUP BY ALL)", "3"),
    ("SELECT DISTINCT ON (x) x FROM {T} ORDER BY x LIMIT 1", "1"),
    ("SELECT * EXCLUDE (y) FROM (SELECT 1 AS x, 2 AS y)", "1"),
    ("SELECT * EXCEPT (y) FROM (SELECT 1 AS x, 2 AS y)", "1"),
    ("SELECT * REPLACE (7 AS x) FROM (SELECT 1 AS x)", "7"),
    ("SELECT t.* EXCLUDE (y) FROM (SELECT 1 AS x, 2 AS y) t", "1"),
    ("FROM {T} SELECT max(x)", "2"),
    ("SELECT max(x) FROM {T} |> EXTEND 1 AS one |> SELECT one", "1"),
    ("SELECT x FROM {T} |> AGGREGATE count(*) AS n GROUP BY x |> ORDER BY n DESC |> LIMIT 1 |> SELECT n", "2"),
    ("SELECT count(DISTINCT x) FROM {T}", "2"),
    ("SELECT count(DISTINCT x) OVER () FROM {T} LIMIT 1", "2"),
    ("SELECT count(*) FILTER (WHERE x = 2) FROM {T}", "2"),
    ("SELECT count(*) FILTER (WHERE x = 2) OVER () FROM {T} LIMIT 1", "2"),
    ("SELECT sum(DISTINCT x) FROM {T}", "3"),
    ("SELECT avg(DISTINCT x) FROM {T}", "1.5"),
    ("SELECT var_pop(DISTINCT x) FROM {T}", "0.25"),
    ("SELECT stddev_pop(DISTINCT x) FROM {T}", "0.5"),
    ("SELECT median(DISTINCT x) FROM (VALUES (1), (2), (2), (3), (9)) t(x)", "2.5"),
    ("SELECT string_agg(DISTINCT y, '-' ORDER BY y DESC) FROM (VALUES ('a'), ('b'), ('a')) t(y)", "b-a"),
    ("SELECT array_agg(x ORDER BY x) FROM {T}", "[1, 2, 2, ]"),
    ("SELECT array_agg(x) IGNORE NULLS FROM (VALUES (NULL), (3)) t(x)", "[3]"),
    ("SELECT first_value(x ORDER BY x DESC) IGNORE NULLS FROM {T}", "2"),
    ("SELECT first_value(x) RESPECT NULLS OVER (ORDER BY x NULLS FIRST) IS NULL FROM {T} LIMIT 1", "true"),
    ("SELECT first_value(x) IGNORE NULLS OVER (ORDER BY x NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM {T} LIMIT 1", "1"),
    ("SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY x DESC) FROM (VALUES (1.0), (2.0)) t(x)", "1.75"),
    ("SELECT count(*) FROM (SELECT x FROM {T} UNION SELECT 2)", "3"),
    ("SELECT count(*) FROM (SELECT x FROM {T} UNION ALL SELECT 2)", "5"),
    ("SELECT count(*) FROM (SELECT x FROM {T} INTERSECT ALL SELECT x FROM {T})", "4"),
    ("SELECT b FROM (SELECT 1 AS a, 2 AS b UNION BY NAME SELECT 2 AS b, 1 AS a)", "2"),
    ("SELECT count(*) FROM {T} LEFT JOIN (VALUES (2)) u(y) ON x = y", "4"),
    ("SELECT count(*) FROM {T} LEFT SEMI JOIN (VALUES (2)) u(y) ON x = y", "2"),
    ("SELECT count(*) FROM {T} NATURAL JOIN (VALUES (2)) u(x)", "2"),
    ("SELECT y FROM (SELECT 1) AS t(y)", "1"),
    ("SELECT y FROM UNNEST([7]) AS u(y)", "7"),
    ("SELECT x FROM {T} ORDER BY x DESC NULLS LAST LIMIT 1 OFFSET 0", "2"),
    ("SELECT 'a%b' LIKE 'a\\%b' ESCAPE '\\'", "true"),
    ("SELECT {fn abs(-1)}", "1"),
    ("SELECT CAST('2026-11-01T10:00:00.123456' AS TIMESTAMP(3))", "2026-11-01T10:00:00.123"),
    ("SELECT CAST(1.25 AS DECIMAL(10, 1))", "1.3"),
    ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT count(*) FROM t", "5"),
];

/// Refused by the parser or the planner.
const REFUSED_ELSEWHERE: &[&str] = &[
    "SELECT x FROM {T} USING SAMPLE 10",
    "SELECT x FROM {T} FOR SYSTEM_TIME AS OF '2020-01-01'",
    "SELECT * FROM events VERSION AS OF 1",
    "SELECT * FROM events TIMESTAMP AS OF '2020-01-01'",
    "SELECT * FROM events USE INDEX (a)",
    "SELECT * FROM ONLY events",
    "SELECT SQL_NO_CACHE 1",
    "SELECT AS STRUCT 1 AS x",
    "SELECT x FROM {T} LIMIT 1 WITH TIES",
    "SELECT 1 OPTION (MAXDOP 1)",
    "TABLE events",
    "WITH t AS MATERIALIZED (SELECT 1) SELECT * FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) CYCLE n SET c USING p SELECT * FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SEARCH DEPTH FIRST BY n SET o SELECT * FROM t",
    "VALUES (2), (1) ORDER BY ALL",
    "SELECT x FROM {T} MINUS SELECT 1",
    "SELECT 1 AS x EXCEPT BY NAME SELECT 2 AS x",
    "SELECT * RENAME (x AS z) FROM {T}",
    "SELECT x AS (a, b) FROM {T}",
    "SELECT * FROM {T} ASOF JOIN events MATCH_CONDITION (x >= x)",
    "SELECT * FROM {T} STRAIGHT_JOIN events ON true",
    "SELECT * FROM {T} CROSS APPLY (SELECT 1)",
    "SELECT * FROM {T} |> TABLESAMPLE SYSTEM (1 PERCENT)",
    "SELECT * FROM UNNEST([1]) WITH OFFSET",
    "SELECT * FROM UNNEST([1]) WITH ORDINALITY",
    "SELECT row_number() FILTER (WHERE x > 1) OVER () FROM {T}",
    "SELECT sum(x) IGNORE NULLS FROM {T}",
    "SELECT sum(x) WITHIN GROUP (ORDER BY x) FROM {T}",
    "SELECT count(x ORDER BY x LIMIT 1) FROM {T}",
    "SELECT sum(x ORDER BY x) OVER () FROM {T}",
    "SELECT sum(x) OVER missing FROM {T}",
    "SELECT 'a' COLLATE \"de_DE\"",
    "SELECT 'abc' LIKE ANY ('a%', 'b%')",
    "SELECT CAST('10:00' AS TIME WITH TIME ZONE)",
    "SELECT CAST('10:00' AS TIME(3))",
    "SELECT CAST('x' AS DATE FORMAT 'y')",
    "SELECT CAST(1 AS DOUBLE(10, 2))",
    "SELECT ceil(1.5 TO DAY)",
    "SELECT floor(1.55, 1)",
    "SELECT INTERVAL '1' DAY TO SECOND",
    "SELECT INTERVAL '1' DAY(2)",
    "SELECT STRUCT<a INT>(1)",
    "SELECT N'x'",
    "SELECT @@version",
    "SHOW TABLES LIKE 'x'",
    "SHOW TABLES FROM nowhere",
    "SHOW FULL TABLES",
    "SHOW COLUMNS FROM events LIKE 'x'",
    "EXPLAIN (FOO) SELECT 1",
    "EXPLAIN (TIMING OFF) SELECT 1",
    "EXPLAIN FORMAT JSON SELECT 1",
];

async fn answer(sql: &str) -> Result<String, QueryError> {
    let lake = lake().await;
    lake.add("x", events().site("a").crowd(20)).await;
    let rows = rows(&lake.engine(), &SiteScope::All, &sql.replace("{T}", T), &[]).await?;
    let text = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
    let cells = text.lines().skip(3).filter(|line| line.starts_with('|'));
    let cells: Vec<_> = cells.map(|line| line.trim_matches(['|', ' ']).to_owned()).collect();
    Ok(cells.join(";"))
}

#[tokio::test(flavor = "multi_thread")]
async fn honoured_clauses_change_the_answer() {
    let mut wrong = Vec::new();
    for (sql, expected) in HONOURED {
        let got = answer(sql).await;
        if got.as_deref() != Ok(*expected) {
            wrong.push(format!("{sql}: {got:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_clauses_are_refused_by_parser_or_planner() {
    let mut wrong = Vec::new();
    for sql in REFUSED_ELSEWHERE {
        if let Ok(got) = answer(sql).await {
            wrong.push(format!("{sql}: {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
