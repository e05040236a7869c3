//! Events around a midnight, at random and by hand.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::DataType;
use footfall_model::clock::{DAY, Micros, SECOND};
use footfall_model::hash::client_hash;
use footfall_model::schema;

use crate::GAP;

pub const MINUTE: Micros = 60 * SECOND;

/// Between October and November 2026.
pub const MIDNIGHT: Micros = 20_758 * DAY;

#[derive(Debug, Clone)]
pub struct Event {
    pub client: String,
    pub at: Micros,
    pub arrived: Micros,
    pub kind: &'static str,
    /// Chooses the other values, and is the id.
    pub seed: u64,
}

/// A pageview.
pub fn event(client: &str, at: Micros) -> Event {
    Event {
        client: client.into(),
        at,
        arrived: at + SECOND,
        kind: "pageview",
        seed: at.unsigned_abs() / SECOND.unsigned_abs(),
    }
}

fn site(event: &Event) -> &'static str {
    if event.client.starts_with('x') { "s" } else { "t" }
}

/// Two visitors have the same hash.
fn hash(event: &Event) -> i64 {
    match event.client.as_str() {
        "x1" | "x2" => 7,
        client => client_hash(site(event), client).cast_signed(),
    }
}

/// Rows of a file of events.
pub fn rows(events: &[Event]) -> RecordBatch {
    let text =
        |of: &dyn Fn(&Event) -> Option<String>| Arc::new(events.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let times = |of: fn(&Event) -> Micros| {
        Arc::new(TimestampMicrosecondArray::from_iter_values(events.iter().map(of)).with_timezone("UTC")) as ArrayRef
    };
    let schema = schema::event_file();
    let columns = schema.fields().iter().enumerate().map(|(index, field)| {
        let choice = |event: &Event| (event.seed >> (index % 23)) % 5;
        match field.name().as_str() {
            "tracking_id" => text(&|event| Some(site(event).into())),
            "client_id" => text(&|event| Some(event.client.clone())),
            "event_id" => text(&|event| Some(event.seed.to_string())),
            "event_type" => text(&|event| Some(event.kind.into())),
            "client_hash" => Arc::new(Int64Array::from_iter_values(events.iter().map(hash))),
            "event_timestamp" => times(|event| event.at),
            "created_at" => times(|event| event.arrived),
            "is_bot" => Arc::new(BooleanArray::from_iter(
                events.iter().map(|event| Some(choice(event) == 0)),
            )),
            "revenue" => {
                let revenue = events
                    .iter()
                    .map(|event| (event.kind == "purchase").then(|| i128::from(event.seed % 90_000)));
                Arc::new(
                    revenue
                        .collect::<Decimal128Array>()
                        .with_precision_and_scale(18, 4)
                        .unwrap(),
                )
            }
            "channel" => text(&|event| {
                ["Direct", "Paid Search", "Email", "Organic Video"]
                    .get(choice(event) as usize)
                    .map(|c| (*c).into())
            }),
            "device" => text(&|event| {
                ["mobile", "desktop", "tablet"]
                    .get(choice(event) as usize)
                    .map(|c| (*c).into())
            }),
            name if field.data_type() == &DataType::Utf8 => {
                text(&|event| (choice(event) > 0).then(|| format!("{name}-{}", choice(event))))
            }
            _ => new_null_array(field.data_type(), events.len()),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// splitmix64.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    pub fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }
}

/// Events around midnight, an hour, a second apart; some at the same time, some exactly [`GAP`] apart.
pub fn random_events(random: &mut Random) -> Vec<Event> {
    let mut events = Vec::new();
    for client in ["x1", "x2", "x3", "y1"] {
        let mut at = MIDNIGHT - random.below(3 * DAY.unsigned_abs()).cast_signed();
        let dense = random.below(3) == 0;
        for _ in 0..random.below(if dense { 250 } else { 40 }) {
            at += match random.below(if dense { 400 } else { 12 }) {
                0 => GAP,
                1 => GAP - 1,
                2 => random.below(DAY.unsigned_abs()).cast_signed(),
                3 => 0,
                4 => SECOND,
                _ => random.below(29 * MINUTE.unsigned_abs()).cast_signed(),
            };
            let kind = ["pageview", "pageview", "click", "purchase", "scroll"][random.index(5)];
            // Few arrivals: some events are equal in time and arrival.
            let arrived = at + random.below(2).cast_signed();
            let seed = random.below(u64::MAX);
            events.push(Event {
                client: client.into(),
                at,
                arrived,
                kind,
                seed,
            });
        }
    }
    events
}
