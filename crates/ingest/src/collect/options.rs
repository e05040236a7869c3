//! The limits of collection. Each bounds either memory or the work that an unknown client can cause.

use std::thread;
use std::time::Duration;

use footfall_model::hash::DedupeBy;

use crate::rules::PropertyLimits;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The limits of collection; those of each text are declared with its field ([`footfall_model::field`]).
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// Size of one request's body, both as sent and after decompression.
    pub body_bytes: usize,
    /// Size of one event, as JSON or as protobuf.
    pub event_bytes: usize,
    /// Events of one request, or of one gRPC message.
    pub batch_events: usize,
    /// Limits of `custom_properties`.
    pub properties: PropertyLimits,
    /// What tells events without an id apart, for sites that don't say.
    pub dedupe_by: DedupeBy,
    /// Accepted events per second and site. The burst is twice as many, and at least one full batch.
    pub events_per_second: u32,
    /// How far an event's time may lie ahead of the server's.
    pub max_future: Duration,
    /// Events older than this are rejected, because the lake would drop them at once.
    pub retention: Duration,
    /// How many proxies in front of the server add to `X-Forwarded-For`. 0: the header is ignored, and the peer's
    /// address is the client's.
    pub trusted_proxies: usize,
    /// Timeout for receiving a request's body.
    pub body_timeout: Duration,
    /// Memory for the bodies of all HTTP requests and the messages of all gRPC calls together. An HTTP request that does
    /// not fit gets 503.
    pub in_flight_bytes: usize,
    /// HTTP requests and gRPC messages that are processed at the same time, from the complete body to the encoded
    /// record; the others wait.
    pub turns: usize,
    /// Rejections listed in the summary of one gRPC stream; further ones are only counted.
    pub listed_rejections: usize,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            event_bytes: 32 << 10,
            batch_events: 500,
            properties: PropertyLimits::default(),
            dedupe_by: DedupeBy::default(),
            events_per_second: 1_000,
            max_future: HOUR,
            // 13 months.
            retention: 396 * DAY,
            trusted_proxies: 0,
            body_timeout: Duration::from_secs(10),
            in_flight_bytes: 16 << 20,
            turns: 2 * thread::available_parallelism().map_or(1, usize::from),
            listed_rejections: 1_000,
        }
    }
}
