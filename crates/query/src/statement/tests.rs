use std::sync::Arc;

use super::*;

fn all(sql: &str) -> Result<Statement, QueryError> {
    parse(sql, &SiteScope::All).map(|parsed| parsed.statement)
}

fn reader(sql: &str) -> Result<Statement, QueryError> {
    parse(sql, &SiteScope::Only(Arc::new(["a".to_owned()].into()))).map(|parsed| parsed.statement)
}

#[test]
fn read_only_statements_are_allowed() {
    for sql in [
        "SELECT 1",
        "select * from events;",
        "WITH t AS (SELECT 1 AS x) SELECT * FROM t UNION ALL SELECT 2",
        "VALUES (1, 'a')",
        "EXPLAIN SELECT 1",
        "EXPLAIN FORMAT TREE SELECT count(*) FROM events",
        "SHOW TABLES",
        "SHOW COLUMNS FROM events",
        "DESCRIBE events",
        "DESC events",
        "DESCRIBE SELECT 1",
        "SELECT * FROM information_schema.tables",
        "SELECT 'INSERT INTO events'",
    ] {
        if let Err(error) = reader(sql) {
            panic!("{sql}: {error}");
        }
    }
}

#[test]
fn writes_and_file_access_are_refused() {
    for sql in [
        "INSERT INTO events VALUES (1)",
        "UPDATE events SET city = 'x'",
        "DELETE FROM events",
        "MERGE INTO events USING x ON true WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE events",
        "CREATE TABLE t (x INT)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMPORARY TABLE t (x INT)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE INDEX i ON events (city)",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc/passwd'",
        "DROP TABLE events",
        "DROP VIEW v",
        "ALTER TABLE events ADD COLUMN x INT",
        "COPY events TO '/tmp/x.parquet'",
        "COPY (SELECT 1) TO 's3://b/x.csv' STORED AS CSV",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "USE other",
        "BEGIN",
        "START TRANSACTION",
        "COMMIT",
        "ROLLBACK",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "GRANT SELECT ON events TO x",
        "ANALYZE TABLE events",
        "CALL p()",
        "KILL 1",
        "EXPLAIN INSERT INTO events VALUES (1)",
        "EXPLAIN CREATE TABLE t (x INT)",
        "EXPLAIN ANALYZE COPY events TO '/tmp/x'",
        "WITH x AS (INSERT INTO events VALUES (1)) SELECT * FROM x",
        "SELECT * INTO t FROM events",
        "SELECT * FROM (SELECT 1 INTO t)",
        "SELECT * FROM events FOR UPDATE",
        "SELECT * FROM 'x.parquet'",
        "SELECT * FROM \"data/x.parquet\"",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"https://example.org/x\"",
        "SELECT * FROM 's3://bucket/x.csv' JOIN events USING (city)",
        "SELECT (SELECT count(*) FROM 'x.json')",
    ] {
        match all(sql) {
            Err(QueryError::Denied(text)) => assert!(text.starts_with("Footfall's SQL"), "{sql}: {text}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn plan_figures_and_settings_need_all_sites() {
    for sql in [
        "EXPLAIN ANALYZE SELECT count(*) FROM events",
        "EXPLAIN VERBOSE SELECT count(*) FROM events",
        "EXPLAIN (ANALYZE) SELECT count(*) FROM events",
        "EXPLAIN (COSTS ON) SELECT count(*) FROM events",
        "SHOW ALL",
        "SHOW datafusion.execution.batch_size",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM INFORMATION_SCHEMA.\"df_settings\"",
    ] {
        assert!(matches!(reader(sql), Err(QueryError::Denied(_))), "{sql}");
        assert!(all(sql).is_ok(), "{sql}: {:?}", all(sql));
    }
}

#[test]
fn empty_multiple_and_unparsable_are_invalid() {
    for (sql, says) in [
        ("", "no SQL statement"),
        ("  -- only a comment\n", "no SQL statement"),
        (";", "no SQL statement"),
        ("SELECT 1; SELECT 2", "2 SQL statements"),
        ("SELECT 1; DROP TABLE events", "2 SQL statements"),
        ("SELEC 1", "SQL syntax"),
        ("SELECT 'open", "SQL syntax"),
        ("SELECT ? + $1", "mixes ?"),
    ] {
        match all(sql) {
            Err(QueryError::Invalid(text)) => assert!(text.contains(says), "{sql}: {text}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn question_marks_outside_literals_are_numbered() {
    let sql = "SELECT ?, 'a?' AS \"b?\" /* ? */ FROM t -- ?\nWHERE x = ? AND y IN (?, ?)";
    assert_eq!(
        all(sql).unwrap().to_string(),
        "SELECT $1, 'a?' AS \"b?\" FROM t WHERE x = $2 AND y IN ($3, $4)"
    );
    assert_eq!(all("SELECT ?2, ?1").unwrap().to_string(), "SELECT $2, $1");
}

#[test]
fn hostile_shapes_are_refused_early() {
    let deep = |open: &str, close: &str, n| format!("SELECT {}1{}", open.repeat(n), close.repeat(n));
    for sql in [
        deep("(", ")", 10_000),
        deep("-", "", 10_000),
        deep("NOT ", "", 10_000),
        deep("CASE WHEN true THEN ", " END", 10_000),
        deep("(SELECT ", ")", 10_000),
        format!("SELECT 1{}", "+1".repeat(20_000)),
        format!("SELECT 1{}", "::int".repeat(10_000)),
        format!("SELECT 1{}", " IS NULL".repeat(10_000)),
        format!("SELECT x{}", "[1]".repeat(10_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(10_000)),
        format!("SELECT * FROM events{}", " CROSS JOIN events".repeat(10_000)),
        format!(
            "SELECT * FROM events a{}",
            (0..10_000).map(|n| format!(", events a{n}")).collect::<String>()
        ),
        format!("SELECT CAST(x AS {}int{})", "ARRAY<".repeat(10_000), ">".repeat(10_000)),
        format!("SELECT a{}", ".a".repeat(10_000)),
        format!("SELECT '{}'", "x".repeat(1024 * 1024)),
    ] {
        match all(&sql) {
            Err(QueryError::Limit(_) | QueryError::Invalid(_)) => {}
            other => panic!("{}…: {other:?}", &sql[..60]),
        }
    }
}
