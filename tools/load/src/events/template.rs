//! A request's worth of events as bytes, and who fills in what changes.

use chrono::{DateTime, SecondsFormat};
use footfall_model::clock::Micros;

use super::content::Content;
use super::form::{
    CLIENT_ID_WIDTH, EVENT_ID_WIDTH, Form, SESSION_ID_WIDTH, Slots, TIME_TEXT_WIDTH, TIME_VARINT_WIDTH, varint,
};
use super::identity::{Sequence, mix};

/// Between the times of two events of one request.
const MICROS_BETWEEN_EVENTS: i64 = 3_000;

/// Different events that are prebuilt, at least; more would not fit into the processor's cache, as a real client's
/// events do.
const DIFFERENT_EVENTS: u64 = 4_096;

/// Different requests that are prebuilt, at least.
const DIFFERENT_REQUESTS: u64 = 16;

const TEN_DIGITS: u64 = 10_000_000_000;

/// Prebuilt bytes and where to fill them.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    slots: Vec<Slots>,
    form: Form,
}

/// Requests of `batch` events each, all different.
pub(crate) fn templates(form: Form, tracking_id: &str, batch: u32) -> anyhow::Result<Vec<Template>> {
    let batch = u64::from(batch);
    let requests = DIFFERENT_EVENTS.div_ceil(batch).max(DIFFERENT_REQUESTS);
    (0..requests)
        .map(|request| Template::new(form, tracking_id, request * batch..(request + 1) * batch))
        .collect()
}

impl Template {
    /// The events of these numbers.
    fn new(form: Form, tracking_id: &str, numbers: std::ops::Range<u64>) -> anyhow::Result<Self> {
        let mut template = Self {
            bytes: Vec::new(),
            slots: Vec::new(),
            form,
        };
        let array = form == Form::Json && numbers.end - numbers.start > 1;
        if array {
            template.bytes.push(b'[');
        }
        for number in numbers {
            let (event, slots) = form.event(&Content::new(number), tracking_id)?;
            match form {
                Form::Json if !template.slots.is_empty() => template.bytes.push(b','),
                Form::Json | Form::Lines => {}
                Form::Proto => {
                    // Field 1 of EventBatch, length-delimited.
                    template.bytes.push(0x0A);
                    prost::encoding::encode_varint(event.len() as u64, &mut template.bytes);
                }
            }
            template.slots.push(slots.moved(template.bytes.len()));
            template.bytes.extend_from_slice(&event);
            if form == Form::Lines {
                template.bytes.push(b'\n');
            }
        }
        if array {
            template.bytes.push(b']');
        }
        Ok(template)
    }

    /// With `head` before it.
    pub(crate) fn after(self, head: &[u8]) -> Self {
        Self {
            bytes: [head, &self.bytes].concat(),
            slots: self.slots.into_iter().map(|slots| slots.moved(head.len())).collect(),
            form: self.form,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn events(&self) -> u64 {
        self.slots.len() as u64
    }
}

/// Fills templates.
#[derive(Debug, Clone)]
pub(crate) struct Filler {
    sequence: Sequence,
    /// Text of the second that was last asked for, because writing it anew for each event would cost more than all the
    /// rest.
    second: i64,
    text: [u8; TIME_TEXT_WIDTH],
}

impl Filler {
    pub(crate) fn new(sequence: Sequence) -> Self {
        Self {
            sequence,
            second: i64::MIN,
            text: *b"1970-01-01T00:00:00.000Z",
        }
    }

    /// Makes `out` a copy of `template` with the events from number `first` on; the last of them happened at `now`.
    pub(crate) fn fill(&mut self, template: &Template, out: &mut Vec<u8>, first: u64, now: Micros) {
        out.clear();
        out.extend_from_slice(&template.bytes);
        let mut time = now - MICROS_BETWEEN_EVENTS * i64::try_from(template.slots.len()).unwrap_or(0);
        for (number, slots) in (first..).zip(&template.slots) {
            time += MICROS_BETWEEN_EVENTS;
            let identity = self.sequence.identity(number);
            let mut put = |at: usize, text: &[u8]| out[at..at + text.len()].copy_from_slice(text);
            put(slots.event_id, &hex::<2, EVENT_ID_WIDTH>(identity.event));
            put(slots.session_id, &hex::<1, SESSION_ID_WIDTH>([identity.session]));
            put(slots.client_id, &client_id(identity.visitor));
            match template.form {
                Form::Proto => put(slots.time, &varint(time)),
                Form::Json | Form::Lines => put(slots.time, self.text(time)),
            }
        }
    }

    /// RFC 3339 with milliseconds.
    fn text(&mut self, time: Micros) -> &[u8; TIME_TEXT_WIDTH] {
        let second = time.div_euclid(1_000_000);
        if second != self.second {
            self.second = second;
            let text = DateTime::from_timestamp(second, 0)
                .map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
                .and_then(|text| text.into_bytes().try_into().ok());
            if let Some(text) = text {
                self.text = text;
            }
        }
        let millis = time.rem_euclid(1_000_000) / 1_000;
        self.text[20] = digit(millis / 100);
        self.text[21] = digit(millis / 10 % 10);
        self.text[22] = digit(millis % 10);
        &self.text
    }
}

fn digit(value: i64) -> u8 {
    b'0' + value.to_le_bytes()[0]
}

/// Sixteen hexadecimal digits for each number.
fn hex<const NUMBERS: usize, const DIGITS: usize>(numbers: [u64; NUMBERS]) -> [u8; DIGITS] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|index| {
        let byte = numbers[index / 16].to_be_bytes()[index % 16 / 2];
        HEX[usize::from(if index % 2 == 0 { byte >> 4 } else { byte & 15 })]
    })
}

/// Two numbers with a point between, as the usual trackers make them.
fn client_id(visitor: u64) -> [u8; CLIENT_ID_WIDTH] {
    let mut text = [b'.'; CLIENT_ID_WIDTH];
    let mut put = |indices: std::ops::Range<usize>, mut number: u64| {
        for index in indices.rev() {
            text[index] = b'0' + (number % 10).to_le_bytes()[0];
            number /= 10;
        }
    };
    put(0..10, visitor % TEN_DIGITS);
    put(11..21, mix(visitor) % TEN_DIGITS);
    text
}

const _: () = assert!(EVENT_ID_WIDTH == 2 * 16 && SESSION_ID_WIDTH == 16 && TIME_VARINT_WIDTH == 8);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use footfall_model::proto::EventBatch;
    use prost::Message;
    use serde_json::Value;

    use super::*;

    // 2026-02-02T10:30:00.000Z
    const NOW: Micros = 1_770_028_200_000_000;

    fn filled(form: Form, batch: u32, first: u64) -> Vec<u8> {
        let template = &templates(form, "shop", batch).unwrap()[1];
        let mut out = b"left over from before".to_vec();
        Filler::new(Sequence::new(1)).fill(template, &mut out, first, NOW);
        out
    }

    #[test]
    fn one_event_is_object_several_are_array() {
        let one: Value = serde_json::from_slice(&filled(Form::Json, 1, 0)).unwrap();
        assert_eq!(one["tracking_id"], "shop");
        assert_eq!(one["timestamp"], "2026-02-02T10:30:00.000Z");
        let several: Value = serde_json::from_slice(&filled(Form::Json, 10, 0)).unwrap();
        assert_eq!(several.as_array().unwrap().len(), 10);
        assert_eq!(several[8]["timestamp"], "2026-02-02T10:29:59.997Z");
    }

    #[test]
    fn json_and_protobuf_are_equivalent() {
        let json: Value = serde_json::from_slice(&filled(Form::Json, 100, 5_000)).unwrap();
        let proto = EventBatch::decode(filled(Form::Proto, 100, 5_000).as_slice()).unwrap();
        assert_eq!(proto.events.len(), 100);
        for (json, proto) in json.as_array().unwrap().iter().zip(&proto.events) {
            assert_eq!(json["event_id"], proto.event_id.as_str());
            assert_eq!(json["client_id"], proto.client_id.as_str());
            assert_eq!(json["session_id"], proto.session_id.as_deref().unwrap_or_default());
            assert_eq!(json["page"]["url"], proto.page_url.clone().unwrap().as_str());
            let time = DateTime::parse_from_rfc3339(json["timestamp"].as_str().unwrap()).unwrap();
            assert_eq!(time.timestamp_micros(), proto.event_timestamp);
        }
    }

    #[test]
    fn consecutive_requests_share_no_event() {
        let ids: HashSet<String> = [0, 500]
            .into_iter()
            .flat_map(|first| {
                EventBatch::decode(filled(Form::Proto, 500, first).as_slice())
                    .unwrap()
                    .events
            })
            .map(|event| event.event_id)
            .collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn event_has_realistic_size() {
        let bytes = filled(Form::Json, 500, 0).len() / 500;
        assert!((400..600).contains(&bytes), "{bytes} bytes an event");
    }

    #[test]
    fn lines_are_objects() {
        let lines = String::from_utf8(filled(Form::Lines, 10, 0)).unwrap();
        assert!(lines.ends_with('\n'));
        let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(events.len() == 10 && events.iter().all(Value::is_object), "{lines}");
    }

    #[test]
    fn head_shifts_the_slots() {
        let template = Template::new(Form::Json, "shop", 0..2)
            .unwrap()
            .after(b"POST /\r\n\r\n");
        let mut out = Vec::new();
        Filler::new(Sequence::new(1)).fill(&template, &mut out, 0, NOW);
        let body = out.strip_prefix(b"POST /\r\n\r\n").unwrap();
        let events: Value = serde_json::from_slice(body).unwrap();
        assert!(!events.to_string().contains("eeee"), "{events}");
    }
}
