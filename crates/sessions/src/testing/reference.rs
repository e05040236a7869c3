//! Sessions the plain way: all events of a visitor at once, row by row. Tests compare with it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use footfall_model::clock::{DAY, Micros, SECOND};

use crate::{GAP, MAX_DURATION};

/// An event, as far as sessions depend on it. `texts`: see [`TEXTS`].
#[derive(Debug, Clone)]
struct Event {
    at: Micros,
    arrived: Micros,
    kind: String,
    hash: i64,
    is_bot: bool,
    revenue: Option<i128>,
    texts: BTreeMap<&'static str, Option<String>>,
}

/// The columns of events that a session's first event gives it.
const OF_FIRST: [&str; 12] = [
    "referrer",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "source",
    "channel",
    "country",
    "device",
    "browser",
    "os",
];
const TEXTS: [&str; 2] = ["page_path", "user_id"];

/// A session: each column of the view as text, `-` for null.
pub type Session = BTreeMap<&'static str, String>;

/// The sessions of `events`, which have all columns of a file of events and come in any order; by site, client and start.
///
/// # Panics
/// The events are of another schema.
pub fn sessions_of(events: &RecordBatch) -> Vec<Session> {
    let mut visitors: BTreeMap<(String, String), Vec<Event>> = BTreeMap::new();
    for row in 0..events.num_rows() {
        let site = text(events, "tracking_id", row).expect("a site");
        let client = text(events, "client_id", row).expect("a visitor");
        visitors.entry((site, client)).or_default().push(event(events, row));
    }
    let mut sessions = Vec::new();
    for ((site, client), mut events) in visitors {
        events.sort_by_key(|event| event.at);
        for chain in split(events, |before, after| after.at - before.at >= GAP) {
            let (first, last) = (&chain[0], &chain[chain.len() - 1]);
            let pieces = if last.at - first.at > MAX_DURATION {
                split(chain, |before, after| {
                    before.at.div_euclid(DAY) != after.at.div_euclid(DAY)
                })
            } else {
                vec![chain]
            };
            sessions.extend(pieces.iter().map(|events| session(&site, &client, events)));
        }
    }
    sessions
}

/// Cuts where `cut` holds between an event and the next.
fn split(events: Vec<Event>, cut: impl Fn(&Event, &Event) -> bool) -> Vec<Vec<Event>> {
    let mut pieces: Vec<Vec<Event>> = Vec::new();
    for event in events {
        match pieces.last_mut() {
            Some(piece) if !cut(&piece[piece.len() - 1], &event) => piece.push(event),
            _ => pieces.push(vec![event]),
        }
    }
    pieces
}

fn session(site: &str, client: &str, events: &[Event]) -> Session {
    let (start, end) = (events[0].at, events[events.len() - 1].at);
    let count = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    let (pageviews, purchases) = (count("pageview"), count("purchase"));
    let all = || events.iter();
    let pages = || all().filter(|event| event.kind == "pageview");
    let last_page = pages().map(|event| Reverse((event.at, event.arrived))).min();
    let exit = pages().filter(|event| Some(Reverse((event.at, event.arrived))) == last_page);
    let mut session = Session::new();
    for name in OF_FIRST {
        session.insert(name, known(&of_first(all(), name)));
    }
    session.insert(
        "user_id",
        known(&of_first(
            all().filter(|event| event.texts["user_id"].is_some()),
            "user_id",
        )),
    );
    session.insert("entry_page", known(&of_first(pages(), "page_path")));
    session.insert("exit_page", known(&smallest(exit, "page_path")));
    let revenue = all().filter_map(|event| event.revenue).reduce(|sum, more| sum + more);
    let seconds = (end - start) / SECOND;
    let converted = purchases > 0;
    let score = (seconds as f64 / 600.0 * 30.0).min(30.0)
        + (pageviews as f64 * 10.0).min(40.0)
        + if converted { 30.0 } else { 0.0 };
    session.insert("traffic_category", traffic_category(&session["channel"]).into());
    session.insert("device_category", device_category(&session["device"]).into());
    let figures = [
        ("tracking_id", site.to_owned()),
        ("session_id", format!("{client}_{}", start.div_euclid(1_000))),
        ("client_id", client.to_owned()),
        ("client_hash", events[0].hash.to_string()),
        ("session_start", start.to_string()),
        ("session_end", end.to_string()),
        ("session_duration", seconds.to_string()),
        ("event_count", events.len().to_string()),
        ("pageview_count", pageviews.to_string()),
        ("click_count", count("click").to_string()),
        ("purchase_count", purchases.to_string()),
        ("is_bot", all().any(|event| event.is_bot).to_string()),
        ("revenue", known(&revenue.map(|sum| sum.to_string()))),
        ("converted", converted.to_string()),
        ("bounced", (pageviews == 1).to_string()),
        (
            "engaged",
            (end - start >= 10 * SECOND || pageviews >= 2 || converted).to_string(),
        ),
        ("quality_score", score.to_string()),
    ];
    session.extend(figures);
    session
}

/// The text of the first event; of several first ones the smallest.
fn of_first<'a>(events: impl Iterator<Item = &'a Event> + Clone, name: &str) -> Option<String> {
    let first = events.clone().map(|event| (event.at, event.arrived)).min();
    smallest(events.filter(|event| Some((event.at, event.arrived)) == first), name)
}

fn smallest<'a>(events: impl Iterator<Item = &'a Event>, name: &str) -> Option<String> {
    events.filter_map(|event| event.texts[name].clone()).min()
}

fn known(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(|| "-".into())
}

fn traffic_category(channel: &str) -> &str {
    match channel.split(' ').next() {
        Some("-") => "-",
        Some("Direct") => "direct",
        Some("Paid" | "Display") => "paid",
        Some("Organic") => "organic",
        _ => "referral",
    }
}

/// Of those devices that the tests have.
fn device_category(device: &str) -> &str {
    match device {
        "-" | "tablet" | "mobile" | "desktop" => device,
        _ => "other",
    }
}

fn event(events: &RecordBatch, row: usize) -> Event {
    let time = |name| {
        column(events, name)
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
    };
    let revenue = column(events, "revenue").as_primitive::<Decimal128Type>();
    let texts = OF_FIRST.into_iter().chain(TEXTS);
    Event {
        at: time("event_timestamp"),
        arrived: time("created_at"),
        kind: text(events, "event_type", row).expect("a type"),
        hash: column(events, "client_hash").as_primitive::<Int64Type>().value(row),
        is_bot: column(events, "is_bot").as_boolean().value(row),
        revenue: revenue.is_valid(row).then(|| revenue.value(row)),
        texts: texts.map(|name| (name, text(events, name, row))).collect(),
    }
}

fn text(events: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let texts = column(events, name).as_string::<i32>();
    texts.is_valid(row).then(|| texts.value(row).to_owned())
}

fn column<'a>(events: &'a RecordBatch, name: &str) -> &'a dyn Array {
    events.column_by_name(name).expect(name)
}

/// The rows of the view, in the form of [`sessions_of`].
///
/// # Panics
/// The rows are of another schema.
pub fn rows_of(view: &RecordBatch) -> Vec<Session> {
    let mut sessions: Vec<Session> = (0..view.num_rows()).map(|row| row_of(view, row)).collect();
    let start = |session: &Session| session["session_start"].parse::<Micros>().expect("a time");
    sessions.sort_by_key(|session| {
        (
            session["tracking_id"].clone(),
            session["client_id"].clone(),
            start(session),
        )
    });
    sessions
}

fn row_of(view: &RecordBatch, row: usize) -> Session {
    use arrow::datatypes::DataType;
    let all = crate::SessionColumns::schema_of_all();
    let name_of = |name: &str| {
        let names = OF_FIRST.into_iter().chain(VIEW);
        names
            .into_iter()
            .find(|known| *known == name)
            .expect("a column of the view")
    };
    let schema = view.schema();
    let columns = schema.fields().iter().zip(view.columns()).map(|(field, column)| {
        let declared = all.field_with_name(field.name()).expect("a column");
        assert_eq!(field.data_type(), declared.data_type(), "{}", field.name());
        let value = match field.data_type() {
            _ if column.is_null(row) => "-".to_owned(),
            DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            DataType::Float64 => column
                .as_primitive::<arrow::datatypes::Float64Type>()
                .value(row)
                .to_string(),
            DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value(row).to_string(),
            DataType::Timestamp(..) => column.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
            other => panic!("a column of type {other}"),
        };
        (name_of(field.name()), value)
    });
    columns.collect()
}

/// The columns of the view that are not of the first event alone.
const VIEW: [&str; 22] = [
    "tracking_id",
    "session_id",
    "client_id",
    "client_hash",
    "user_id",
    "session_start",
    "session_end",
    "session_duration",
    "event_count",
    "pageview_count",
    "click_count",
    "purchase_count",
    "entry_page",
    "exit_page",
    "traffic_category",
    "device_category",
    "is_bot",
    "revenue",
    "converted",
    "bounced",
    "engaged",
    "quality_score",
];
