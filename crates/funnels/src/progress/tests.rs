use arrow::compute::concat_batches;
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;

use super::*;
use crate::table::progress;
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
        "event_id" => text(|row| row.2.to_string()),
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

/// The entries of rows in batches of these sizes, and the most memory that was held.
fn entries_of(rows: &[Row], sizes: &[usize]) -> (RecordBatch, usize) {
    let mut finder = Progress::new(&[funnel("a", 1, 2), funnel("b", 2, 3)], progress());
    let (mut entries, mut memory, mut rest, mut sizes) = (Vec::new(), 0, rows, sizes.iter().cycle());
    while !rest.is_empty() {
        let (some, others) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        entries.push(finder.push(&step_rows(some)).unwrap());
        memory = memory.max(finder.memory());
        rest = others;
    }
    entries.push(finder.finish().unwrap());
    assert_eq!(finder.memory(), 0);
    (concat_batches(&progress(), &entries).unwrap(), memory)
}

#[test]
fn entries_carry_what_their_first_event_says() {
    let rows = [
        (1, 0, 10, "a", 1, 0b01),
        (1, 5, 11, "a", 1, 0b10),
        // Sent again, of another definition, and of a funnel that is gone.
        (1, 6, 10, "a", 1, 0b01),
        (1, 20, 12, "a", 9, 0b01),
        (1, 20, 12, "gone", 1, 0b01),
        (2, 0, 13, "b", 2, 0b001),
    ];
    let (entries, _) = entries_of(&rows, &[100]);
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
fn memory_is_that_of_one_visitor() {
    let rows = |visitors: i64, events: i64| -> Vec<Row> {
        let of = |visitor| (0..events).map(move |n| (visitor, n, n.cast_unsigned(), "a", 1, 0b01));
        (0..visitors).flat_map(of).collect()
    };
    let (_, one) = entries_of(&rows(1, 100), &[50]);
    let (_, many) = entries_of(&rows(50, 100), &[50]);
    let (_, long) = entries_of(&rows(1, 5_000), &[50]);
    assert!(many < 2 * one, "{many} bytes for many visitors, {one} for one");
    assert!(long > 10 * one, "{long} bytes for many events, {one} for few");
}

proptest! {
    #[test]
    fn batches_may_be_cut_anywhere(
        rows in prop::collection::vec((0_i64..3, 0_i64..200, 0_u64..40, prop::bool::ANY, 1_i32..8), 0..60),
        sizes in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let mut rows: Vec<Row> = rows
            .into_iter()
            .map(|(visitor, minute, id, b, steps)| match b {
                true => (visitor, minute, id, "b", 2, steps),
                false => (visitor, minute, id, "a", 1, steps & 3),
            })
            .collect();
        rows.sort_unstable();
        prop_assert_eq!(entries_of(&rows, &sizes).0, entries_of(&rows, &[1_000]).0);
    }
}
