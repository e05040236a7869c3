//! `retention`.

use footfall_model::access::SiteScope;

use crate::testing::{events, lake, table, value};

const ALL: SiteScope = SiteScope::All;

/// The example of ClickHouse's documentation: 5 users on the first day, 10 on the second, 15 on the third.
const VISITS: &str = "(SELECT DATE '2020-01-01' AS date, value AS uid FROM generate_series(0, 4) \
                      UNION ALL SELECT DATE '2020-01-02', value FROM generate_series(0, 9) \
                      UNION ALL SELECT DATE '2020-01-03', value FROM generate_series(0, 14)) AS retention_test";

const CALL: &str = "retention(date = '2020-01-01', date = '2020-01-02', date = '2020-01-03')";

#[tokio::test(flavor = "multi_thread")]
async fn retention_gives_the_answers_that_clickhouse_documents() {
    let engine = lake().await.engine();
    let each = format!("SELECT uid, {CALL} AS r FROM {VISITS} GROUP BY uid");
    let lists = format!("SELECT r, count(*) AS n, min(uid) AS first FROM ({each}) GROUP BY r ORDER BY first");
    assert_eq!(
        table(&engine, &ALL, &lists).await,
        "+-----------+----+-------+\n\
         | r         | n  | first |\n\
         +-----------+----+-------+\n\
         | [1, 1, 1] | 5  | 0     |\n\
         | [0, 0, 0] | 10 | 5     |\n\
         +-----------+----+-------+"
    );
    let sums = format!("SELECT sum(r[1]) || ',' || sum(r[2]) || ',' || sum(r[3]) FROM ({each})");
    assert_eq!(value(&engine, &ALL, &sums).await, "5,5,5");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_counts_a_condition_only_with_the_first() {
    let lake = lake().await;
    for (file, client, kind) in [
        ("x", "ann", "/"),
        ("y", "ann", "/a"),
        ("z", "bob", "/a"),
        ("w", "cho", "/"),
    ] {
        lake.add(file, events().client(client).pageview(kind)).await;
    }
    let engine = lake.engine();
    let call = "retention(page_url = '/', page_url = '/a', NULL)";
    let sql = format!("SELECT client_id, {call} AS r FROM events GROUP BY client_id ORDER BY client_id");
    let shown = table(&engine, &ALL, &sql).await;
    let expected = [
        "| ann       | [1, 1, 0] |",
        "| bob       | [0, 0, 0] |",
        "| cho       | [1, 0, 0] |",
    ];
    assert_eq!(shown.lines().skip(3).take(3).collect::<Vec<_>>(), expected);
    let all = async |of: &str| value(&engine, &ALL, &format!("SELECT {call} {of} FROM events")).await;
    assert_eq!(all("").await, "[1, 1, 0]");
    assert_eq!(all("FILTER (WHERE client_id = 'cho')").await, "[1, 0, 0]");
    assert_eq!(all("FILTER (WHERE client_id = 'dan')").await, "[0, 0, 0]");
    for (call, reason) in [
        ("retention(client_id)", "takes conditions, BOOLEAN"),
        (
            format!("retention({}true)", "true, ".repeat(32)).as_str(),
            "1 to 32 conditions, and got 33",
        ),
    ] {
        let shown = value(&engine, &ALL, &format!("SELECT {call} FROM events")).await;
        assert!(shown.contains(reason), "{shown}");
    }
}
