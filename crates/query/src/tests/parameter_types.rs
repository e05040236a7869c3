//! The types of parameters, inferred from their context.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use footfall_model::access::SiteScope;

use super::parameters::small;

#[rustfmt::skip] // one case per line
#[tokio::test(flavor = "multi_thread")]
async fn types_are_inferred_from_context() {
    use DataType::{Boolean, Date32, Float64, Int32, Int64, Null, Utf8};
    let engine = small().await.engine();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let revenue = DataType::Decimal128(18, 4);
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let mut wrong = Vec::new();
    for (sql, expected) in [
        ("SELECT CAST(? AS BIGINT), TRY_CAST(? AS DATE), ?::INTEGER", vec![Int64, Date32, Int32]),
        ("SELECT CAST(? + ? AS DOUBLE)", vec![Float64, Float64]),
        ("SELECT CAST(? AS VARCHAR(3))", vec![Utf8]),
        ("SELECT coalesce(city, ?), nullif(?, revenue), nvl(event_timestamp, ?) FROM events", vec![Utf8, revenue.clone(), utc.clone()]),
        ("SELECT 1 FROM events WHERE coalesce(?, ?) = city", vec![Utf8, Utf8]),
        ("SELECT date_trunc(?, event_timestamp), to_timestamp(?) FROM events", vec![Utf8, Utf8]),
        ("SELECT date_trunc('day', ?) = event_timestamp FROM events", vec![utc.clone()]),
        ("SELECT 1 FROM events WHERE ? IS NULL OR city = ?", vec![Utf8, Utf8]),
        ("SELECT 1 FROM events WHERE event_timestamp > ? OR ? IS NULL", vec![utc.clone(), utc.clone()]),
        ("SELECT 1 FROM events WHERE (? IS NULL OR is_bot = ?) AND (? IS NULL OR revenue > ?)", vec![Boolean, Boolean, revenue.clone(), revenue.clone()]),
        ("SELECT 1 FROM events WHERE $1 IS NULL OR city = $1", vec![Utf8]),
        ("SELECT 1 FROM events LIMIT ? OFFSET ?", vec![Int64, Int64]),
        ("SELECT 1 FROM events WHERE city IN (?, ?) AND client_hash NOT IN (?)", vec![Utf8, Utf8, Int64]),
        ("SELECT 1 FROM events WHERE event_date BETWEEN ? AND ?", vec![Date32, Date32]),
        ("SELECT 1 FROM events WHERE ? BETWEEN event_date AND ?", vec![Date32, Date32]),
        ("SELECT 1 FROM events WHERE event_timestamp > ? - INTERVAL '1 day'", vec![micros.clone()]),
        ("SELECT 1 FROM events WHERE event_timestamp > INTERVAL '1 day' + (?)", vec![micros]),
        ("SELECT 1 FROM events WHERE event_timestamp > now() - CAST(? AS INTERVAL)", vec![interval]),
        ("SELECT 1 FROM events WHERE city LIKE ? OR ? ILIKE ?", vec![Utf8, Utf8, Utf8]),
        ("SELECT 1 FROM events WHERE upper(?) = city AND concat(?, 'x') = ? AND abs(?) > 1", vec![Utf8, Utf8, Utf8, Float64]),
        ("SELECT ? || city FROM events", vec![Utf8]),
        ("SELECT CASE WHEN city = ? THEN ? ELSE revenue END FROM events", vec![Utf8, revenue.clone()]),
        ("SELECT CASE city WHEN ? THEN 1 ELSE ? END FROM events", vec![Utf8, Int64]),
        ("SELECT 1 FROM events WHERE ?", vec![Boolean]),
        ("SELECT 1 FROM events WHERE NOT ? AND ?", vec![Boolean, Boolean]),
        ("SELECT 1 FROM events WHERE revenue * ? > ?", vec![revenue.clone(), DataType::Decimal128(37, 8)]),
        ("SELECT count(*) FILTER (WHERE city = ?) FROM events", vec![Utf8]),
        ("SELECT city FROM events GROUP BY city HAVING count(*) > ? AND max(revenue) < ?", vec![Int64, revenue.clone()]),
        ("SELECT 1 FROM events a JOIN events b ON a.city = b.city AND a.revenue > ?", vec![revenue.clone()]),
        ("SELECT 1 FROM events WHERE ? IN (SELECT city FROM events)", vec![Utf8]),
        ("SELECT 1 FROM events WHERE city IN (SELECT city FROM events WHERE is_bot = ?)", vec![Boolean]),
        ("SELECT (SELECT max(revenue) FROM events) > ?", vec![revenue]),
        ("SELECT lag(city, 1, ?) OVER (ORDER BY event_timestamp) FROM events", vec![Utf8]),
        ("SELECT arrow_cast(?, 'Timestamp(Microsecond, Some(\"UTC\"))')", vec![utc]),
        ("SELECT sum(x) FROM (VALUES (1), (?)) t(x)", vec![Int64]),
        ("SELECT ?, ? IS NULL, ? = ?", vec![Null, Null, Null, Null]),
        ("SELECT $3 + 1", vec![Null, Null, Int64]),
        ("SELECT 1 FROM events WHERE event_timestamp > now() AND ? IS NULL AND city = ?", vec![Null, Utf8]),
    ] {
        let got: Vec<_> = match engine.describe(&SiteScope::All, sql).await {
            Ok(described) => described.parameters.iter().map(|f| f.data_type().clone()).collect(),
            Err(error) => {
                wrong.push(format!("{sql}: {error}"));
                continue;
            }
        };
        if got != expected {
            wrong.push(format!("{sql}: {got:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
