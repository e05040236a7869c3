//! Zero-copy decoding of WAL records: an event's fields as slices of the record.
//!
//! It accepts what prost's decoder accepts and refuses what that refuses (a property test), so that a record of any
//! bytes, damaged or of a newer version, gives an error and never a panic.

use footfall_model::field::{EventField, FieldType};
#[cfg(test)]
use footfall_model::proto::Event;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Columns of text.
pub(super) const TEXTS: usize = count(true);

/// Numeric fields on the wire.
pub(super) const NUMBERS: usize = count(false);

/// An event's fields, each kind in column order. `None`: absent. Fields that every event has are empty or 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    /// Derived texts are absent.
    pub(super) texts: [Option<&'a [u8]>; TEXTS],
    /// Flags are 0 or 1.
    pub(super) numbers: [Option<i64>; NUMBERS],
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

/// Where a field of the wire is stored.
#[derive(Debug, Clone, Copy)]
enum FieldSlot {
    Text(usize),
    Number(usize, FieldType),
    /// A field of a newer version.
    Unknown,
}

/// By the number on the wire.
static SLOTS: [FieldSlot; TAGS] = slots();

/// One more than the highest number on the wire.
const TAGS: usize = {
    let (mut at, mut tags) = (0, 0);
    while at < EventField::ALL.len() {
        if let Some(tag) = EventField::ALL[at].spec().tag
            && tag as usize >= tags
        {
            tags = tag as usize + 1;
        }
        at += 1;
    }
    tags
};

const fn is_number(field: EventField) -> bool {
    field.spec().tag.is_some() && !field.spec().field_type.is_text()
}

const fn count(texts: bool) -> usize {
    let (mut at, mut found) = (0, 0);
    while at < EventField::ALL.len() {
        let field = EventField::ALL[at];
        found += if texts {
            field.spec().field_type.is_text()
        } else {
            is_number(field)
        } as usize;
        at += 1;
    }
    found
}

const fn slots() -> [FieldSlot; TAGS] {
    let mut slots = [FieldSlot::Unknown; TAGS];
    let (mut at, mut texts, mut numbers) = (0, 0, 0);
    while at < EventField::ALL.len() {
        let spec = EventField::ALL[at].spec();
        let slot = if spec.field_type.is_text() {
            FieldSlot::Text(texts)
        } else {
            FieldSlot::Number(numbers, spec.field_type)
        };
        if let Some(tag) = spec.tag {
            slots[tag as usize] = slot;
        }
        texts += spec.field_type.is_text() as usize;
        numbers += is_number(EventField::ALL[at]) as usize;
        at += 1;
    }
    slots
}

/// The index of a field among those of its kind: a constant where `field` is one.
pub(super) const fn index(field: EventField) -> usize {
    let (mut at, mut index) = (0, 0);
    while at < field as usize {
        let before = EventField::ALL[at];
        let same_kind = before.spec().field_type.is_text() == field.spec().field_type.is_text();
        index += (same_kind && (before.spec().field_type.is_text() || is_number(before))) as usize;
        at += 1;
    }
    index
}

const TRACKING_ID: usize = index(EventField::TrackingId);
const EVENT_ID: usize = index(EventField::EventId);
const CLIENT_ID: usize = index(EventField::ClientId);
const PAGE_URL: usize = index(EventField::PageUrl);
const EVENT_TIMESTAMP: usize = index(EventField::EventTimestamp);
const CREATED_AT: usize = index(EventField::CreatedAt);

impl<'a> Fields<'a> {
    /// No field is present. Those that every event has are empty.
    const NONE: Self = {
        let empty: Option<&[u8]> = Some(&[]);
        let (mut texts, mut numbers) = ([None; TEXTS], [None; NUMBERS]);
        let mut at = 0;
        while at < EventField::ALL.len() {
            let field = EventField::ALL[at];
            if !field.spec().nullable && field.spec().field_type.is_text() {
                texts[index(field)] = empty;
            } else if !field.spec().nullable && is_number(field) {
                numbers[index(field)] = Some(0);
            }
            at += 1;
        }
        Self { texts, numbers }
    };

    /// Reads an event. Texts are not validated, but for those that the event has replaced: see [`Self::check_texts`].
    pub(super) fn read(mut event: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Self::NONE;
        while !event.is_empty() {
            let (tag, wire_type) = key(&mut event)?;
            match SLOTS.get(tag as usize).copied().unwrap_or(FieldSlot::Unknown) {
                FieldSlot::Text(index) => {
                    let text = delimited(wire_type, &mut event)?;
                    if let Some(replaced) = fields.texts[index].replace(text) {
                        check(replaced)?;
                    }
                }
                FieldSlot::Number(index, field_type) => {
                    let coded = number(wire_type, &mut event)?;
                    fields.numbers[index] = Some(match field_type {
                        FieldType::Amount => (coded >> 1).cast_signed() ^ -((coded & 1).cast_signed()),
                        FieldType::Flag => i64::from(coded != 0),
                        _ => coded.cast_signed(),
                    });
                }
                FieldSlot::Unknown => skip_field(wire_type, tag, &mut event, DecodeContext::default())?,
            }
        }
        Ok(fields)
    }

    /// Whether all texts are UTF-8.
    pub(super) fn check_texts(&self) -> Result<(), Malformed> {
        self.texts.iter().flatten().try_for_each(|text| check(text))
    }

    pub(super) fn tracking_id(&self) -> &'a [u8] {
        self.texts[TRACKING_ID].unwrap_or_default()
    }

    pub(super) fn event_id(&self) -> &'a [u8] {
        self.texts[EVENT_ID].unwrap_or_default()
    }

    pub(super) fn client_id(&self) -> &'a [u8] {
        self.texts[CLIENT_ID].unwrap_or_default()
    }

    pub(super) fn page_url(&self) -> Option<&'a [u8]> {
        self.texts[PAGE_URL]
    }

    /// Microseconds since 1970-01-01.
    pub(super) fn event_timestamp(&self) -> i64 {
        self.numbers[EVENT_TIMESTAMP].unwrap_or_default()
    }

    /// When the event was received.
    pub(super) fn created_at(&self) -> i64 {
        self.numbers[CREATED_AT].unwrap_or_default()
    }
}

fn check(text: &[u8]) -> Result<(), Malformed> {
    match text.is_ascii() || std::str::from_utf8(text).is_ok() {
        true => Ok(()),
        false => Err(Malformed::Utf8),
    }
}

#[cfg(test)]
impl<'a> From<&'a Event> for Fields<'a> {
    fn from(event: &'a Event) -> Self {
        let mut fields = Self::NONE;
        let texts = EventField::ALL.iter().filter(|field| field.spec().field_type.is_text());
        for (slot, field) in fields.texts.iter_mut().zip(texts) {
            *slot = field.text(event).map(str::as_bytes);
        }
        let mut set = |field, value| fields.numbers[index(field)] = value;
        set(EventField::EventTimestamp, Some(event.event_timestamp));
        set(EventField::CreatedAt, Some(event.created_at));
        set(EventField::IsBot, Some(event.is_bot.into()));
        set(EventField::Revenue, event.revenue);
        fields
    }
}

/// The events of a record, each as its bytes.
#[derive(Debug)]
pub(super) struct RecordEvents<'a>(&'a [u8]);

impl<'a> RecordEvents<'a> {
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

impl<'a> Iterator for RecordEvents<'a> {
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

/// A number; one or two bytes, as nearly all lengths have, are decoded without a call.
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
mod tests;
