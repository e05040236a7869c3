//! Bodies of `POST /api/v1/events`, queries of the beacon and events of gRPC messages, as foreign_writers send them.
//!
//! The first byte chooses: `?` a beacon's query; 0x01 a protobuf event; `H` lines of header values, then a body; 0x02
//! what follows, compressed here; 0x1f (as gzip begins) a compressed body; anything else a plain body.
//!
//! Checked: no panic; what is accepted keeps to every limit; what is refused is told in few words; plain, compressed
//! and cut into pieces are the same; JSON that another reader understands is never called malformed, and its texts
//! arrive as they are.

#![no_main]

use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use footfall_ingest::collect::fuzzing::{self, Verdict};
use footfall_ingest::collect::{AddressHeader, CollectOptions, PropertyLimits, TrustedProxies};
use footfall_model::field::EventField;
use footfall_model::proto::Event;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, FORWARDED, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use libfuzzer_sys::fuzz_target;
use prost::Message;
use serde_json::Value;

/// 2026-02-02T10:30:00Z.
const NOW: i64 = 1_770_028_200_000_000;

/// What a refusal may take, in bytes: replies stay short whatever was sent.
const MAX_REFUSAL: usize = 1024;

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
    );
}

/// Small limits, so that each is reached.
fn options() -> CollectOptions {
    CollectOptions {
        body_bytes: 8 << 10,
        event_bytes: 4 << 10,
        batch_events: 8,
        properties: PropertyLimits { depth: 4, keys: 8 },
        retention: Duration::from_secs(86_400),
        ..CollectOptions::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let options = options();
    match data.split_first() {
        Some((b'?', query)) => {
            let Ok(query) = std::str::from_utf8(query) else { return };
            assert_verdict(&fuzzing::beacon(query, &options, NOW), &options, query.len());
        }
        Some((1, message)) => {
            let Ok(event) = Event::decode(message) else { return };
            assert_verdict(&fuzzing::message(event, &options, NOW), &options, message.len());
        }
        Some((b'H', rest)) => with_headers(rest, &options),
        Some((2, plain)) => {
            let compressed = posted(&gzip_headers(), vec![gzip(plain).into()], &options);
            let expected = posted(&HeaderMap::new(), vec![Bytes::copy_from_slice(plain)], &options);
            if plain.len() <= options.body_bytes {
                assert_eq!(compressed, expected, "the same, compressed");
            }
        }
        Some((0x1f, _)) => assert_answer(&posted(&gzip_headers(), pieces(data), &options), &options),
        _ => plain_body(data, &options),
    }
});

fn plain_body(body: &[u8], options: &CollectOptions) {
    let whole = posted(&HeaderMap::new(), vec![Bytes::copy_from_slice(body)], options);
    assert_eq!(
        posted(&HeaderMap::new(), pieces(body), options),
        whole,
        "the same, in pieces"
    );
    assert_answer(&whole, options);
    if body.len() > options.body_bytes {
        assert!(whole.is_err(), "a body over the limit");
        return;
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    match (&value, &whole) {
        (Value::Object(_) | Value::Array(_), Err(reason)) => {
            assert!(!reason.starts_with("malformed"), "{reason}: {value}");
        }
        (Value::Object(_), Ok(verdicts)) => assert_eq!(verdicts.len(), 1),
        (Value::Array(elements), Ok(verdicts)) => assert_eq!(verdicts.len(), elements.len()),
        (_, Ok(_)) => panic!("neither an event nor an array: {value}"),
        (_, Err(_)) => {}
    }
    let elements = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
    for (element, verdict) in elements.iter().zip(whole.iter().flatten()) {
        if let Ok(event) = verdict {
            assert_texts(element, event);
        }
    }
}

/// What JSON says is what is stored, unless a rule changes it: then there is less of it.
fn assert_texts(value: &Value, event: &Event) {
    let paths = [
        (EventField::TrackingId, "/tracking_id"),
        (EventField::ClientId, "/client_id"),
        (EventField::EventType, "/event_type"),
        (EventField::PageUrl, "/page/url"),
        (EventField::PageTitle, "/page/title"),
        (EventField::Referrer, "/page/referrer"),
        (EventField::UserId, "/user/user_id"),
        (EventField::City, "/user/city"),
        (EventField::UtmSource, "/utm/source"),
        (EventField::UtmContent, "/utm/content"),
    ];
    for (field, path) in paths {
        let Some(sent) = value.pointer(path).and_then(Value::as_str) else {
            continue;
        };
        let kept = field.text(event).unwrap_or_default();
        let plain = !sent.contains('\0') && !sent.trim().is_empty() && field.spec().excess_chars(sent).is_none();
        match plain {
            true => assert_eq!(kept, sent, "{field:?}"),
            false => assert!(kept.chars().count() <= sent.chars().count(), "{field:?}"),
        }
    }
    if let Some(properties) = &event.custom_properties {
        // Numbers beyond all bounds are JSON, but no reader's; NUL is replaced.
        if let Ok(kept) = serde_json::from_str::<Value>(properties)
            && !properties.contains('\u{fffd}')
        {
            assert_eq!(value.get("custom_properties"), Some(&kept));
        }
    }
}

fn with_headers(data: &[u8], options: &CollectOptions) {
    let mut lines = data.splitn(6, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    let forwarded = HeaderName::from_static("x-forwarded-for");
    for name in [CONTENT_TYPE, CONTENT_ENCODING, forwarded, USER_AGENT, AUTHORIZATION] {
        let values = lines.next().unwrap_or_default().split(|byte| *byte == b'\r');
        for value in values.filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            // What follows `for=` is another header's too.
            if name == "x-forwarded-for" {
                headers.append(FORWARDED, value.clone());
            }
            headers.append(name.clone(), value);
        }
    }
    for proxies in proxies() {
        let (_, user_agent, token) = fuzzing::who(&headers, &proxies);
        assert!(user_agent.is_none_or(|text| text.len() <= 1024));
        assert!(token.is_none_or(|text| !text.is_empty()));
    }
    let body = lines.next().unwrap_or_default();
    if let Ok(verdicts) = posted(&headers, pieces(body), options) {
        verdicts
            .iter()
            .for_each(|verdict| assert_verdict(verdict, options, options.body_bytes));
    }
}

/// Each way to find the client's address.
fn proxies() -> Vec<TrustedProxies> {
    let headers = [AddressHeader::XForwardedFor, AddressHeader::Forwarded];
    let by_hops = |header| {
        (0..3).map(move |hops| TrustedProxies {
            hops,
            header,
            ..TrustedProxies::default()
        })
    };
    let by_network = |header| TrustedProxies {
        networks: vec!["10.0.0.0/8".parse().expect("a network")],
        header,
        ..TrustedProxies::default()
    };
    headers
        .into_iter()
        .flat_map(by_hops)
        .chain(headers.map(by_network))
        .collect()
}

fn posted(headers: &HeaderMap, chunks: Vec<Bytes>, options: &CollectOptions) -> Result<Vec<Verdict>, String> {
    RUNTIME.with_borrow(|runtime| runtime.block_on(fuzzing::post(headers, chunks, options, NOW)))
}

/// A body as it might arrive.
fn pieces(body: &[u8]) -> Vec<Bytes> {
    let size = body.len() / 3 + 1;
    body.chunks(size).map(Bytes::copy_from_slice).collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).expect("into memory");
    encoder.finish().expect("into memory")
}

fn gzip_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))])
}

fn assert_answer(answer: &Result<Vec<Verdict>, String>, options: &CollectOptions) {
    match answer {
        Err(reason) => assert!(reason.len() <= MAX_REFUSAL, "a long refusal: {reason}"),
        Ok(verdicts) => {
            assert!((1..=options.batch_events).contains(&verdicts.len()));
            verdicts
                .iter()
                .for_each(|verdict| assert_verdict(verdict, options, options.event_bytes));
        }
    }
}

fn assert_verdict(verdict: &Verdict, options: &CollectOptions, sent: usize) {
    match verdict {
        Err(reason) => assert!(reason.len() <= MAX_REFUSAL, "a long refusal: {reason}"),
        Ok(event) => {
            assert_event(event, options);
            // What the server itself adds: times, an id, protobuf's tags. U+FFFD takes three bytes where NUL took one.
            assert!(event.encoded_len() <= 3 * sent + 256, "it grew: {event:?}");
        }
    }
}

fn assert_event(event: &Event, options: &CollectOptions) {
    for (field, text) in EventField::ALL
        .iter()
        .filter_map(|field| Some((field, field.text(event)?)))
    {
        assert!(!text.is_empty() && !text.contains('\0'), "{field:?}");
        assert_eq!(field.spec().excess_chars(text), None, "{field:?}");
    }
    let is_code = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    assert!(event.country.as_ref().is_none_or(is_code), "{:?}", event.country);
    let micros = |time: Duration| i64::try_from(time.as_micros()).expect("small");
    let times = NOW - micros(options.retention)..=NOW + micros(options.max_future);
    assert!(times.contains(&event.event_timestamp));
    assert_eq!(event.created_at, NOW);
    assert!(
        event
            .revenue
            .is_none_or(|units| units.unsigned_abs() < 1_000_000_000_000_000_000)
    );
    if let Some(properties) = &event.custom_properties {
        assert_properties(properties, &options.properties);
    }
}

fn assert_properties(json: &str, limits: &PropertyLimits) {
    match serde_json::from_str::<Value>(json) {
        Ok(value) => {
            assert!(value.is_object(), "{json}");
            let (depth, keys) = measured(&value);
            assert!(depth <= limits.depth && keys <= limits.keys, "{json}");
        }
        Err(error) => assert!(error.to_string().contains("number out of range"), "{error}: {json}"),
    }
}

/// Depth and keys; no text in it has a NUL.
fn measured(value: &Value) -> (usize, usize) {
    let children: Vec<&Value> = match value {
        Value::Object(map) => {
            assert!(map.keys().all(|key| !key.contains('\0')));
            map.values().collect()
        }
        Value::Array(elements) => elements.iter().collect(),
        Value::String(text) => {
            assert!(!text.contains('\0'));
            return (0, 0);
        }
        _ => return (0, 0),
    };
    let own = value.as_object().map_or(0, serde_json::Map::len);
    let inner = children.into_iter().map(measured);
    let (depth, keys) = inner.fold((0, 0), |(depth, keys), (d, k)| (depth.max(d), keys + k));
    (depth + 1, own + keys)
}
