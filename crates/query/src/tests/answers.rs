//! What is announced is what comes; parameters; the pinned snapshot.

use arrow::datatypes::DataType;
use footfall_model::access::SiteScope;
use futures::{StreamExt, TryStreamExt};

use super::lake::{Lake, event};
use crate::{QueryError, ScalarValue};

async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.commit(&[
        event("a").client("x"),
        event("a").client("y").purchase(3),
        event("b").client("x"),
    ])
    .await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn the_announced_schema_is_the_schema_of_every_batch() {
    let lake = lake().await;
    for sql in [
        "SELECT * FROM events",
        "SELECT * FROM events WHERE false",
        "SELECT 1, 'x', NULL, 1.5, true, now(), DATE '2026-11-01', INTERVAL '1 day'",
        "SELECT count(*), sum(revenue), avg(revenue), min(event_timestamp) FROM events",
        "SELECT tracking_id, count(DISTINCT client_id) AS visitors FROM events GROUP BY tracking_id",
        "SELECT a.client_id, b.event_type FROM events a LEFT JOIN events b ON a.client_id = b.client_id",
        "SELECT client_id FROM events UNION ALL SELECT 'z'",
        "SELECT 1 UNION ALL SELECT 2.5",
        "SELECT date_trunc('day', event_timestamp), upper(client_id) FROM events",
        "SELECT array_agg(client_id) FROM events",
        "SELECT arrow_cast(client_id, 'Dictionary(Int32, Utf8)'), arrow_cast(client_id, 'Utf8View') FROM events",
        "SELECT row_number() OVER (PARTITION BY tracking_id ORDER BY event_timestamp) FROM events",
        "SELECT coalesce(user_id, 'none') FROM events",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "DESCRIBE events",
        "VALUES (1, 'a'), (2, 'b')",
    ] {
        let announced = lake.engine.describe(&SiteScope::All, sql).await.unwrap().schema;
        let stream = lake.engine.execute(&SiteScope::All, sql, &[]).await.unwrap();
        assert_eq!(stream.schema(), announced, "{sql}");
        for batch in stream.try_collect::<Vec<_>>().await.unwrap() {
            assert_eq!(batch.schema(), announced, "{sql}");
        }
        for field in announced.fields() {
            let data_type = field.data_type();
            let odd = matches!(
                data_type,
                DataType::Utf8View | DataType::BinaryView | DataType::Dictionary(..)
            );
            assert!(!odd, "{sql}: {data_type}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_out_as_they_went_in() {
    let lake = lake().await;
    let sql = "SELECT tracking_id, client_id, event_type, event_timestamp, revenue, event_date, custom_properties \
               FROM events ORDER BY tracking_id, client_id";
    insta::assert_snapshot!(lake.table(sql).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_bind_by_position_however_they_are_written() {
    let lake = lake().await;
    let text = |text: &str| ScalarValue::Utf8(Some(text.into()));
    for (sql, parameters, rows) in [
        ("SELECT * FROM events WHERE client_id = ?", vec![text("x")], 2),
        (
            "SELECT * FROM events WHERE client_id = $1 AND tracking_id = $2",
            vec![text("x"), text("b")],
            1,
        ),
        (
            "SELECT * FROM events WHERE revenue > ?",
            vec![ScalarValue::Int64(Some(1))],
            1,
        ),
        (
            "SELECT * FROM events WHERE event_timestamp > ?",
            vec![text("2026-11-01T11:00:00Z")],
            0,
        ),
        ("SELECT * FROM events LIMIT ?", vec![ScalarValue::Int64(Some(2))], 2),
    ] {
        let batches = lake.bind(&SiteScope::All, sql, &parameters).await;
        let batches = batches.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(
            batches.iter().map(|batch| batch.num_rows()).sum::<usize>(),
            rows,
            "{sql}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_parameters_and_more_keep_their_numeric_order() {
    let lake = lake().await;
    let marks = vec!["CAST(? AS VARCHAR)"; 12].join(" || '-' || ");
    let parameters: Vec<_> = (1..=12).map(|n| ScalarValue::Utf8(Some(n.to_string()))).collect();
    let batches = lake
        .bind(&SiteScope::All, &format!("SELECT {marks}"), &parameters)
        .await
        .unwrap();
    let joined = arrow::util::display::array_value_to_string(batches[0].column(0), 0).unwrap();
    assert_eq!(joined, "1-2-3-4-5-6-7-8-9-10-11-12");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_says_which_parameters_it_wants() {
    let lake = lake().await;
    let sql = "SELECT ? FROM events WHERE client_id = ? AND event_timestamp > ?";
    let wanted = lake.engine.describe(&SiteScope::All, sql).await.unwrap().parameters;
    let wanted: Vec<_> = wanted
        .iter()
        .map(|field| (field.name().as_str(), field.data_type().to_string()))
        .collect();
    assert_eq!(
        wanted,
        [
            ("1", "Null".into()),
            ("2", "Utf8".into()),
            ("3", "Timestamp(µs, \"UTC\")".into())
        ]
    );
    for wrong in [vec![], vec![ScalarValue::Int64(Some(1)); 4]] {
        let error = lake.bind(&SiteScope::All, sql, &wrong).await.unwrap_err();
        assert!(matches!(error, QueryError::Invalid(_)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_of_parameters_decide_the_announced_columns() {
    let lake = lake().await;
    let text = [ScalarValue::Utf8(Some("x".into()))];
    let bound = lake
        .engine
        .describe_bound(&SiteScope::All, "SELECT ?", &text)
        .await
        .unwrap()
        .schema;
    let stream = lake.engine.execute(&SiteScope::All, "SELECT ?", &text).await.unwrap();
    assert_eq!(stream.schema(), bound);
    assert_eq!(bound.field(0).data_type(), &DataType::Utf8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_keeps_its_snapshot_and_the_next_sees_the_new_one() {
    let lake = lake().await;
    let sql = "SELECT client_id FROM events";
    let mut running = lake.engine.execute(&SiteScope::All, sql, &[]).await.unwrap();
    lake.commit(&[event("a").client("late")]).await;
    let mut rows = 0;
    while let Some(batch) = running.next().await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!(rows, 3);
    assert_eq!(lake.value(&SiteScope::All, "SELECT count(*) FROM events").await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_listed_with_their_columns() {
    let lake = lake().await;
    let tables = lake.engine.tables();
    let names: Vec<_> = tables.iter().map(|table| (table.name.as_str(), table.kind)).collect();
    assert_eq!(names, [("events", "TABLE")]);
    assert_eq!(tables[0].columns, footfall_model::schema::events());
}
