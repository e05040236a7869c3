//! An event as bytes, with slots of fixed width for what changes from one request to the next.

use footfall_model::clock::Micros;
use footfall_model::proto::Event;
use prost::Message;
use serde::Serialize;
use serde_json::value::RawValue;

use super::content::Content;

/// What stands in a slot until it is filled. No content contains such texts.
const EVENT_ID: &str = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
const CLIENT_ID: &str = "ccccccccccccccccccccc";
const SESSION_ID: &str = "ssssssssssssssss";
const TIME_TEXT: &str = "tttttttttttttttttttttttt";

/// Times from 1987 to 4253 take eight bytes as a varint; this one lies among them.
const TIME: Micros = 0x12_3456_789A_BCDE;

pub(crate) const EVENT_ID_WIDTH: usize = EVENT_ID.len();
pub(crate) const CLIENT_ID_WIDTH: usize = CLIENT_ID.len();
pub(crate) const SESSION_ID_WIDTH: usize = SESSION_ID.len();
pub(crate) const TIME_TEXT_WIDTH: usize = TIME_TEXT.len();
pub(crate) const TIME_VARINT_WIDTH: usize = 8;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One event as an object, several as an array.
    Json,
    /// An object a line.
    Lines,
    /// An `EventBatch`.
    Proto,
}

/// Where the slots of an event begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    pub(crate) event_id: usize,
    pub(crate) client_id: usize,
    pub(crate) session_id: usize,
    pub(crate) time: usize,
}

impl Slots {
    /// The same slots, `bytes` further on.
    pub(crate) fn moved(self, bytes: usize) -> Self {
        Self {
            event_id: self.event_id + bytes,
            client_id: self.client_id + bytes,
            session_id: self.session_id + bytes,
            time: self.time + bytes,
        }
    }
}

#[derive(Serialize)]
struct JsonEvent<'a> {
    tracking_id: &'a str,
    event_id: &'a str,
    client_id: &'a str,
    session_id: &'a str,
    event_type: &'a str,
    timestamp: &'a str,
    page: Page<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revenue: Option<f64>,
    custom_properties: &'a RawValue,
}

#[derive(Serialize)]
struct Page<'a> {
    url: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<&'a str>,
}

#[derive(Serialize)]
struct User<'a> {
    user_id: &'a str,
}

impl Form {
    /// One event, without what stands between events.
    pub(crate) fn event(self, content: &Content, tracking_id: &str) -> anyhow::Result<(Vec<u8>, Slots)> {
        let bytes = match self {
            Self::Json | Self::Lines => serde_json::to_vec(&json(content, tracking_id))?,
            Self::Proto => proto(content, tracking_id).encode_to_vec(),
        };
        let time = match self {
            Self::Json | Self::Lines => TIME_TEXT.as_bytes().to_vec(),
            Self::Proto => varint(TIME).to_vec(),
        };
        let find = |mark: &[u8]| {
            let index = bytes.windows(mark.len()).position(|window| window == mark);
            index.ok_or_else(|| anyhow::anyhow!("an event has no slot {mark:?}"))
        };
        let slots = Slots {
            event_id: find(EVENT_ID.as_bytes())?,
            client_id: find(CLIENT_ID.as_bytes())?,
            session_id: find(SESSION_ID.as_bytes())?,
            time: find(&time)?,
        };
        Ok((bytes, slots))
    }
}

fn json<'a>(content: &'a Content, tracking_id: &'a str) -> JsonEvent<'a> {
    JsonEvent {
        tracking_id,
        event_id: EVENT_ID,
        client_id: CLIENT_ID,
        session_id: SESSION_ID,
        event_type: content.kind,
        timestamp: TIME_TEXT,
        page: Page {
            url: &content.url,
            title: &content.title,
            referrer: content.referrer,
        },
        user: content.user_id.as_deref().map(|user_id| User { user_id }),
        revenue: content.revenue.map(|cents| f64::from(cents) / 100.0),
        custom_properties: &content.properties,
    }
}

fn proto(content: &Content, tracking_id: &str) -> Event {
    Event {
        tracking_id: tracking_id.to_owned(),
        event_id: EVENT_ID.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        session_id: Some(SESSION_ID.to_owned()),
        event_type: content.kind.to_owned(),
        event_timestamp: TIME,
        page_url: Some(content.url.clone()),
        page_title: Some(content.title.clone()),
        referrer: content.referrer.map(str::to_owned),
        user_id: content.user_id.clone(),
        // In units of 1/10,000.
        revenue: content.revenue.map(|cents| i64::from(cents) * 100),
        custom_properties: Some(content.properties.get().to_owned()),
        ..Event::default()
    }
}

/// A time as a varint, for times from 1987 to 4253.
pub(crate) fn varint(time: Micros) -> [u8; TIME_VARINT_WIDTH] {
    std::array::from_fn(|index| {
        let more = if index + 1 < TIME_VARINT_WIDTH { 0x80 } else { 0 };
        (time >> (7 * index)).to_le_bytes()[0] & 0x7F | more
    })
}
