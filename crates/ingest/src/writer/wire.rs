//! The log's records, read in place: an event's fields as slices of the record, without a copy of any.
//!
//! It takes what prost's decoder takes and refuses what that refuses (a property test), so that whatever a record
//! holds, damaged or of a newer version, is met by an error and never by a panic.

#[cfg(test)]
use footfall_model::proto::Event;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Texts of an event.
pub(super) const TEXTS: usize = 22;

/// An event's fields; the texts in the order of the columns. Texts that every event has are never `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) texts: [Option<&'a [u8]>; TEXTS],
    pub(super) event_timestamp: i64,
    pub(super) created_at: i64,
    pub(super) is_bot: bool,
    pub(super) revenue: Option<i64>,
}

/// Bytes that are no batch of events.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error(transparent)]
    Protobuf(#[from] DecodeError),
    #[error("a field ends behind its record")]
    Length,
    #[error("a field is of the wrong type")]
    Type,
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("the time {0} µs lies outside the calendar")]
    Time(i64),
}

/// The place of a text among the columns, by its number in the wire schema.
const fn index(tag: u32) -> Option<usize> {
    Some(match tag {
        1..=5 => tag as usize - 1,
        6 => 5,
        8..=10 => tag as usize - 2,
        20..=31 => tag as usize - 11,
        12 => 21,
        _ => return None,
    })
}

impl<'a> Fields<'a> {
    /// No field is there. Those that every event has are empty.
    fn none() -> Self {
        let empty: Option<&[u8]> = Some(&[]);
        let mut texts = [None; TEXTS];
        texts[..4].fill(empty);
        texts[5] = empty;
        Self {
            texts,
            event_timestamp: 0,
            created_at: 0,
            is_bot: false,
            revenue: None,
        }
    }

    /// Reads an event. Texts are not looked into: see [`Self::check_texts`].
    pub(super) fn read(mut event: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Self::none();
        while !event.is_empty() {
            let (tag, wire_type) = key(&mut event)?;
            if let Some(index) = index(tag) {
                fields.texts[index] = Some(delimited(wire_type, &mut event)?);
                continue;
            }
            match tag {
                7 => fields.event_timestamp = number(wire_type, &mut event)?.cast_signed(),
                11 => {
                    let coded = number(wire_type, &mut event)?;
                    fields.revenue = Some((coded >> 1).cast_signed() ^ -((coded & 1).cast_signed()));
                }
                32 => fields.is_bot = number(wire_type, &mut event)? != 0,
                33 => fields.created_at = number(wire_type, &mut event)?.cast_signed(),
                _ => skip_field(wire_type, tag, &mut event, DecodeContext::default())?,
            }
        }
        Ok(fields)
    }

    /// Whether all texts are UTF-8.
    pub(super) fn check_texts(&self) -> Result<(), Malformed> {
        let sound = |text: &[u8]| text.is_ascii() || std::str::from_utf8(text).is_ok();
        match self.texts.iter().flatten().all(|text| sound(text)) {
            true => Ok(()),
            false => Err(Malformed::Utf8),
        }
    }

    pub(super) fn tracking_id(&self) -> &'a [u8] {
        self.texts[0].unwrap_or_default()
    }

    pub(super) fn event_id(&self) -> &'a [u8] {
        self.texts[1].unwrap_or_default()
    }

    pub(super) fn client_id(&self) -> &'a [u8] {
        self.texts[2].unwrap_or_default()
    }
}

#[cfg(test)]
impl<'a> From<&'a Event> for Fields<'a> {
    fn from(event: &'a Event) -> Self {
        let text = |text: &'a Option<String>| text.as_ref().map(String::as_bytes);
        Self {
            texts: [
                Some(event.tracking_id.as_bytes()),
                Some(event.event_id.as_bytes()),
                Some(event.client_id.as_bytes()),
                Some(event.session_id.as_bytes()),
                text(&event.user_id),
                Some(event.event_type.as_bytes()),
                text(&event.page_url),
                text(&event.page_title),
                text(&event.referrer),
                text(&event.utm_source),
                text(&event.utm_medium),
                text(&event.utm_campaign),
                text(&event.utm_term),
                text(&event.utm_content),
                text(&event.country),
                text(&event.city),
                text(&event.device),
                text(&event.browser),
                text(&event.os),
                text(&event.source),
                text(&event.channel),
                text(&event.custom_properties),
            ],
            event_timestamp: event.event_timestamp,
            created_at: event.created_at,
            is_bot: event.is_bot,
            revenue: event.revenue,
        }
    }
}

/// The events of a record, each as its bytes.
#[derive(Debug)]
pub(super) struct Events<'a>(&'a [u8]);

impl<'a> Events<'a> {
    pub(super) fn of(record: &'a [u8]) -> Self {
        Self(record)
    }

    fn event(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        while !self.0.is_empty() {
            let (tag, wire_type) = key(&mut self.0)?;
            if tag == 1 {
                return delimited(wire_type, &mut self.0).map(Some);
            }
            skip_field(wire_type, tag, &mut self.0, DecodeContext::default())?;
        }
        Ok(None)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.event();
        if event.is_err() {
            self.0 = &[];
        }
        event.transpose()
    }
}

fn delimited<'a>(wire_type: WireType, bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    if wire_type != WireType::LengthDelimited {
        return Err(Malformed::Type);
    }
    let length = usize::try_from(varint(bytes)?).map_err(|_| Malformed::Length)?;
    let (field, rest) = bytes.split_at_checked(length).ok_or(Malformed::Length)?;
    *bytes = rest;
    Ok(field)
}

fn number(wire_type: WireType, bytes: &mut &[u8]) -> Result<u64, Malformed> {
    if wire_type != WireType::Varint {
        return Err(Malformed::Type);
    }
    varint(bytes)
}

/// The number and the type of the next field.
fn key(bytes: &mut &[u8]) -> Result<(u32, WireType), Malformed> {
    // Nearly all keys: a field below 16, or below 256, that is a varint or has a length.
    let (low, high, rest) = match **bytes {
        [low @ 0x08..0x80, ref rest @ ..] => (low, 0, rest),
        [low @ 0x80..=0xFF, high @ 1..0x10, ref rest @ ..] => (low & 0x7F, high, rest),
        _ => return Ok(decode_key(bytes)?),
    };
    let wire_type = match low & 7 {
        0 => WireType::Varint,
        2 => WireType::LengthDelimited,
        _ => return Ok(decode_key(bytes)?),
    };
    *bytes = rest;
    Ok((u32::from(low >> 3) | u32::from(high) << 4, wire_type))
}

/// A number; those of one or two bytes, which nearly all lengths are, without a call.
fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    match **bytes {
        [only @ ..0x80, ref rest @ ..] => {
            *bytes = rest;
            Ok(only.into())
        }
        [low @ 0x80..=0xFF, high @ ..0x80, ref rest @ ..] => {
            *bytes = rest;
            Ok(u64::from(low & 0x7F) | u64::from(high) << 7)
        }
        _ => Ok(decode_varint(bytes)?),
    }
}

#[cfg(test)]
mod tests {
    use footfall_model::proto::EventBatch;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn event() -> impl Strategy<Value = Event> {
        let texts = vec("[a-zäß€]{0,6}", 5);
        let optional = vec(option::of("\\PC{0,6}"), 17);
        let numbers = (any::<i64>(), any::<i64>(), any::<bool>(), option::of(any::<i64>()));
        (texts, optional, numbers).prop_map(|(texts, optional, (event_timestamp, created_at, is_bot, revenue))| {
            let (mut texts, mut optional) = (texts.into_iter(), optional.into_iter().map(Option::unwrap_or_default));
            let mut text = || texts.next().unwrap_or_default();
            let mut optional = || optional.next().filter(|text| !text.is_empty());
            Event {
                tracking_id: text(),
                event_id: text(),
                client_id: text(),
                session_id: text(),
                event_type: text(),
                user_id: optional(),
                page_url: optional(),
                page_title: optional(),
                referrer: optional(),
                custom_properties: optional(),
                utm_source: optional(),
                utm_medium: optional(),
                utm_campaign: optional(),
                utm_term: optional(),
                utm_content: optional(),
                country: optional(),
                city: optional(),
                device: optional(),
                browser: optional(),
                os: optional(),
                source: optional(),
                channel: optional(),
                event_timestamp,
                created_at,
                is_bot,
                revenue,
            }
        })
    }

    /// A record, whole or with a few bytes that are others.
    fn record() -> impl Strategy<Value = Vec<u8>> {
        let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
        (vec(event(), 0..3), damage, any::<prop::sample::Index>(), any::<bool>()).prop_map(
            |(events, damage, end, cut)| {
                let mut bytes = EventBatch { events }.encode_to_vec();
                for (at, byte) in damage {
                    if !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = byte;
                    }
                }
                if cut {
                    bytes.truncate(end.index(bytes.len() + 1));
                }
                bytes
            },
        )
    }

    fn read(record: &[u8]) -> Result<Vec<Fields<'_>>, Malformed> {
        let events = Events::of(record).map(|event| {
            let fields = Fields::read(event?)?;
            fields.check_texts()?;
            Ok(fields)
        });
        events.collect()
    }

    /// Both readers agree: the same events, or both refuse.
    fn agree(record: &[u8]) -> Result<(), TestCaseError> {
        match (EventBatch::decode(record), read(record)) {
            (Ok(batch), Ok(fields)) => {
                let expected: Vec<_> = batch.events.iter().map(Fields::from).collect();
                prop_assert_eq!(fields, expected);
            }
            (Err(_), Err(_)) => {}
            (prost, ours) => prop_assert!(false, "prost: {prost:?}, ours: {ours:?}"),
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_record_is_read_as_prost_reads_it_or_refused_as_prost_refuses_it(record in record()) {
            agree(&record)?;
        }

        #[test]
        fn any_bytes_are_read_as_prost_reads_them(record in vec(any::<u8>(), 0..40)) {
            agree(&record)?;
        }
    }

    #[test]
    fn fields_of_a_newer_version_are_passed_over_and_the_last_of_two_counts() {
        // Fields 40 (varint), 41 (text) and 42 (a group that holds field 1), then `event_id` twice.
        let event = [
            &[0xC0, 0x02, 7][..],
            &[0xCA, 0x02, 2, b'x', b'y'],
            &[0xD3, 0x02, 0x08, 1, 0xD4, 0x02],
            &[0x12, 1, b'a', 0x12, 1, b'b'],
        ]
        .concat();
        let fields = Fields::read(&event).unwrap();
        assert_eq!(fields.event_id(), b"b");
        assert_eq!(Event::decode(event.as_slice()).unwrap().event_id, "b");
    }
}
