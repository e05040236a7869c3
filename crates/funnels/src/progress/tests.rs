use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::table::{funnel_steps, progress};
use crate::{Definition, Step};

const MINUTE: Micros = 60_000_000;

/// Visitor, minute, event id, funnel and its revision, steps.
type Row = (i64, i64, u64, &'static str, i64, i32);

fn step_rows(rows: &[Row]) -> RecordBatch {
    let time = |of: fn(&Row) -> i64| {
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(of));
        Arc::new(times.with_timezone("UTC")) as ArrayRef
    };
    let text = |of: fn(&Row) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let schema = funnel_steps().file_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "client_hash" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))) as ArrayRef,
        "event_timestamp" | "created_at" => time(|row| row.1 * MINUTE),
        "event_hash" => {
            let hashes = rows
                .iter()
                .map(|row| xxh3_64(row.2.to_string().as_bytes()).cast_signed());
            Arc::new(Int64Array::from_iter_values(hashes))
        }
        "client_id" => text(|row| format!("client-{}", row.0)),
        "funnel_id" => text(|row| row.3.to_owned()),
        "revision" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.4))),
        "steps" => Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.5))),
        "country" => text(|row| format!("{}", row.2)),
        _ => text(|_| "x".to_owned()),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

fn funnel(id: &str, revision: u64, steps: usize) -> Funnel {
    let step = Step {
        name: "step".into(),
        event_type: "x".into(),
        filters: BTreeMap::new(),
    };
    Funnel {
        id: id.into(),
        tracking_id: "x".into(),
        revision,
        definition: Definition {
            name: id.into(),
            steps: vec![step; steps],
            window: "1h".parse().unwrap(),
            ..Definition::default()
        },
        created_at: 0,
    }
}

fn finder() -> Progress {
    Progress::new(&[funnel("a", 1, 2), funnel("b", 2, 3)], progress())
}

fn entries_found(mut finder: Progress, most: usize) -> RecordBatch {
    let mut entries = Vec::new();
    while let Some(some) = finder.entries(most).unwrap() {
        entries.push(some);
    }
    assert_eq!(finder.memory(), 0);
    concat_batches(&progress(), &entries).unwrap()
}

/// Rows in batches of these sizes.
fn batches<'a>(rows: &'a [Row], sizes: &'a [usize]) -> impl Iterator<Item = RecordBatch> + 'a {
    let (mut rest, mut sizes) = (rows, sizes.iter().cycle());
    std::iter::from_fn(move || {
        let (some, others) = rest.split_at(rest.len().min(*sizes.next()?));
        rest = others;
        (!some.is_empty()).then(|| step_rows(some))
    })
}

/// The entries of rows in any order, in batches of these sizes.
fn entries_of(rows: &[Row], sizes: &[usize]) -> RecordBatch {
    let mut finder = finder();
    for rows in batches(rows, sizes) {
        finder.push(&rows).unwrap();
    }
    entries_found(finder, sizes[0])
}

/// Rows as they are written if they don't fit into memory.
fn written(rows: &[Row], sizes: &[usize]) -> Vec<RecordBatch> {
    let mut finder = finder();
    for rows in batches(rows, sizes) {
        finder.push(&rows).unwrap();
    }
    let schema = step_rows(&[]).schema();
    let columns = finder.columns().into_iter().map(|name| schema.index_of(name).unwrap());
    let schema = Arc::new(schema.project(&columns.collect::<Vec<_>>()).unwrap());
    finder.take_rows(sizes[0], &schema).map(Result::unwrap).collect()
}

/// The entries of rows in order, and the most memory that was held.
fn entries_in_order(rows: &[Row], sizes: &[usize]) -> (RecordBatch, usize) {
    let (mut finder, mut entries, mut memory) = (finder(), Vec::new(), 0);
    for rows in batches(rows, sizes) {
        finder.push(&rows).unwrap();
        memory = memory.max(finder.memory());
        entries.push(finder.entries_of_ended().unwrap());
    }
    entries.extend(finder.entries(usize::MAX).unwrap());
    (concat_batches(&progress(), &entries).unwrap(), memory)
}

/// Rows of entries in any order.
fn lines(entries: &RecordBatch) -> Vec<String> {
    let shown = pretty_format_batches(std::slice::from_ref(entries))
        .unwrap()
        .to_string();
    let mut lines: Vec<_> = shown.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn entries_carry_what_their_first_event_says() {
    let rows = [
        (1, 0, 10, "a", 1, 0b01),
        (1, 5, 11, "a", 1, 0b10),
        // Sent again, of another definition, and of a funnel that is gone.
        (1, 6, 10, "a", 1, 0b01),
        (1, 20, 12, "a", 9, 0b01),
        (1, 20, 12, "gone", 3, 0b01),
        (2, 0, 13, "b", 2, 0b001),
    ];
    let entries = entries_of(&rows, &[100]);
    let columns = [
        "funnel_id",
        "client_id",
        "entered_at",
        "steps_completed",
        "fully_converted",
        "time_to_convert",
        "country",
    ];
    let columns: Vec<_> = columns
        .iter()
        .map(|name| entries.schema().index_of(name).unwrap())
        .collect();
    let shown = pretty_format_batches(&[entries.project(&columns).unwrap()])
        .unwrap()
        .to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(
        lines[3..5],
        [
            "| a         | client-1  | 1970-01-01T00:00:00Z | 2               | true            | 300             | 10      |",
            "| b         | client-2  | 1970-01-01T00:00:00Z | 1               | false           |                 | 13      |",
        ],
        "{shown}"
    );
    assert_eq!(entries.num_rows(), 2);
}

#[test]
fn memory_of_rows_in_order_is_that_of_one_visitor() {
    let rows = |visitors: i64, events: i64| -> Vec<Row> {
        let of = |visitor| (0..events).map(move |n| (visitor, n, n.cast_unsigned(), "a", 1, 0b01));
        (0..visitors).flat_map(of).collect()
    };
    let (_, one) = entries_in_order(&rows(1, 100), &[50]);
    let (_, many) = entries_in_order(&rows(50, 100), &[50]);
    let (_, long) = entries_in_order(&rows(1, 5_000), &[50]);
    assert!(many < 2 * one, "{many} bytes for many visitors, {one} for one");
    assert!(long > 10 * one, "{long} bytes for many events, {one} for few");
}

#[test]
fn steps_at_the_same_moment_are_taken_in_order() {
    for ids in [[1, 2], [2, 1]] {
        let rows = [(1, 0, ids[0], "a", 1, 0b10), (1, 0, ids[1], "a", 1, 0b01)];
        let entries = entries_of(&rows, &[100]);
        let depths = entries.column_by_name("steps_completed").unwrap();
        assert_eq!(depths.as_primitive::<Int32Type>().values(), &[2], "{ids:?}");
    }
}

proptest! {
    #[test]
    fn rows_may_come_in_any_order_and_batches(
        rows in prop::collection::vec((0_i64..3, 0_i64..200, 0_u64..40, prop::bool::ANY, 1_i32..8), 0..60),
        seed in 0_usize..60,
        sizes in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let mut rows: Vec<Row> = rows
            .into_iter()
            .map(|(visitor, minute, id, b, steps)| match b {
                true => (visitor, minute, id, "b", 2, steps),
                false => (visitor, minute, id, "a", 1, steps & 3),
            })
            .collect();
        // Two rows of one event are equal.
        rows.sort_unstable_by_key(|row| (row.3, row.2, row.0));
        rows.dedup_by_key(|row| (row.3, row.2, row.0));
        let known = entries_of(&rows, &[1_000]);
        let turn = seed.min(rows.len());
        rows.rotate_left(turn);
        prop_assert_eq!(&entries_of(&rows, &sizes), &known);
        let mut again = finder();
        for rows in written(&rows, &sizes) {
            again.push(&rows).unwrap();
        }
        prop_assert_eq!(&entries_found(again, 1_000), &known);
        rows.sort_unstable_by_key(|row| (row.0, row.4, row.1, row.5, xxh3_64(row.2.to_string().as_bytes()).cast_signed()));
        prop_assert_eq!(lines(&entries_in_order(&rows, &sizes).0), lines(&known));
    }
}
