use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use footfall_model::access::SiteScope;
use footfall_model::clock::Micros;
use footfall_model::hash::id_hash;
use footfall_model::rollup::{Grain, HashedId, built_in};
use footfall_model::schema;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use arrow::compute::concat_batches;

#[derive(Debug, Clone)]
struct Event {
    site: u8,
    visitor: i64,
    at: Micros,
    event_type: u8,
    country: Option<u8>,
    is_bot: bool,
    revenue: Option<i32>,
    session: Option<u8>,
    user: Option<u8>,
}

impl Event {
    fn site(&self) -> String {
        format!("site {}", self.site)
    }

    /// The hashes of its session and its user.
    fn ids(&self) -> [Option<i64>; 2] {
        let hash = |id: String| id_hash(&self.site(), &id).cast_signed();
        let [session, user] = [self.session.map(session_id), self.user.map(user_id)];
        [session.map(hash), user.map(hash)]
    }
}

fn session_id(number: u8) -> String {
    format!("s{number}")
}

fn user_id(number: u8) -> String {
    format!("u{number}")
}

/// One at the beginning, of nothing in particular.
fn plain() -> Event {
    Event {
        site: 1,
        visitor: 7,
        at: 5,
        event_type: 0,
        country: None,
        is_bot: false,
        revenue: None,
        session: None,
        user: None,
    }
}

const TYPES: [&str; 3] = ["click", "pageview", "purchase"];

fn event() -> impl Strategy<Value = Event> {
    (
        0_u8..4,
        -3_i64..3,
        0_i64..3 * 3_600_000_000,
        0_u8..3,
        proptest::option::of(0_u8..3),
        any::<bool>(),
        proptest::option::of(any::<i32>()),
        proptest::option::of(0_u8..3),
        proptest::option::of(0_u8..2),
    )
        .prop_map(
            |(site, visitor, at, event_type, country, is_bot, revenue, session, user)| Event {
                site,
                visitor,
                at,
                event_type,
                country,
                is_bot,
                revenue,
                session,
                user,
            },
        )
}

fn rows(events: &[Event]) -> RecordBatch {
    let schema = schema::event_file();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "tracking_id" => Arc::new(StringArray::from_iter_values(events.iter().map(Event::site))),
            "session_id" => Arc::new(
                events
                    .iter()
                    .map(|e| e.session.map(session_id))
                    .collect::<StringArray>(),
            ),
            "user_id" => Arc::new(events.iter().map(|e| e.user.map(user_id)).collect::<StringArray>()),
            "client_hash" => Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.visitor))),
            "event_timestamp" => {
                Arc::new(TimestampMicrosecondArray::from_iter_values(events.iter().map(|e| e.at)).with_timezone("UTC"))
            }
            "event_type" => Arc::new(StringArray::from_iter_values(
                events.iter().map(|e| TYPES[usize::from(e.event_type)]),
            )),
            "country" => Arc::new(
                events
                    .iter()
                    .map(|e| e.country.map(|c| format!("{c}")))
                    .collect::<StringArray>(),
            ),
            "is_bot" => Arc::new(events.iter().map(|e| Some(e.is_bot)).collect::<BooleanArray>()),
            "revenue" => Arc::new(
                events
                    .iter()
                    .map(|e| e.revenue.map(i128::from))
                    .collect::<Decimal128Array>()
                    .with_data_type(field.data_type().clone()),
            ),
            _ if field.is_nullable() => new_null_array(field.data_type(), events.len()),
            _ => match field.data_type() {
                DataType::Int64 => Arc::new(Int64Array::from_value(0, events.len())),
                DataType::Utf8 => Arc::new(StringArray::from_iter_values(events.iter().map(|_| ""))),
                _ => Arc::new(TimestampMicrosecondArray::from_value(0, events.len()).with_timezone("UTC")),
            },
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// The segments of `files`, each of batches.
fn segments(rollups: &[Rollup], files: &[Vec<RecordBatch>]) -> Vec<Vec<RecordBatch>> {
    let mut aggregation = Aggregation::new(rollups).unwrap();
    let mut rows = Rows::new(rollups.len());
    let segments = files.iter().map(|batches| {
        for batch in batches {
            aggregation.push(batch, &mut rows).unwrap();
        }
        aggregation.finish(&mut rows).unwrap();
        let whole = |(rollup, batches): (&Rollup, Vec<RecordBatch>)| {
            concat_batches(rollup.table().unwrap().file_schema(), &batches).unwrap()
        };
        rollups.iter().zip(rows.take()).map(whole).collect()
    });
    segments.collect()
}

/// With a row for each of these ids, if they are asked for; else for all events.
fn hourly(ids: Option<&[HashedId]>) -> Rollup {
    Rollup {
        name: "mine".into(),
        revision: 0,
        sites: SiteScope::All,
        grain: Grain::Hour,
        per_visitor: ids.is_some(),
        ids: ids.map(<[_]>::to_vec).unwrap_or_default(),
        dimensions: ["country", "is_bot", "event_type"].map(str::to_owned).to_vec(),
        measures: built_in()[0].measures.clone(),
    }
}

/// Site, visitor, session, user, hour and dimensions.
type Key = (String, [Option<i64>; 3], Micros, Option<String>, bool, String);
type Group = (
    i64,
    i64,
    i64,
    i64,
    Option<i128>,
    Option<i128>,
    Option<i128>,
    Micros,
    Micros,
);

/// The simplest way to compute the same, in the order of a segment.
fn expected(events: &[Event], ids: Option<&[HashedId]>) -> Vec<(Key, Group)> {
    let mut groups: BTreeMap<Key, Vec<&Event>> = BTreeMap::new();
    let has = |id| ids.is_some_and(|ids| ids.contains(&id));
    for event in events {
        let [session, user] = event.ids();
        let key = (
            event.site(),
            [
                ids.map(|_| event.visitor),
                session.filter(|_| has(HashedId::Session)),
                user.filter(|_| has(HashedId::User)),
            ],
            event.at - event.at.rem_euclid(3_600_000_000),
            event.country.map(|c| c.to_string()),
            event.is_bot,
            TYPES[usize::from(event.event_type)].to_owned(),
        );
        groups.entry(key).or_default().push(event);
    }
    let group = |events: Vec<&Event>| {
        let revenue = || events.iter().filter_map(|e| e.revenue).map(i128::from);
        let times = || events.iter().map(|e| e.at);
        let of_type = |name| {
            events
                .iter()
                .filter(|e| TYPES[usize::from(e.event_type)] == name)
                .count() as i64
        };
        (
            events.len() as i64,
            of_type("pageview"),
            of_type("purchase"),
            revenue().count() as i64,
            revenue().reduce(|a, b| a + b),
            revenue().min(),
            revenue().max(),
            times().min().unwrap(),
            times().max().unwrap(),
        )
    };
    groups.into_iter().map(|(key, events)| (key, group(events))).collect()
}

fn found(segment: &RecordBatch) -> Vec<(Key, Group)> {
    let text = |row: usize, name: &str| {
        let column = segment.column_by_name(name).unwrap().as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let count = |row, name| {
        segment
            .column_by_name(name)
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(row)
    };
    let time = |row, name| {
        let column = segment.column_by_name(name).unwrap();
        column.as_primitive::<TimestampMicrosecondType>().value(row)
    };
    let decimal = |row, name| {
        let column = segment.column_by_name(name).unwrap().as_primitive::<Decimal128Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    (0..segment.num_rows())
        .map(|row| {
            let is_bot = segment.column_by_name("is_bot").unwrap().as_boolean().value(row);
            let key = (
                text(row, "tracking_id").unwrap(),
                ["client_hash", "session_hash", "user_hash"].map(|name| {
                    let hashes = segment.column_by_name(name)?.as_primitive::<Int64Type>();
                    hashes.is_valid(row).then(|| hashes.value(row))
                }),
                time(row, "hour"),
                text(row, "country"),
                is_bot,
                text(row, "event_type").unwrap(),
            );
            let group = (
                count(row, "event_count"),
                count(row, "pageviews"),
                count(row, "purchases"),
                count(row, "revenue_count"),
                decimal(row, "total_revenue"),
                decimal(row, "min_revenue"),
                decimal(row, "max_revenue"),
                time(row, "first_event"),
                time(row, "last_event"),
            );
            (key, group)
        })
        .collect()
}

#[test]
fn built_in_rollups_aggregate_real_events() {
    let event = Event {
        revenue: Some(3),
        ..plain()
    };
    let files = [vec![rows(&[event.clone(), event])], Vec::new()];
    let segments = segments(&built_in(), &files);
    for (rollup, segment) in built_in().iter().zip(&segments[0]) {
        assert_eq!(&segment.schema(), rollup.table().unwrap().file_schema());
        assert_eq!(segment.num_rows(), 1);
    }
    assert!(segments[1].iter().all(|segment| segment.num_rows() == 0));
}

/// Those of a rollup, if it is per visitor.
fn ids() -> impl Strategy<Value = Option<&'static [HashedId]>> {
    const ONE: &[HashedId] = &[HashedId::User];
    proptest::sample::select(vec![
        None,
        Some(&[] as &[HashedId]),
        Some(ONE),
        Some(&HashedId::ALL as &[HashedId]),
    ])
}

proptest! {
    #[test]
    fn segment_equals_group_by(
        mut events in vec(event(), 0..200), batch in 1_usize..50, others in 0_usize..3, ids in ids()
    ) {
        events.sort_by_key(|event| (event.site, event.visitor));
        let mut rollups = built_in();
        rollups.insert(others, hourly(ids));
        let segments = segments(&rollups, &[events.chunks(batch).map(rows).collect()]).swap_remove(0);
        prop_assert_eq!(found(&segments[others]), expected(&events, ids));
    }
}

#[test]
fn rows_of_visitors_leave_before_the_site_ends() {
    let event = |visitor| Event { visitor, ..plain() };
    let mut aggregation = Aggregation::new(&[hourly(Some(&[]))]).unwrap();
    let mut done = Rows::new(1);
    let events: Vec<_> = (0..100).map(event).collect();
    aggregation.push(&rows(&events), &mut done).unwrap();
    let complete: usize = done.take()[0].iter().map(RecordBatch::num_rows).sum();
    assert_eq!(complete, 99, "all but the last visitor, who may go on");
}

#[test]
fn rows_are_told_apart_by_sessions_and_users() {
    let event = |visitor, hour: i64, session, user| Event {
        visitor,
        at: hour * 3_600_000_000,
        session,
        user,
        ..plain()
    };
    let events = [
        // A session over two hours, which another visitor has too, and two sessions of one hour, one of them resumed.
        event(1, 0, Some(0), None),
        event(1, 1, Some(0), None),
        event(1, 1, Some(1), None),
        event(1, 1, Some(0), None),
        // A user of two visitors, and a visitor who becomes that user.
        event(2, 0, Some(0), Some(1)),
        event(3, 0, None, None),
        event(3, 0, None, Some(1)),
        event(3, 0, None, None),
    ];
    let ids = Some(&HashedId::ALL as &[HashedId]);
    let segment = segments(&[hourly(ids)], &[events.chunks(3).map(rows).collect()]).swap_remove(0);
    let found = found(&segment[0]);
    assert_eq!(found, expected(&events, ids));
    let distinct = |nth: usize| {
        let hashes = found.iter().filter_map(|((_, ids, ..), _)| ids[nth]);
        hashes.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((found.len(), distinct(0), distinct(1), distinct(2)), (6, 3, 2, 1));
    let visits = built_in().into_iter().filter(|rollup| !rollup.ids.is_empty());
    let visits: Vec<_> = visits.collect();
    let columns = Aggregation::columns(&visits);
    for name in ["session_id", "user_id"] {
        assert!(columns.iter().any(|column| column == name), "{columns:?}");
    }
}
