use footfall_model::proto::EventBatch;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

use super::*;

/// Each text at random, absent or empty.
fn event() -> impl Strategy<Value = Event> {
    let texts = vec(option::of("[a-zäß€]{0,6}|\\PC{0,6}"), EventField::ALL.len());
    let numbers = (any::<i64>(), any::<i64>(), any::<bool>(), option::of(any::<i64>()));
    (texts, numbers).prop_map(|(texts, (event_timestamp, created_at, is_bot, revenue))| {
        let mut event = Event {
            event_timestamp,
            created_at,
            is_bot,
            revenue,
            ..Event::default()
        };
        for (field, text) in EventField::ALL.iter().zip(texts) {
            if let (Some(slot), Some(text)) = (field.text_mut(&mut event), text) {
                slot.set(text);
            }
        }
        event
    })
}

/// A record, whole, cut or with a few bytes changed.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (vec(event(), 0..3), damage, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(events, damage, end, cut)| {
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
    })
}

fn read(record: &[u8]) -> Result<Vec<Fields<'_>>, Malformed> {
    let events = RecordEvents::of(record).map(|event| {
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
    fn record_decodes_like_prost(record in record()) {
        agree(&record)?;
    }

    #[test]
    fn arbitrary_bytes_decode_like_prost(record in vec(any::<u8>(), 0..40)) {
        agree(&record)?;
    }
}

#[test]
fn replaced_text_must_be_utf8_too() {
    let event = [0x12, 1, 0xFF, 0x12, 1, b'b'];
    assert!(matches!(Fields::read(&event), Err(Malformed::Utf8)));
    assert!(Event::decode(&event[..]).is_err());
}

#[test]
fn unknown_fields_are_skipped_last_value_wins() {
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
