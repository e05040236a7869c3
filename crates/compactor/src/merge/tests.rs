use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Site, visitor, time, arrival, id, and a number that identifies the row.
type Row = (u8, i64, i64, i64, u8, i64);

fn batch(rows: &[Row]) -> RecordBatch {
    let time = |at: fn(&Row) -> i64| TimestampMicrosecondArray::from_iter_values(rows.iter().map(at));
    let fields = vec![
        Field::new("tracking_id", DataType::Utf8, false),
        Field::new("client_hash", DataType::Int64, false),
        Field::new(
            "event_timestamp",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
            false,
        ),
        Field::new(
            "created_at",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
            false,
        ),
        Field::new("event_id", DataType::Utf8, false),
        Field::new("number", DataType::Int64, false),
    ];
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0.to_string()))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(time(|row| row.2)),
            Arc::new(time(|row| row.3)),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.4.to_string()))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.5))),
        ],
    )
    .unwrap()
}

fn merged(inputs: Vec<Vec<RecordBatch>>) -> (Vec<i64>, u64) {
    let inputs = inputs
        .into_iter()
        .map(|batches| batches.into_iter().map(Ok::<_, ArrowError>));
    let mut merge = Merge::new(inputs.collect(), BATCH_ROWS).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = merge.next_batch().unwrap() {
        batches.push(batch);
    }
    let rows = concat_batches(&batch(&[]).schema(), &batches).unwrap();
    let numbers = rows.column(5).as_primitive::<Int64Type>().values().to_vec();
    (numbers, merge.duplicates())
}

#[test]
fn equal_events_keep_arrival_then_input_order() {
    let first = batch(&[(0, 0, 5, 2, 0, 10), (0, 0, 5, 9, 1, 11)]);
    let second = batch(&[(0, 0, 5, 1, 2, 20), (0, 0, 5, 2, 3, 21)]);
    assert_eq!(merged(vec![vec![first], vec![second]]), (vec![20, 10, 21, 11], 0));
}

#[test]
fn first_event_per_visitor_and_id_is_kept() {
    let first = batch(&[(0, 1, 5, 0, 7, 10), (0, 2, 5, 0, 7, 11), (1, 1, 5, 0, 7, 12)]);
    let second = batch(&[(0, 1, 6, 0, 7, 20), (0, 1, 7, 0, 8, 21)]);
    assert_eq!(merged(vec![vec![first], vec![second]]), (vec![10, 21, 11, 12], 1));
}

#[test]
fn input_error_ends_merge() {
    let failing = vec![
        Ok(batch(&[(0, 0, 0, 0, 0, 0)])),
        Err(ArrowError::ComputeError("broken".into())),
    ];
    let mut merge = Merge::new(vec![failing.into_iter()], BATCH_ROWS).unwrap();
    assert!(merge.next_batch().unwrap_err().to_string().contains("broken"));
}

proptest! {
    #[test]
    fn merge_equals_sort_and_dedupe(
        inputs in vec(vec((0_u8..3, 0_i64..4, 0_i64..5, 0_i64..3, any::<u8>()), 0..60), 0..6), size in 1_usize..20, ids in 1_u8..=255
    ) {
        let mut all = Vec::new();
        let mut files = Vec::new();
        for (nth, input) in inputs.iter().enumerate() {
            let mut rows: Vec<Row> = input.iter().enumerate().map(|(row, (site, visitor, time, arrival, id))| {
                (*site, *visitor, *time, *arrival, id % ids, (nth * 1_000 + row) as i64)
            }).collect();
            rows.sort_by_key(|row| (row.0, row.1, row.2, row.3));
            files.push(rows.chunks(size).map(batch).collect::<Vec<_>>());
            all.extend(rows);
        }
        all.sort_by_key(|row| (row.0, row.1, row.2, row.3));
        let before = all.len();
        let mut seen = std::collections::HashSet::new();
        all.retain(|row| seen.insert((row.0, row.1, row.4)));
        let (numbers, duplicates) = merged(files);
        prop_assert_eq!(duplicates, (before - all.len()) as u64);
        prop_assert_eq!(numbers, all.iter().map(|row| row.5).collect::<Vec<_>>());
    }
}
