//! `?` and `$1`.

use arrow::datatypes::{DataType, TimeUnit};
use footfall_model::access::SiteScope;

use crate::testing::{TestLake, events, lake, micros, rows};
use crate::{Engine, QueryError, ScalarValue};

pub(super) async fn small() -> TestLake {
    let lake = lake().await;
    lake.add("x", events().site("a").crowd(20).site("b").crowd(5)).await;
    lake
}

async fn bound(engine: &Engine, sql: &str, values: &[ScalarValue]) -> String {
    match rows(engine, &SiteScope::All, sql, values).await {
        Ok(rows) => {
            let text = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
            let cells = text.lines().skip(3).filter(|line| line.starts_with('|'));
            cells
                .map(|line| line.trim_matches(['|', ' ']).to_owned())
                .collect::<Vec<_>>()
                .join(";")
        }
        Err(error) => format!("{error:?}"),
    }
}

async fn types(engine: &Engine, sql: &str) -> Vec<(String, DataType)> {
    let parameters = engine.describe(&SiteScope::All, sql).await.unwrap().parameters;
    parameters
        .iter()
        .map(|f| (f.name().clone(), f.data_type().clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_bind_by_position_in_numeric_order() {
    let engine = small().await.engine();
    let twelve: Vec<_> = (1..=12_i64).map(ScalarValue::from).collect();
    let numbered: Vec<_> = (1..=12).rev().map(|n| format!("${n} + 0")).collect();
    assert_eq!(
        bound(
            &engine,
            &format!("SELECT concat_ws('-', {})", numbered.join(", ")),
            &twelve
        )
        .await,
        "12-11-10-9-8-7-6-5-4-3-2-1"
    );
    let marks: Vec<_> = (1..=12).map(|_| "? + 0").collect();
    assert_eq!(
        bound(
            &engine,
            &format!("SELECT concat_ws('-', {})", marks.join(", ")),
            &twelve
        )
        .await,
        "1-2-3-4-5-6-7-8-9-10-11-12"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_inferred_beside_columns() {
    let engine = small().await.engine();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let sql = "SELECT * FROM events WHERE tracking_id = ? AND event_timestamp > ? AND is_bot = ? LIMIT ?";
    assert_eq!(
        types(&engine, sql).await,
        [
            ("1".to_owned(), DataType::Utf8),
            ("2".to_owned(), utc),
            ("3".to_owned(), DataType::Boolean),
            ("4".to_owned(), DataType::Int64),
        ]
    );
    assert_eq!(types(&engine, "SELECT ?").await, [("1".to_owned(), DataType::Null)]);
    assert_eq!(
        types(&engine, "SELECT $2 + 1").await[0],
        ("1".to_owned(), DataType::Null)
    );
    assert!(types(&engine, "SELECT 1").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lossy_casts_keep_value_and_type() {
    let engine = small().await.engine();
    let text = |text: &str| ScalarValue::Utf8(Some(text.into()));
    let millis = |text: &str| ScalarValue::TimestampMillisecond(Some(micros(text) / 1000), Some("UTC".into()));
    let mut wrong = Vec::new();
    for (sql, value, answer) in [
        // Compared as the same literal would be.
        ("SELECT 3 > ?", ScalarValue::from(2.5), "true"),
        ("SELECT CAST(3 AS BIGINT) = ?", ScalarValue::from(3.2), "false"),
        ("SELECT CAST(1.5 AS DECIMAL(18, 4)) = ?", ScalarValue::from(1.5), "true"),
        (
            "SELECT CAST(1.5 AS DECIMAL(18, 4)) < ?",
            ScalarValue::from(1.50001),
            "true",
        ),
        ("SELECT CAST(1.5 AS DECIMAL(18, 4)) = ?", text("1.5"), "true"),
        (
            "SELECT CAST(1.5 AS DECIMAL(18, 4)) < ?",
            ScalarValue::Decimal128(Some(1_500_001), 10, 6),
            "true",
        ),
        (
            "SELECT CAST(7 AS SMALLINT) < ?",
            ScalarValue::from(1_000_000_i64),
            "true",
        ),
        ("SELECT DATE '2026-11-01' < ?", millis("2026-11-01 10:00"), "true"),
        ("SELECT DATE '2026-11-01' = ?", millis("2026-11-01 00:00"), "true"),
        ("SELECT DATE '2026-11-01' < ?", text("2026-11-01T10:00:00Z"), "true"),
        (
            "SELECT CAST('2026-11-01T10:00:00' AS TIMESTAMP(6)) < ?",
            text("2026-11-01T10:00:00.000000001Z"),
            "true",
        ),
        (
            "SELECT CAST('2026-11-01T10:00:00' AS TIMESTAMP(6)) = ?",
            millis("2026-11-01 10:00"),
            "true",
        ),
        (
            "SELECT CAST('3026-11-01T10:00:00' AS TIMESTAMP(6)) = ?",
            text("3026-11-01T10:00:00Z"),
            "true",
        ),
        ("SELECT CAST(? AS BIGINT)", ScalarValue::from(2.5), "2"),
        (
            "SELECT count(*) FROM events WHERE event_timestamp > ? - INTERVAL '1 day'",
            millis("2026-11-02 10:00:10"),
            "15",
        ),
        (
            "SELECT count(*) FROM events WHERE event_timestamp > INTERVAL '1 day' + ?",
            text("2026-10-31T10:00:10Z"),
            "15",
        ),
        (
            "SELECT count(*) FROM events WHERE event_timestamp > ? - INTERVAL '1 day'",
            ScalarValue::Date32(Some(20759)),
            "25",
        ),
        (
            "SELECT date_trunc(?, TIMESTAMP '2026-11-01 10:00:00')",
            text("day"),
            "2026-11-01T00:00:00",
        ),
        // Accepted unchanged, where several types are.
        (
            "SELECT to_timestamp(?)",
            ScalarValue::from(1_793_527_200_i64),
            "2026-11-01T10:00:00",
        ),
        (
            "SELECT to_timestamp(?)",
            text("2026-11-01T10:00:00"),
            "2026-11-01T10:00:00",
        ),
        (
            "SELECT abs(?)",
            ScalarValue::from(-9_007_199_254_740_993_i64),
            "9007199254740993",
        ),
        (
            "SELECT count(*) FROM events WHERE $1 IS NULL OR city = 'x'",
            text("x"),
            "0",
        ),
        ("SELECT concat(?, 'x')", ScalarValue::from(5_i64), "5x"),
        // Refused, because digits would be dropped or guessed.
        (
            "SELECT CAST(1.5 AS DECIMAL(18, 4)) = ?",
            text("1.50001"),
            "fewer digits",
        ),
        (
            "SELECT CAST(1.5 AS DECIMAL(18, 4)) = ?",
            ScalarValue::from(1e12),
            "does not hold all its digits",
        ),
        ("SELECT CAST(3 AS BIGINT) = ?", text("3.2"), "parameter 1 is 3.2"),
        ("SELECT true = ?", ScalarValue::from(5_i64), "parameter 1 is 5"),
        (
            "SELECT DATE '2026-11-01' = ?",
            ScalarValue::from(5_i64),
            "parameter 1 is 5",
        ),
        ("SELECT DATE '2026-11-01' = ?", text("soon"), "parameter 1 is soon"),
    ] {
        let got = bound(&engine, sql, std::slice::from_ref(&value)).await;
        if got != answer && !(got.starts_with("Invalid") && got.contains(answer)) {
            wrong.push(format!("{sql} with {value:?}: {got}, not {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_cast_to_expected_type() {
    let engine = small().await.engine();
    let text = |text: &str| ScalarValue::Utf8(Some(text.into()));
    let count = "SELECT count(*) FROM events WHERE ";
    for (condition, value, answer) in [
        ("tracking_id = ?", text("a"), "20"),
        ("tracking_id = ?", ScalarValue::LargeUtf8(Some("b".into())), "5"),
        ("tracking_id = ?", ScalarValue::Utf8View(Some("b".into())), "5"),
        ("tracking_id = ?", ScalarValue::Null, "0"),
        ("event_timestamp <= ?", text("2026-11-01T10:00:03Z"), "3"),
        (
            "event_timestamp <= ?",
            ScalarValue::TimestampMillisecond(Some(micros("2026-11-01 10:00:03") / 1000), None),
            "3",
        ),
        ("event_date = ?", text("2026-11-01"), "25"),
        ("is_bot = ?", ScalarValue::from(false), "25"),
        ("tracking_id IN ('b', ?)", text("a"), "25"),
    ] {
        let value = [value];
        assert_eq!(
            bound(&engine, &format!("{count}{condition}"), &value).await,
            answer,
            "{condition} {value:?}"
        );
    }
    assert_eq!(
        bound(
            &engine,
            "SELECT tracking_id FROM events LIMIT ?",
            &[ScalarValue::Int32(Some(2))]
        )
        .await,
        "a;a"
    );
    assert_eq!(bound(&engine, "SELECT ?", &[text("x")]).await, "x");
    assert_eq!(
        bound(&engine, "SELECT abs(CAST(? AS BIGINT))", &[text("-3")]).await,
        "3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_parameters_are_refused() {
    let engine = small().await.engine();
    let one = ScalarValue::from(1_i64);
    for (sql, values, says) in [
        ("SELECT ?", vec![], "has 1 parameters, but 0 values"),
        (
            "SELECT ?",
            vec![one.clone(), one.clone()],
            "has 1 parameters, but 2 values",
        ),
        ("SELECT 1", vec![one.clone()], "has 0 parameters, but 1 values"),
        ("SELECT $name", vec![one.clone()], "numbers, not names"),
        ("SELECT $0", vec![one.clone()], "zero"),
        ("SELECT $999999999999", vec![one.clone()], "numbered from $1"),
        (
            "SELECT 1 FROM events WHERE event_timestamp = ?",
            vec![ScalarValue::Utf8(Some("soon".into()))],
            "parameter 1 is soon",
        ),
    ] {
        match rows(&engine, &SiteScope::All, sql, &values).await {
            Err(QueryError::Invalid(text)) => assert!(text.contains(says), "{sql}: {text}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameter_typed_result_described_after_binding() {
    let engine = small().await.engine();
    let all = SiteScope::All;
    for (sql, values) in [
        ("SELECT ? AS x", vec![ScalarValue::from(1.5_f64)]),
        (
            "SELECT coalesce(?, ?) AS x",
            vec![ScalarValue::from("a"), ScalarValue::from("b")],
        ),
    ] {
        let described = engine.describe_bound(&all, sql, &values).await.unwrap();
        let stream = engine.execute(&all, sql, &values).await.unwrap();
        assert_eq!(described.schema, stream.schema(), "{sql}");
        assert_ne!(described.schema.field(0).data_type(), &DataType::Null);
    }
}
