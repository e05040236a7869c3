//! What is refused, and how.

use footfall_model::access::SiteScope;

use super::lake::{Lake, event, only};
use crate::QueryError;

async fn error(lake: &Lake, sql: &str) -> QueryError {
    match lake.run(&SiteScope::All, sql).await {
        Ok(_) => panic!("{sql} was answered"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_change_or_reach_files_is_refused_with_what_is_offered_instead() {
    let lake = Lake::new().await;
    lake.commit(&[event("a")]).await;
    for sql in [
        "CREATE TABLE t (x INT)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc/passwd'",
        "CREATE VIEW v AS SELECT 1",
        "CREATE DATABASE d",
        "CREATE SCHEMA s",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "CREATE INDEX i ON events (client_id)",
        "DROP TABLE events",
        "DROP VIEW v",
        "ALTER TABLE events ADD COLUMN x INT",
        "TRUNCATE TABLE events",
        "INSERT INTO events (tracking_id) VALUES ('a')",
        "INSERT INTO events SELECT * FROM events",
        "UPDATE events SET client_id = 'x'",
        "DELETE FROM events",
        "MERGE INTO events USING events AS o ON true WHEN MATCHED THEN DELETE",
        "COPY events TO '/tmp/x.parquet'",
        "COPY (SELECT 1) TO 's3://bucket/x' STORED AS CSV",
        "SET datafusion.execution.batch_size = 1",
        "SET search_path = x",
        "RESET datafusion.execution.batch_size",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "USE other",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "GRANT SELECT ON events TO x",
        "KILL 1",
        "EXPLAIN DELETE FROM events",
        "EXPLAIN INSERT INTO events SELECT * FROM events",
        "SELECT 1 INTO t",
    ] {
        let error = error(&lake, sql).await;
        assert!(
            matches!(
                error,
                QueryError::Denied(_) | QueryError::Unsupported(_) | QueryError::Invalid(_)
            ),
            "{sql}: {error:?}"
        );
        if let QueryError::Denied(text) = &error {
            assert!(text.contains("read-only"), "{text}");
        }
    }
    assert_eq!(lake.value(&SiteScope::All, "SELECT count(*) FROM events").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_no_tables() {
    let lake = Lake::new().await;
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'x.parquet'",
        "SELECT * FROM 's3://bucket/x.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
    ] {
        let error = error(&lake, sql).await;
        assert!(matches!(error, QueryError::NotFound(_)), "{sql}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_by_their_kind_and_in_plain_words() {
    let lake = Lake::new().await;
    let mut told = Vec::new();
    for sql in [
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "SELECT * FROM sessions",
        "SELECT nothing FROM events",
        "SELECT clientid FROM events",
        "SELECT no_such_function(1)",
        "SELECT 1 + 'x'",
        "SELECT CAST('x' AS INT)",
        "SELECT client_id, count(*) FROM events",
        "SELECT 1 / 0",
    ] {
        told.push(format!("{sql} -> {:?}", error(&lake, sql).await));
    }
    insta::assert_debug_snapshot!(told);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_nesting_and_length_end_in_an_error() {
    let lake = Lake::new().await;
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let sum = |terms| format!("SELECT {}", vec!["1"; terms].join("+"));
    let long = format!("SELECT '{}'", "x".repeat(2 * 1_024 * 1_024));
    for n in [50, 100, 200, 400, 600, 800, 1000] { eprintln!("N {n}"); let _ = lake.run(&SiteScope::All, &sum(n)).await; }
    eprintln!("deep");
    assert!(matches!(error(&lake, &deep).await, QueryError::Invalid(_)));
    assert!(matches!(error(&lake, &sum(5_000)).await, QueryError::Limit(_)));
    assert_eq!(lake.value(&SiteScope::All, &sum(1_000)).await, "1000");
    assert!(matches!(error(&lake, &long).await, QueryError::Limit(_)));
    assert_eq!(lake.value(&only(&[]), "SELECT 1").await, "1");
}
