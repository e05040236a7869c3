use footfall_model::access::SiteScope;

use crate::QueryError;
use crate::statement::parse;

/// Goes after `FROM`.
const T: &str = "(VALUES (1), (2)) t(x)";

/// The parser accepts each of them and the planner drops it.
#[rustfmt::skip]
const DROPPED: &[(&str, &str)] = &[
    // Query
    ("SELECT * FROM events FETCH FIRST 1 ROW ONLY", "LIMIT"),
    ("SELECT * FROM events FETCH FIRST 10 PERCENT ROWS WITH TIES", "LIMIT"),
    ("SELECT * FROM events FOR JSON AUTO", "results are Arrow"),
    ("SELECT * FROM events FOR XML AUTO", "results are Arrow"),
    ("SELECT * FROM events FOR BROWSE", "results are Arrow"),
    ("SELECT * FROM events LIMIT 1 SETTINGS max_threads = 1", "SETTINGS"),
    ("SELECT * FROM events LIMIT 1 FORMAT JSON", "FORMAT JSON"),
    ("SELECT * FROM events WHERE is_bot FORMAT Null", "FORMAT NULL"),
    ("SELECT city FROM events LIMIT 1 BY city", "QUALIFY"),
    ("SELECT city FROM events ORDER BY city WITH FILL", "generate_series"),
    ("SELECT city FROM events ORDER BY city INTERPOLATE (city)", "INTERPOLATE"),
    // WITH
    ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 10 LIMIT 3) SELECT * FROM t", "recursive"),
    ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 10 ORDER BY n) SELECT * FROM t", "recursive"),
    ("WITH RECURSIVE t AS (WITH u AS (SELECT 1) SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT * FROM t", "recursive"),
    ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL BY NAME SELECT n + 1 AS n FROM t WHERE n < 10) SELECT * FROM t", "BY NAME"),
    ("WITH t (a INT) AS (SELECT 1) SELECT * FROM t", "CAST"),
    // Pipe operators
    ("SELECT x FROM {T} |> AGGREGATE count(*) GROUP BY x DESC", "|> ORDER BY"),
    ("SELECT x FROM {T} |> SELECT * ILIKE 'x'", "name the columns"),
    // SELECT
    ("SELECT /*+ BROADCAST(events) */ * FROM events", "hint"),
    ("SELECT TOP 1 * FROM events", "LIMIT"),
    ("FROM events", "SELECT * FROM"),
    ("SELECT * ILIKE 'c%' FROM events", "name the columns"),
    ("SELECT e.* ILIKE 'c%' FROM events e", "name the columns"),
    ("SELECT * FROM events LATERAL VIEW explode(city) t AS y", "unnest"),
    ("SELECT * FROM events PREWHERE is_bot", "WHERE"),
    ("SELECT * FROM events START WITH is_bot CONNECT BY PRIOR city = city", "WITH RECURSIVE"),
    ("SELECT * FROM events CONNECT BY PRIOR city = city", "WITH RECURSIVE"),
    ("SELECT city FROM events GROUP BY city WITH ROLLUP", "GROUP BY ROLLUP"),
    ("SELECT city FROM events GROUP BY city WITH CUBE", "CUBE"),
    ("SELECT city FROM events GROUP BY city WITH TOTALS", "GROUPING SETS"),
    ("SELECT city FROM events GROUP BY ALL WITH ROLLUP", "GROUP BY ROLLUP"),
    ("SELECT * FROM events CLUSTER BY city", "ORDER BY"),
    ("SELECT * FROM events DISTRIBUTE BY city", "DISTRIBUTE BY"),
    ("SELECT * FROM events SORT BY city", "ORDER BY"),
    ("SELECT (SELECT count(*) FROM events PREWHERE is_bot)", "WHERE"),
    ("SELECT * FROM (SELECT * FROM events PREWHERE is_bot)", "WHERE"),
    ("SELECT 1 WHERE 1 IN (SELECT 1 FROM events PREWHERE is_bot)", "WHERE"),
    ("WITH t AS (SELECT 1 FROM events PREWHERE is_bot) SELECT * FROM t", "WHERE"),
    ("SELECT 1 UNION ALL SELECT 1 FROM events PREWHERE is_bot", "WHERE"),
    ("EXPLAIN SELECT 1 FROM events PREWHERE is_bot", "WHERE"),
    // Windows
    ("SELECT x FROM {T} QUALIFY sum(x) OVER w > 1 WINDOW w AS (ORDER BY x)", "outside of the columns"),
    ("SELECT x FROM {T} WINDOW w AS (ORDER BY x) ORDER BY row_number() OVER w", "outside of the columns"),
    ("SELECT DISTINCT ON (sum(x) OVER w) x FROM {T} WINDOW w AS (ORDER BY x)", "outside of the columns"),
    ("SELECT sum(x) OVER (w ORDER BY x) FROM {T} WINDOW w AS (PARTITION BY x)", "the whole window"),
    ("SELECT sum(x) OVER v FROM {T} WINDOW w AS (PARTITION BY x), v AS (w ORDER BY x)", "the whole window"),
    ("SELECT sum(x) OVER v FROM {T} WINDOW w AS (PARTITION BY x), v AS w", "in parentheses"),
    // Joins
    ("SELECT * FROM events a GLOBAL JOIN events b USING (city)", "GLOBAL"),
    ("SELECT * FROM (events a GLOBAL JOIN events b USING (city))", "GLOBAL"),
    ("SELECT * FROM {T} NATURAL LEFT JOIN events", "USING"),
    ("SELECT * FROM {T} NATURAL FULL JOIN events", "USING"),
    // Tables
    ("SELECT count(*) FROM (SELECT * FROM events) t TABLESAMPLE (10 ROWS)", "can be sampled"),
    ("SELECT count(*) FROM generate_series(1, 10) TABLESAMPLE (10 PERCENT)", "can be sampled"),
    ("SELECT count(*) FROM events FINAL", "stored once"),
    ("SELECT * FROM events WITH (NOLOCK)", "hint"),
    ("SELECT * FROM events PARTITION (p0)", "event_date"),
    ("SELECT * FROM generate_series(1, 3) WITH ORDINALITY", "row_number"),
    ("SELECT * FROM LATERAL generate_series(1, 3) WITH ORDINALITY", "row_number"),
    ("SELECT * FROM LATERAL generate_series(stop => 1, start => 3)", "in their order"),
    ("SELECT * FROM generate_series(1, 3, SETTINGS a = 1)", "SETTINGS"),
    ("SELECT * FROM generate_series.elsewhere(1, 3)", "without a schema"),
    ("SELECT * FROM (SELECT 1) AS t(a INT)", "CAST"),
    ("SELECT * FROM {T} PIVOT (sum(x) FOR x IN (1))", "FILTER"),
    ("SELECT * FROM {T} UNPIVOT (y FOR z IN (x))", "UNION ALL"),
    ("SELECT * FROM TABLE(generate_series(1, 2))", "alone"),
    // Functions
    ("SELECT sum(0.5)(x) FROM {T}", "one pair of parentheses"),
    ("SELECT abs(x) FILTER (WHERE false) FROM {T}", "FILTER of abs"),
    ("SELECT abs(DISTINCT x) FROM {T}", "DISTINCT of abs"),
    ("SELECT abs(x) OVER () FROM {T}", "OVER of abs"),
    ("SELECT abs(x) IGNORE NULLS FROM {T}", "NULLS of abs"),
    ("SELECT abs(x RESPECT NULLS) FROM {T}", "NULLS of abs"),
    ("SELECT abs(x ORDER BY x) FROM {T}", "ORDER BY of abs"),
    ("SELECT abs(x) WITHIN GROUP (ORDER BY x) FROM {T}", "WITHIN GROUP of abs"),
    ("SELECT unnest(DISTINCT [1, 1])", "DISTINCT of unnest"),
    ("SELECT unnest(x => [1, 2])", "in their order"),
    ("SELECT map(a => 1, b => 2)", "in their order"),
    ("SELECT lag(DISTINCT x) OVER (ORDER BY x) FROM {T}", "DISTINCT in lag"),
    ("SELECT first_value(DISTINCT x) OVER (ORDER BY x) FROM {T}", "DISTINCT in first_value"),
    ("SELECT nth_value(DISTINCT x, 2) FROM {T}", "DISTINCT in nth_value"),
    ("SELECT approx_percentile_cont(DISTINCT x, 0.5) FROM {T}", "DISTINCT in approx_percentile_cont"),
    ("SELECT corr(DISTINCT x, x) FROM {T}", "DISTINCT in corr"),
    ("SELECT rank() IGNORE NULLS OVER (ORDER BY x) FROM {T}", "NULLS of rank"),
    ("SELECT sum(x) RESPECT NULLS OVER () FROM {T}", "NULLS of sum"),
    ("SELECT count(t.*) FROM {T}", "write * for all rows"),
    // Expressions
    ("SELECT TRIM('xyaxy', 'x', 'y')", "one text"),
    ("SELECT CAST('abc' AS CHAR(2))", "VARCHAR(n)"),
    ("SELECT CAST('abc' AS STRING(2))", "VARCHAR(n)"),
    ("SELECT CAST(1 AS INT(11))", "without a width"),
    ("SELECT 1::BIGINT(20)", "without a width"),
    ("SELECT CAST(1.5 AS FLOAT(53))", "DOUBLE"),
    ("SELECT CAST(['abc'] AS ARRAY<VARCHAR(2)>)", "left("),
    ("SELECT VARCHAR(2) 'abc'", "left("),
    ("SELECT TRY_CAST('x' AS TIMESTAMP WITH TIME ZONE)", "AT TIME ZONE"),
    // Statements
    ("DESCRIBE EXTENDED events", "DESCRIBE"),
    ("DESCRIBE FORMATTED events", "DESCRIBE"),
    ("DESC ANALYZE SELECT 1", "EXPLAIN"),
    ("DESCRIBE VERBOSE SELECT 1", "EXPLAIN"),
];

#[test]
fn dropped_clauses_are_refused_with_hint() {
    let mut wrong = Vec::new();
    for (sql, says) in DROPPED {
        let sql = sql.replace("{T}", T);
        match parse(&sql, &SiteScope::All) {
            Err(QueryError::Unsupported(text)) if text.contains("not ignored") && text.contains(says) => {}
            other => wrong.push(format!("{sql}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Similar to those that are refused, and with a meaning that the plan keeps.
#[test]
fn honoured_clauses_pass() {
    for sql in [
        "SELECT * EXCLUDE (x) FROM {T}",
        "FROM {T} SELECT x",
        "SELECT x FROM {T} GROUP BY ROLLUP (x)",
        "SELECT city FROM events AS final",
        "SELECT sum(x) OVER w FROM {T} WINDOW w AS (ORDER BY x)",
        "SELECT lag(x) IGNORE NULLS OVER (ORDER BY x) FROM {T}",
        "SELECT first_value(x IGNORE NULLS) FROM {T}",
        "SELECT count(DISTINCT x) FILTER (WHERE x > 1) FROM {T}",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM {T}",
        "SELECT * FROM {T} NATURAL JOIN (VALUES (1)) u(x)",
        "SELECT CAST('abc' AS VARCHAR(MAX))",
        "SELECT * FROM LATERAL generate_series(1, 3)",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT * FROM t LIMIT 3",
    ] {
        let sql = sql.replace("{T}", T);
        if let Err(error) = parse(&sql, &SiteScope::All) {
            panic!("{sql}: {error}");
        }
    }
}
