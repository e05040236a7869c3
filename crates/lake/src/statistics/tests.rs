use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Decimal128Type, Field, TimeUnit};
use footfall_model::table::{TableColumns, TableSpec};

use super::*;

/// A table with statistics of every type that has some.
fn spec() -> TableSpec {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = [
        ("tracking_id", DataType::Utf8, false),
        ("text", DataType::Utf8, true),
        ("flag", DataType::Boolean, true),
        ("small", DataType::Int32, true),
        ("large", DataType::Int64, true),
        ("ratio", DataType::Float64, true),
        ("day", DataType::Date32, true),
        ("at", utc, true),
        ("revenue", DataType::Decimal128(38, 4), true),
    ];
    let names = columns.each_ref().map(|(name, ..)| *name);
    let file = columns.map(|(name, data_type, nullable)| Field::new(name, data_type, nullable));
    let columns = TableColumns {
        file: file.to_vec(),
        partition: Field::new("event_date", DataType::Date32, false),
        sort: &["tracking_id"],
        statistics: &names,
    };
    TableSpec::new("all", "all", 1, columns).unwrap()
}

fn rows(spec: &TableSpec, revenue: [i128; 2]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["b", "a", "c"])),
        Arc::new(StringArray::from(vec![Some("\"x\" ü"), None, Some("")])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(Int32Array::from(vec![Some(i32::MAX), None, Some(i32::MIN)])),
        Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(i64::MIN)])),
        Arc::new(Float64Array::from(vec![Some(0.1), None, Some(-1e300)])),
        Arc::new(Date32Array::from(vec![Some(20_758), None, Some(-1)])),
        Arc::new(
            TimestampMicrosecondArray::from(vec![Some(1_793_491_200_123_456), None, Some(-1)]).with_timezone("UTC"),
        ),
        Arc::new(
            Decimal128Array::from(vec![Some(revenue[0]), None, Some(revenue[1])])
                .with_precision_and_scale(38, 4)
                .unwrap(),
        ),
    ];
    RecordBatch::try_new(Arc::clone(spec.file_schema()), columns).unwrap()
}

fn collected(spec: &TableSpec, batches: &[RecordBatch]) -> Box<[ColumnStatistics]> {
    let mut collector = StatisticsCollector::new(spec);
    batches.iter().for_each(|rows| collector.add(rows));
    collector.finish()
}

#[test]
fn statistics_round_trip_through_json() {
    let spec = spec();
    let columns = collected(&spec, &[rows(&spec, [-50_301, 12_3400])]);
    assert!(columns.iter().all(|column| column.is_exact));
    let json = to_json(&spec, Some(3), &columns).unwrap();
    assert!(
        json.contains("\"revenue\":-5.0301") && json.contains("\"revenue\":12.3400"),
        "{json}"
    );
    let (rows, read) = from_json(&spec, &json).unwrap();
    assert_eq!((rows, &read), (Some(3), &columns));
    for (field, column) in spec.file_schema().fields().iter().zip(&columns) {
        let bounds = [column.min.as_ref().unwrap(), column.max.as_ref().unwrap()];
        assert!(bounds.iter().all(|bound| bound.is_of(field.data_type())), "{field}");
    }
}

#[test]
fn batches_and_whole_have_equal_statistics() {
    let spec = spec();
    let all = rows(&spec, [7, 9]);
    let pieces: Vec<_> = (0..3).map(|row| all.slice(row, 1)).collect();
    assert_eq!(collected(&spec, &pieces), collected(&spec, &[all]));
}

#[test]
fn long_decimals_are_widened_and_not_exact() {
    let spec = spec();
    let large = 123_456_789_012_345_678_i128;
    let columns = collected(&spec, &[rows(&spec, [large, -large])]);
    let (_, read) = from_json(&spec, &to_json(&spec, Some(3), &columns).unwrap()).unwrap();
    let revenue = read.last().unwrap();
    assert!(!revenue.is_exact);
    let number = |value: &Option<StatValue>| match value {
        Some(StatValue::Decimal128(number)) => **number,
        other => panic!("{other:?}"),
    };
    assert!(number(&revenue.min) < -large && number(&revenue.min) > -large - 1_000);
    assert!(number(&revenue.max) > large && number(&revenue.max) < large + 1_000);
}

#[test]
fn infinity_and_nan_have_no_bounds() {
    let spec = spec();
    for odd in [f64::NAN, f64::INFINITY] {
        let mut columns = rows(&spec, [1, 2]).columns().to_vec();
        columns[5] = Arc::new(Float64Array::from(vec![1.0, odd, 2.0]));
        let rows = RecordBatch::try_new(Arc::clone(spec.file_schema()), columns).unwrap();
        let statistics = collected(&spec, &[rows.slice(0, 1), rows]);
        assert_eq!((&statistics[5].min, &statistics[5].max), (&None, &None));
        assert_eq!(statistics[5].null_count, Some(0));
    }
}

#[test]
fn millisecond_maximum_is_widened() {
    let read = |text: &str| {
        let json = format!(r#"{{"maxValues":{{"at":"{text}"}},"minValues":{{"at":"{text}"}}}}"#);
        let (_, columns) = from_json(&spec(), &json).unwrap();
        (columns[7].i64_range().map(|(min, max)| max - min), columns[7].is_exact)
    };
    assert_eq!(read("2026-11-01T00:00:00.123456Z"), (Some(0), true));
    assert_eq!(read("2026-11-01T00:00:00.123Z"), (Some(999), false));
    assert_eq!(read("2026-11-01T00:00:00Z"), (Some(999_999), false));
}

#[test]
fn odd_times_do_not_overflow() {
    let bounds = |text: &str| {
        let json = format!(r#"{{"maxValues":{{"at":"{text}"}}}}"#);
        from_json(&spec(), &json).unwrap().1[7].max.clone()
    };
    assert!(bounds("9999-12-31T23:59:59Z").is_some());
    for odd in [
        "+262142-12-31T23:59:59.9Z",
        "-262143-01-01T00:00:00Z",
        "292278-01-01T00:00:00Z",
        "",
        "x",
        "2026-13-01T00:00:00Z",
    ] {
        bounds(odd);
    }
    let spec = spec();
    let far = ColumnStatistics::exact(StatValue::Timestamp(i64::MIN), StatValue::Timestamp(i64::MAX), 0);
    let mut columns = vec![ColumnStatistics::default(); 7];
    columns.push(far);
    let (_, read) = from_json(&spec, &to_json(&spec, None, &columns).unwrap()).unwrap();
    assert_eq!(read[7].i64_range(), None);
}

#[test]
fn missing_or_mistyped_values_are_unknown() {
    let spec = spec();
    for json in [
        "{}",
        r#"{"minValues":{"large":"5","text":7,"flag":null,"at":12,"day":"x","revenue":"1.0"},"maxValues":{"large":1.5}}"#,
        r#"{"numRecords":-1,"nullCount":{"large":{"a":1},"text":-3}}"#,
    ] {
        let (rows, columns) = from_json(&spec, json).unwrap();
        assert_eq!(rows, None);
        assert!(
            columns.iter().all(|column| *column == ColumnStatistics::default()),
            "{columns:?}"
        );
    }
    assert!(from_json(&spec, "no json").is_none());
}

#[test]
fn truncated_text_is_not_exact() {
    let spec = spec();
    let json = |text: &str| format!(r#"{{"minValues":{{"text":"a"}},"maxValues":{{"text":"{text}"}}}}"#);
    assert!(from_json(&spec, &json(&"x".repeat(31))).unwrap().1[1].is_exact);
    assert!(!from_json(&spec, &json(&"x".repeat(32))).unwrap().1[1].is_exact);
}

#[test]
fn arrays_have_one_element_per_file() {
    let spec = spec();
    let known = crate::DataFile {
        rows: Some(3),
        statistics: collected(&spec, &[rows(&spec, [-50_301, 12_3400])]),
        partition_date: 5,
        ..crate::snapshot::test_file("known")
    };
    let unknown = crate::snapshot::test_file("unknown");
    let arrays = ChunkStatistics::new(&spec, &[Arc::new(known), Arc::new(unknown)]);
    assert_eq!(arrays.dates.values(), &[5, 0]);
    assert_eq!(arrays.rows.iter().collect::<Vec<_>>(), [Some(3), None]);
    assert_eq!(arrays.columns.len(), spec.file_schema().fields().len());
    for (field, column) in spec.file_schema().fields().iter().zip(&arrays.columns) {
        assert_eq!(
            (column.min.data_type(), column.max.data_type()),
            (field.data_type(), field.data_type())
        );
        assert!(column.min.is_valid(0) && column.max.is_null(1), "{field}");
        assert!(column.null_counts.is_null(1));
        assert_eq!(column.exact.iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
    }
    let revenue = arrays.columns.last().unwrap();
    assert_eq!(revenue.max.as_primitive::<Decimal128Type>().value(0), 12_3400);
}
