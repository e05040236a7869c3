//! Entry points of the fuzz targets (`fuzz/`): untrusted input in, the verdict on it out. Compiled only under
//! `cfg(fuzzing)`, which cargo-fuzz sets; nothing is stored.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::body::Body;
use bytes::Bytes;
use footfall_model::clock::Micros;
use footfall_model::proto::Event;
use http::HeaderMap;

use super::budget::Budget;
use super::draft::Draft;
use super::options::CollectOptions;
use super::reject::Reject;
use super::validate::Receipt;
use super::{beacon, body, json, sender, validate};

/// One event as it would be stored, before enrichment; or the message of its rejection.
pub type Verdict = Result<Event, String>;

/// A `POST` whose body arrives in `chunks`.
///
/// # Errors
/// The message of the reply if the body as a whole was rejected.
pub async fn post(
    headers: &HeaderMap,
    chunks: Vec<Bytes>,
    options: &CollectOptions,
    received: Micros,
) -> Result<Vec<Verdict>, String> {
    let stream = futures::stream::iter(chunks.into_iter().map(Ok::<_, Infallible>));
    let mut account = Budget::new(options.in_flight_bytes).account();
    let bytes = body::read(headers, Body::from_stream(stream), options, &mut account)
        .await
        .map_err(|error| error.to_string())?;
    let drafts = json::parse(&bytes, options).map_err(|error| error.to_string())?;
    Ok(drafts
        .into_iter()
        .map(|draft| verdict(draft, options, received))
        .collect())
}

/// The query of a beacon's address.
pub fn beacon(query: &str, options: &CollectOptions, received: Micros) -> Verdict {
    verdict(beacon::parse(query, options), options, received)
}

/// An event of a gRPC message.
pub fn message(event: Event, options: &CollectOptions, received: Micros) -> Verdict {
    verdict(Ok(Draft::of_proto(event, &options.properties)), options, received)
}

/// The sender's address, user agent and token from the headers.
pub fn who(headers: &HeaderMap, trusted_proxies: usize) -> (Option<IpAddr>, Option<&str>, Option<&str>) {
    (
        sender::address(headers, None, trusted_proxies),
        sender::user_agent(headers),
        sender::bearer(headers),
    )
}

fn verdict(draft: Result<Draft, Reject>, options: &CollectOptions, received: Micros) -> Verdict {
    draft
        .and_then(|draft| {
            validate::check(
                draft,
                options,
                Receipt {
                    at: received,
                    ordinal: 0,
                },
            )
        })
        .map(|mut valid| {
            valid.identify(options.dedupe_by);
            *valid.event
        })
        .map_err(|reject| {
            let field = reject.field.proto_name();
            match reject.expected {
                Some(expected) => format!("{field}: {}; expected {expected}", reject.reason),
                None => format!("{field}: {}", reject.reason),
            }
        })
}
