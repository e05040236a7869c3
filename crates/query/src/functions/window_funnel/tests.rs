//! The answer is the same however rows are divided, merged and emitted.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::Int32Type;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use footfall_sessions::testing::Random;

use super::*;

const STEPS: usize = 3;

/// A row: its group, its time, the conditions that it meets (a bit each; null where the bit above is set), and whether it
/// passes the filter.
type Row = (usize, Option<i64>, u64, Option<bool>);

fn funnel(modes: &str) -> Funnel {
    let mut all = Modes::default();
    for mode in modes.split_terminator(' ') {
        all.add(mode.parse().unwrap());
    }
    Funnel {
        window: 6,
        modes: all,
        steps: STEPS,
        time_argument: 1,
    }
}

fn random_rows(random: &mut Random, groups: u64) -> Vec<Row> {
    let row = |random: &mut Random| {
        let time = (random.below(20) > 0).then(|| random.below(15).cast_signed());
        let filter = [Some(true), Some(true), Some(true), Some(false), None][random.index(5)];
        (
            random.index(usize::try_from(groups).unwrap()),
            time,
            random.below(1 << (STEPS + 1)),
            filter,
        )
    };
    (0..random.below(120)).map(|_| row(random)).collect()
}

fn columns(rows: &[Row]) -> (Vec<ArrayRef>, BooleanArray) {
    let window: ArrayRef = Arc::new(StringArray::from(vec!["6"; rows.len()]));
    let times: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
    let conditions = (0..STEPS).map(|bit| {
        let condition = |row: &Row| (row.2 >> STEPS == 0 || bit > 0).then(|| row.2 >> bit & 1 == 1);
        Arc::new(rows.iter().map(condition).collect::<BooleanArray>()) as ArrayRef
    });
    let values = [window, times].into_iter().chain(conditions).collect();
    (values, rows.iter().map(|row| row.3).collect())
}

fn groups_of(rows: &[Row]) -> Vec<usize> {
    rows.iter().map(|row| row.0).collect()
}

fn levels(array: &ArrayRef) -> Vec<i32> {
    array.as_primitive::<Int32Type>().values().to_vec()
}

/// Each group by itself, row by row, in one accumulator.
fn alone(funnel: Funnel, rows: &[Row], groups: usize) -> Vec<i32> {
    let of_group = |group: usize| {
        let mut one = OneFunnel::new(funnel);
        for row in rows.iter().filter(|row| row.0 == group && row.3 == Some(true)) {
            one.update_batch(&columns(&[*row]).0).unwrap();
        }
        match one.evaluate().unwrap() {
            ScalarValue::Int32(Some(level)) => level,
            other => panic!("{other}"),
        }
    };
    (0..groups).map(of_group).collect()
}

#[test]
fn rows_are_divided_merged_and_emitted_in_any_way() {
    for (seed, modes) in (0..150).zip(
        [
            "",
            "strict_order",
            "strict_deduplication",
            "strict_increase",
            "strict_order strict_increase",
        ]
        .into_iter()
        .cycle(),
    ) {
        let mut random = Random(seed);
        let funnel = funnel(modes);
        let groups = 1 + random.index(9);
        let mut rows = random_rows(&mut random, groups as u64);
        if random.below(2) == 0 {
            rows.sort_by_key(|row| (row.0, row.1));
        }
        let expected = alone(funnel, &rows, groups);
        let mut merged = FunnelGroups::new(funnel);
        let whole: Vec<usize> = (0..groups).collect();
        for part in rows.chunks(1 + random.index(40)) {
            let (values, filter) = columns(part);
            if random.below(3) == 0 {
                // Each row becomes a state at once.
                let states = merged.convert_to_state(&values, Some(&filter)).unwrap();
                merged.merge_batch(&states, &groups_of(part), groups).unwrap();
                continue;
            }
            let mut partial = FunnelGroups::new(funnel);
            partial
                .update_batch(&values, &groups_of(part), Some(&filter), groups)
                .unwrap();
            let first = random.index(groups + 1);
            let states = partial.state(EmitTo::First(first)).unwrap();
            merged.merge_batch(&states, &whole[..first], groups).unwrap();
            let states = partial.state(EmitTo::All).unwrap();
            merged.merge_batch(&states, &whole[first..], groups).unwrap();
            assert_eq!(partial.matches.take(EmitTo::All).state().unwrap()[0].len(), 0);
        }
        merged.matches.reserve_groups(groups).unwrap();
        let first = random.index(groups + 1);
        let mut got = levels(&merged.evaluate(EmitTo::First(first)).unwrap());
        got.extend(levels(&merged.evaluate(EmitTo::All).unwrap()));
        assert_eq!(got, expected, "seed {seed}, modes {modes:?}");
    }
}

#[test]
fn memory_is_that_of_the_matches() {
    let mut groups = FunnelGroups::new(funnel(""));
    let before = groups.size();
    let none: Vec<Row> = (0..1_000).map(|group| (group, Some(1), 0, Some(true))).collect();
    groups
        .update_batch(&columns(&none).0, &groups_of(&none), None, 1_000)
        .unwrap();
    assert_eq!(groups.size(), before, "rows that meet no condition take none");
    let all: Vec<Row> = (0..1_000).map(|group| (group, Some(1), 1, Some(true))).collect();
    groups
        .update_batch(&columns(&all).0, &groups_of(&all), None, 1_000)
        .unwrap();
    assert!(groups.size() >= before + 16_000, "{}", groups.size());
}

#[test]
fn running_windows_end_before_they_take_too_long() {
    let mut one = OneFunnel::new(funnel(""));
    one.left = 2_500;
    let rows: Vec<Row> = (0..1_000).map(|nth| (0, Some(nth), 1, Some(true))).collect();
    one.update_batch(&columns(&rows).0).unwrap();
    for _ in 0..3 {
        one.evaluate().unwrap();
    }
    let error = one.evaluate().unwrap_err().to_string();
    assert!(error.contains("leave ORDER BY out of OVER"), "{error}");
}
