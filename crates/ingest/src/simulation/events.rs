//! The events that are sent: an event is its number, from which everything else follows.

use bytes::Bytes;
use footfall_model::clock::{DAY, Micros};
use footfall_model::proto::{Event, EventBatch};
use prost::Message;

use super::executor::BEGIN;
use super::random::Random;

/// Numbers from here on belong to events that foreign writers commit without the WAL.
pub(super) const FOREIGN_EVENTS: u32 = 1_000_000;

/// Sites that share event ids: the same id of another site is another event.
const SITES: u32 = 3;

/// The event that is received at `created_at`. Most are of the same day in any order, some are one or three days late.
pub(super) fn event(number: u32, created_at: Micros) -> Event {
    let mut random = Random::new(number.into());
    let days_late = random.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 3]);
    let event_timestamp = BEGIN - days_late * DAY - random.below(3_600_000_000).cast_signed();
    Event {
        tracking_id: format!("site-{}", number % SITES),
        event_id: (number / SITES).to_string(),
        client_id: format!("c{}", random.below(5)),
        session_id: Some("s".into()),
        event_type: random.pick(&["pageview", "click"]).into(),
        event_timestamp,
        created_at,
        ..Event::default()
    }
}

/// The number of the event with this site and id; `None` if they are not ours.
pub(super) fn number(tracking_id: &str, event_id: &str) -> Option<u32> {
    let site: u32 = tracking_id.strip_prefix("site-")?.parse().ok()?;
    let id: u32 = event_id.parse().ok()?;
    (site < SITES).then(|| id * SITES + site)
}

/// A WAL record.
pub(super) fn payload(numbers: &[u32], created_at: Micros) -> Bytes {
    let events = numbers.iter().map(|number| event(*number, created_at)).collect();
    EventBatch { events }.encode_to_vec().into()
}
