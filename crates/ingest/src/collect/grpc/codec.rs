//! Passes messages as bytes, so that a batch's events are counted before they are decoded: an event of two bytes takes
//! a thousand in memory, and a message of 1 MiB may hold half a million of them.

use bytes::{Buf, Bytes};
use footfall_model::proto::PublishSummary;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Initial buffer of a stream; it grows for larger messages, which most are.
const BUFFER_BYTES: usize = 1 << 10;

/// Encoded bytes after which a message is flushed.
const YIELD_BYTES: usize = 32 << 10;

/// `EventBatch.events`.
const EVENTS: u32 = 1;

/// The number of events in an encoded `EventBatch`.
pub(super) fn count_events(mut batch: &[u8]) -> Result<usize, DecodeError> {
    let mut events = 0;
    while batch.has_remaining() {
        let (tag, wire_type) = decode_key(&mut batch)?;
        events += usize::from(tag == EVENTS);
        skip_field(wire_type, tag, &mut batch, DecodeContext::default())?;
    }
    Ok(events)
}

/// Bytes in, a summary out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RawBatches;

impl Codec for RawBatches {
    type Encode = PublishSummary;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Decoder for RawBatches {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl Encoder for RawBatches {
    type Item = PublishSummary;
    type Error = Status;

    fn encode(&mut self, summary: PublishSummary, message: &mut EncodeBuf<'_>) -> Result<(), Status> {
        summary
            .encode(message)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use footfall_model::proto::{Event, EventBatch};

    use super::*;

    #[test]
    fn events_are_counted_undecoded() {
        for events in [0, 1, 3, 500] {
            let batch = EventBatch {
                events: vec![
                    Event {
                        client_id: "a".into(),
                        ..Event::default()
                    };
                    events
                ],
            };
            assert_eq!(count_events(&batch.encode_to_vec()).unwrap(), events);
        }
        let empty_events = [0x0a, 0x00].repeat(400_000);
        assert_eq!(count_events(&empty_events).unwrap(), 400_000);
    }

    #[test]
    fn unknown_fields_are_not_counted() {
        // Field 2 as a varint, as fixed 64 bits, as text; then one event.
        let bytes = [
            &[0x10, 0x05][..],
            &[0x11, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x12, 2, b'h', b'i'],
            &[0x0a, 0x00],
        ]
        .concat();
        assert_eq!(count_events(&bytes).unwrap(), 1);
        assert!(count_events(&[0x0a, 0x7f, 0x00]).is_err());
    }
}
