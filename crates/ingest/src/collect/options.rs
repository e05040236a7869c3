//! What collection allows. Every limit bounds either memory or the work that a stranger can cause.

use std::thread;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The limits of collection.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// Of one request's body, both as sent and after decompression.
    pub body_bytes: usize,
    /// Of one event, as JSON or as protobuf.
    pub event_bytes: usize,
    /// Events of one request, or of one gRPC message.
    pub batch_events: usize,
    /// Lengths of the texts of an event.
    pub text: TextLimits,
    /// What `custom_properties` may be.
    pub properties: PropertyLimits,
    /// Accepted events per second and site. For a moment twice as many are taken, and always one full batch.
    pub events_per_second: u32,
    /// How far an event's time may lie ahead of the server's.
    pub max_future: Duration,
    /// Events older than this are rejected, because the lake would drop them at once.
    pub retention: Duration,
    /// The gap that ends a session, where the server assigns it.
    pub session_timeout: Duration,
    /// The longest session that the server assigns.
    pub session_max: Duration,
    /// Visitors whose running session is remembered, the latest seen; about 200 bytes each.
    pub session_visitors: u64,
    /// How many proxies in front of the server add to `X-Forwarded-For`. 0: the header is not believed, and the
    /// sender is who connects.
    pub trusted_proxies: usize,
    /// For a request's body to arrive.
    pub body_timeout: Duration,
    /// Memory for the bodies of all HTTP requests and the messages of all gRPC calls together. An HTTP request that does
    /// not fit gets 503.
    pub in_flight_bytes: usize,
    /// HTTP requests and gRPC messages that are worked on at the same time, from their whole body to their record; the
    /// others wait.
    pub turns: usize,
    /// Rejections that the summary of one gRPC stream lists; more are only counted.
    pub listed_rejections: usize,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            event_bytes: 32 << 10,
            batch_events: 500,
            text: TextLimits::default(),
            properties: PropertyLimits::default(),
            events_per_second: 1_000,
            max_future: HOUR,
            // 13 months.
            retention: 396 * DAY,
            session_timeout: HOUR / 2,
            session_max: DAY,
            session_visitors: 200_000,
            trusted_proxies: 0,
            body_timeout: Duration::from_secs(10),
            in_flight_bytes: 16 << 20,
            turns: 2 * thread::available_parallelism().map_or(1, usize::from),
            listed_rejections: 1_000,
        }
    }
}

/// The longest texts, in characters.
#[derive(Debug, Clone)]
pub struct TextLimits {
    /// `tracking_id`, `event_type`.
    pub name: usize,
    /// `client_id`, `session_id`, `event_id`, `user.user_id`.
    pub id: usize,
    /// `page.url`.
    pub url: usize,
    /// `page.referrer`.
    pub referrer: usize,
    /// `page.title`.
    pub title: usize,
    /// `utm.*`.
    pub utm: usize,
    /// `user.city`, `user.device`, `user.browser`, `user.os` and the like.
    pub label: usize,
}

impl Default for TextLimits {
    fn default() -> Self {
        Self {
            name: 128,
            id: 256,
            url: 2048,
            referrer: 4096,
            title: 1024,
            utm: 256,
            label: 64,
        }
    }
}

/// What `custom_properties` may be, beside its share of [`CollectOptions::event_bytes`].
#[derive(Debug, Clone)]
pub struct PropertyLimits {
    /// Objects and arrays in each other; `{"a": 1}` has depth 1.
    pub depth: usize,
    /// Keys on all levels together.
    pub keys: usize,
}

impl Default for PropertyLimits {
    fn default() -> Self {
        Self { depth: 8, keys: 256 }
    }
}
