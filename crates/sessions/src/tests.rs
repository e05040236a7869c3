//! Whatever files events come in, and however these are merged: the sessions are those of the plain computation.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{SortColumn, concat_batches, filter_record_batch, lexsort_to_indices, not, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use footfall_model::clock::{DAY, Micros};

use crate::testing::{Event, MIDNIGHT, MINUTE, Random, Session, event, random_events, rows, rows_of, sessions_of};
use crate::{EventParts, GAP, Rule, SETTLED, SessionColumns, Stitcher, part_order, split};

fn sorted(rows: &RecordBatch, by: &[&str]) -> RecordBatch {
    let columns: Vec<_> = by
        .iter()
        .map(|name| SortColumn {
            values: rows.column_by_name(name).unwrap().clone(),
            options: None,
        })
        .collect();
    let order = lexsort_to_indices(&columns, None).unwrap();
    take_record_batch(rows, &order).unwrap()
}

/// Pushes rows in batches of random size.
fn stitched(random: &mut Random, stitcher: &mut Stitcher, rows: &RecordBatch) -> RecordBatch {
    let (mut out, mut from) = (Vec::new(), 0);
    while from < rows.num_rows() {
        let count = (1 + random.index(9)).min(rows.num_rows() - from);
        out.push(stitcher.push(&rows.slice(from, count)).unwrap());
        from += count;
    }
    out.push(stitcher.finish().unwrap());
    concat_batches(stitcher.schema(), &out).unwrap()
}

/// What the compactor keeps of a file of events.
fn parts_of_file(random: &mut Random, events: &[Event]) -> RecordBatch {
    let parts = EventParts::whole();
    let file = sorted(
        &rows(events),
        &[
            "tracking_id",
            "client_hash",
            "event_timestamp",
            "created_at",
            "event_id",
        ],
    );
    stitched(
        random,
        &mut Stitcher::new(&parts, Rule::Parts),
        &parts.parts_of(&file).unwrap(),
    )
}

fn sessions_of_parts(random: &mut Random, parts: &[RecordBatch]) -> Vec<Session> {
    let columns = SessionColumns::new(None).unwrap();
    let wanted = columns.parts().schema();
    let parts: Vec<_> = parts.iter().map(|parts| with_columns(parts, wanted)).collect();
    let all = concat_batches(wanted, &parts).unwrap();
    let sessions = stitched(
        random,
        &mut Stitcher::new(columns.parts(), Rule::Sessions),
        &sorted(&all, &part_order()),
    );
    rows_of(&columns.project(&sessions).unwrap())
}

fn with_columns(batch: &RecordBatch, wanted: &SchemaRef) -> RecordBatch {
    let indices = wanted
        .fields()
        .iter()
        .map(|field| batch.schema().index_of(field.name()).unwrap());
    batch.project(&indices.collect::<Vec<_>>()).unwrap()
}

#[test]
fn settled_parts_are_whole_sessions() {
    let (mut settled_count, mut shared) = (0, 0);
    for seed in 0..80 {
        let mut random = Random(seed);
        let events = random_events(&mut random);
        let mut days: BTreeMap<Micros, Vec<Event>> = BTreeMap::new();
        for event in &events {
            days.entry(event.at.div_euclid(DAY)).or_default().push(event.clone());
        }
        let (mut sessions, mut others) = (Vec::new(), Vec::new());
        for events in days.values() {
            let parts = parts_of_file(&mut random, events);
            let settled = parts.column_by_name(SETTLED).unwrap().as_boolean();
            let columns = SessionColumns::new(None).unwrap();
            let whole = filter_record_batch(&parts, settled).unwrap();
            sessions.extend(rows_of(&columns.project(&whole).unwrap()));
            others.push(filter_record_batch(&parts, &not(settled).unwrap()).unwrap());
        }
        settled_count += sessions.len();
        sessions.extend(sessions_of_parts(&mut random, &others));
        let key = |session: &Session| {
            (
                session["client_id"].clone(),
                session["session_start"].parse::<Micros>().unwrap(),
            )
        };
        sessions.sort_by_key(key);
        let mut expected = sessions_of(&rows(&events));
        expected.sort_by_key(key);
        assert_eq!(sessions, expected, "seed {seed}");
        let clients: BTreeSet<&str> = events.iter().map(|event| event.client.as_ref()).collect();
        shared += usize::from(clients.contains("x1") && clients.contains("x2"));
    }
    assert!(settled_count > 500 && shared > 10, "{settled_count} {shared}");
}

#[test]
fn sessions_do_not_depend_on_files_or_merges() {
    let (mut long, mut across) = (0, 0);
    for seed in 0..80 {
        let mut random = Random(seed);
        let events = random_events(&mut random);
        let expected = sessions_of(&rows(&events));
        long += usize::from(
            expected
                .iter()
                .any(|session| session["session_duration"].parse::<i64>().unwrap() > 70_000),
        );
        across += usize::from(expected.iter().any(|session| {
            let day = |name| session[name].parse::<Micros>().unwrap().div_euclid(DAY);
            day("session_start") < day("session_end")
        }));
        // Files of one day each.
        let mut files: Vec<(i64, Vec<Event>)> = Vec::new();
        for event in &events {
            let day = event.at.div_euclid(DAY);
            let mut of_day: Vec<_> = files.iter_mut().filter(|(of, _)| *of == day).collect();
            let chosen = random.index(4);
            match of_day.get_mut(chosen) {
                Some((_, file)) => file.push(event.clone()),
                None => files.push((day, vec![event.clone()])),
            }
        }
        // Some files are covered by parts, of which some are merged again; the others are read raw.
        let mut parts: Vec<RecordBatch> = Vec::new();
        for (_, file) in &files {
            let raw = EventParts::whole().parts_of(&rows(file)).unwrap();
            parts.push(match random.below(3) {
                0 => raw,
                // In no order, as a query reads them.
                1 => stitched(&mut random, &mut Stitcher::new(&EventParts::whole(), Rule::Parts), &raw),
                _ => parts_of_file(&mut random, file),
            });
        }
        assert_eq!(sessions_of_parts(&mut random, &parts), expected, "seed {seed}");
    }
    assert!(long > 10 && across > 10, "{long} long, {across} across midnight");
}

#[test]
fn parts_of_merged_files_have_gaps_and_stay_in_their_day() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut events = random_events(&mut random);
        events.retain(|event| event.client == "x3");
        let parts = parts_of_file(&mut random, &events);
        let numbers = |name: &str| {
            arrow::compute::cast(parts.column_by_name(name).unwrap(), &arrow::datatypes::DataType::Int64).unwrap()
        };
        let (starts, durations) = (numbers("part_start"), numbers("duration"));
        let (starts, durations) = (
            arrow::array::AsArray::as_primitive::<Int64Type>(&starts),
            arrow::array::AsArray::as_primitive::<Int64Type>(&durations),
        );
        for row in 0..parts.num_rows() {
            let end = starts.value(row) + durations.value(row);
            assert_eq!(starts.value(row).div_euclid(DAY), end.div_euclid(DAY));
            if row + 1 < parts.num_rows() {
                let next = starts.value(row + 1);
                assert!(
                    next - end >= GAP || next.div_euclid(DAY) != end.div_euclid(DAY),
                    "seed {seed}"
                );
            }
        }
    }
}

/// Start and end of each session, in minutes from midnight.
fn spans(files: &[Vec<Event>]) -> Vec<(String, i64, i64)> {
    let mut random = Random(1);
    let parts: Vec<_> = files.iter().map(|file| parts_of_file(&mut random, file)).collect();
    let minutes =
        |session: &Session, name: &str| (session[name].parse::<Micros>().unwrap() - MIDNIGHT).div_euclid(MINUTE);
    let sessions = sessions_of_parts(&mut random, &parts);
    sessions
        .iter()
        .map(|s| {
            (
                s["client_id"].clone(),
                minutes(s, "session_start"),
                minutes(s, "session_end"),
            )
        })
        .collect()
}

fn at(client: &str, minutes: &[i64]) -> Vec<Event> {
    minutes
        .iter()
        .map(|minute| event(client, MIDNIGHT + minute * MINUTE))
        .collect()
}

#[test]
fn gap_of_thirty_minutes_starts_a_session() {
    let mut events = at("x1", &[0, 30, 60]);
    assert_eq!(spans(&[events.clone()]).len(), 3);
    events[1].at -= 1;
    assert_eq!(spans(&[events]), [("x1".into(), 0, 29), ("x1".into(), 60, 60)]);
}

#[test]
fn late_event_merges_two_sessions() {
    assert_eq!(spans(&[at("x1", &[0, 10]), at("x1", &[55, 60])]).len(), 2);
    assert_eq!(
        spans(&[at("x1", &[0, 10]), at("x1", &[55, 60]), at("x1", &[32])]),
        [("x1".into(), 0, 60)]
    );
    // A part within another one's span.
    assert_eq!(
        spans(&[at("x1", &[0, 20, 40]), at("x1", &[5]), at("x1", &[69])]),
        [("x1".into(), 0, 69)]
    );
}

#[test]
fn session_goes_on_after_midnight() {
    // The midnight is that of a month, too.
    assert_eq!(
        spans(&[at("x1", &[-20, -1]), at("x1", &[0, 10])]),
        [("x1".into(), -20, 10)]
    );
    assert_eq!(spans(&[at("x1", &[-20]), at("x1", &[10])]).len(), 2);
}

#[test]
fn chain_beyond_a_day_is_cut_at_midnights() {
    let every = |from: i64, to: i64| (from..=to).step_by(10).collect::<Vec<_>>();
    let days = |minutes: &[i64]| -> Vec<Vec<Event>> {
        let day = |minute: i64| minute.div_euclid(24 * 60);
        minutes
            .chunk_by(|a, b| day(*a) == day(*b))
            .map(|minutes| at("x1", minutes))
            .collect()
    };
    // Exactly a day, and one event more.
    assert_eq!(spans(&days(&every(-600, 840))), [("x1".into(), -600, 840)]);
    assert_eq!(
        spans(&days(&every(-600, 850))),
        [("x1".into(), -600, -10), ("x1".into(), 0, 850)]
    );
    let last_of_day = 24 * 60 - 10;
    assert_eq!(
        spans(&days(&every(-600, 24 * 60 + 20))),
        [
            ("x1".into(), -600, -10),
            ("x1".into(), 0, last_of_day),
            ("x1".into(), 24 * 60, 24 * 60 + 20)
        ]
    );
}

#[test]
fn visitors_with_one_hash_are_two() {
    let both = [at("x1", &[0, 20]), at("x2", &[10, 30])].concat();
    assert_eq!(spans(&[both]), [("x1".into(), 0, 20), ("x2".into(), 10, 30)]);
}

#[test]
fn events_at_one_time_go_by_arrival() {
    let mut first = event("x1", MIDNIGHT);
    let mut second = first.clone();
    (first.arrived, second.arrived) = (MIDNIGHT + 5, MIDNIGHT + 9);
    (first.seed, second.seed) = (1 << 40 | 0xFFFF_FFFF, 0x2222_2222);
    let expected = sessions_of(&rows(&[first.clone(), second.clone()]));
    assert_ne!(expected[0]["entry_page"], expected[0]["exit_page"]);
    let mut random = Random(3);
    for files in [[first.clone(), second.clone()], [second, first]] {
        let parts: Vec<_> = files
            .iter()
            .map(|event| parts_of_file(&mut random, std::slice::from_ref(event)))
            .collect();
        assert_eq!(sessions_of_parts(&mut random, &parts), expected);
    }
}

#[test]
fn columns_alone_have_the_same_values() {
    let mut random = Random(9);
    let events = random_events(&mut random);
    let whole = rows_of(&{
        let columns = SessionColumns::new(None).unwrap();
        view(&columns, &events)
    });
    let all = SessionColumns::schema_of_all();
    let keys = ["tracking_id", "client_id", "session_start"].map(|name| all.index_of(name).unwrap());
    for index in 0..all.fields().len() {
        let mut indices = keys.to_vec();
        if !indices.contains(&index) {
            indices.push(index);
        }
        let columns = SessionColumns::new(Some(&indices)).unwrap();
        for (one, all) in rows_of(&view(&columns, &events)).iter().zip(&whole) {
            assert!(
                one.iter().all(|(name, value)| all[name] == *value),
                "{one:?} is not of {all:?}"
            );
        }
    }
    let none = view(&SessionColumns::new(Some(&[])).unwrap(), &events);
    assert_eq!((none.num_columns(), none.num_rows()), (0, whole.len()));
}

/// The view over events of which only the needed columns are read.
fn view(columns: &SessionColumns, events: &[Event]) -> RecordBatch {
    let parts = columns.parts();
    let read = rows(events).project(&parts.event_columns()).unwrap();
    let sorted = sorted(&parts.parts_of(&read).unwrap(), &part_order());
    let mut stitcher = Stitcher::new(parts, Rule::Sessions);
    let sessions = [stitcher.push(&sorted).unwrap(), stitcher.finish().unwrap()];
    columns
        .project(&concat_batches(stitcher.schema(), &sessions).unwrap())
        .unwrap()
}

/// The margin of days that a condition on a session's time needs: with it, the sessions that start or end on a day are
/// the same as with all events; without, they are not.
#[test]
fn two_days_on_either_side_suffice() {
    let mut wrong_with_one = 0;
    for seed in 0..30 {
        let mut random = Random(seed);
        let (mut events, mut at) = (
            Vec::new(),
            MIDNIGHT - 4 * DAY - random.below(DAY.unsigned_abs()).cast_signed(),
        );
        while at < MIDNIGHT + 4 * DAY {
            // Breaks just after midnight are those that matter.
            let is_early = at.rem_euclid(DAY) < 30 * MINUTE;
            at += match random.below(if is_early { 3 } else { 200 }) {
                0 => 40 * MINUTE,
                _ => 25 * MINUTE,
            };
            events.push(event("x1", at));
        }
        let day = 20_758;
        let on_day = |sessions: Vec<Session>| -> Vec<Session> {
            let touches =
                |session: &Session, name: &str| session[name].parse::<Micros>().unwrap().div_euclid(DAY) == day;
            sessions
                .into_iter()
                .filter(|s| touches(s, "session_start") || touches(s, "session_end"))
                .collect()
        };
        let within = |margin: i64| {
            let near = |event: &&Event| (event.at.div_euclid(DAY) - day).abs() <= margin;
            on_day(sessions_of(&rows(
                &events.iter().filter(near).cloned().collect::<Vec<_>>(),
            )))
        };
        let expected = on_day(sessions_of(&rows(&events)));
        assert_eq!(within(crate::MARGIN_DAYS.into()), expected, "seed {seed}");
        wrong_with_one += usize::from(within(1) != expected);
    }
    assert!(wrong_with_one > 0);
}

#[test]
fn split_has_the_sessions_of_the_view() {
    let mut cut = 0;
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut events = random_events(&mut random);
        events.retain(|event| event.client == "x1");
        events.sort_by_key(|event| event.at);
        let mut expected: Vec<(Micros, i64)> = sessions_of(&rows(&events))
            .iter()
            .map(|session| {
                (
                    session["session_start"].parse().unwrap(),
                    session["event_count"].parse().unwrap(),
                )
            })
            .collect();
        expected.sort_unstable();
        let found: Vec<_> = split(&events, |event| event.at)
            .iter()
            .map(|session| (session[0].at, i64::try_from(session.len()).unwrap()))
            .collect();
        assert_eq!(found, expected, "seed {seed}");
        let is_cut = |pair: &[&[Event]]| pair[1][0].at - pair[0][pair[0].len() - 1].at < crate::GAP;
        cut += split(&events, |event| event.at)
            .windows(2)
            .filter(|pair| is_cut(pair))
            .count();
    }
    assert!(cut > 5, "otherwise no chain was cut at midnight: {cut}");
}
