//! The HTTP and gRPC front: parse, validate, enrich, append to the WAL, reply.
//!
//! ```text
//! http    POST /api/v1/events, /api/v1/beacon -> body (limits, compression) -> json  \
//! beacon  GET /api/v1/beacon?...              -> query parameters              > Draft -> publish -> reply
//! grpc    footfall.v1.IngestService/Publish   -> proto                        /
//!
//! publish: validate (pure) -> access -> limits (rate) -> enrich -> log.append (durable)
//! ```
//!
//! One request is one WAL record. An invalid event doesn't fail the others of its batch: the valid ones are stored, and
//! the reply gives index, field and reason of each rejected one.
//!
//! What the JSON form allows:
//! - `tracking_id`, `client_id` and `event_type` are required. `null` and blank strings mean absent.
//! - Unknown fields are ignored, so that older servers take newer clients. A repeated known field is rejected.
//! - What becomes of each value is up to [`crate::rules`], as on every other way in.
//! - `timestamp`, `sent_at`: with `sent_at`, a client clock that is wrong by more than a minute is corrected. Without
//!   `timestamp`, the time of receipt is used.
//! - `revenue`, else `custom_properties.revenue`.
//! - `event_id` (or `messageId`): an event sent twice under one id counts once. Without it, the id is a hash of what
//!   was sent.

mod access;
mod beacon;
mod body;
mod budget;
mod decode;
mod draft;
mod error_body;
mod field;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grpc;
mod http;
mod json;
mod limits;
mod options;
mod proxies;
mod publish;
mod reject;
mod reply;
mod sender;
mod validate;
mod well_formed;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use footfall_catalog::Directory;
use footfall_model::clock::Clock;
use tokio::sync::Semaphore;

use crate::enrich::Enricher;
use crate::wal::EventLog;

pub use crate::rules::PropertyLimits;
pub use budget::{Budget, Exhausted, Reservation};
pub use error_body::{ErrorBody, ErrorDetail, json_response};
pub(crate) use field::{ALIASES, SHORT_NAMES};
pub use grpc::{GrpcIngest, grpc};
pub use http::router;
pub use options::CollectOptions;
pub use proxies::{AddressHeader, Network, TrustedProxies};

/// The dependencies of a [`Collector`].
#[derive(Debug)]
pub struct CollectorParts {
    /// The WAL, which makes accepted events durable.
    pub log: Arc<dyn EventLog>,
    /// Looks up sites and tokens.
    pub directory: Arc<Directory>,
    /// Fills in fields that clients left out.
    pub enricher: Arc<Enricher>,
    /// Gives the time of receipt.
    pub clock: Arc<dyn Clock>,
}

/// Accepts events. Shared by the HTTP and the gRPC server, so that a site has one rate limit.
#[derive(Debug)]
pub struct Collector {
    parts: CollectorParts,
    options: CollectOptions,
    rates: limits::Rates,
    memory: budget::Budget,
    /// Permits to process a request, granted in the order in which bodies were complete. Under overload thousands of
    /// requests are ready at once, and without this order some would wait many times as long as others.
    turns: Semaphore,
    /// Events received so far.
    received: AtomicU64,
}

impl Collector {
    /// A collector whose rate limits start full.
    pub fn new(parts: CollectorParts, options: CollectOptions) -> Self {
        Self {
            rates: limits::Rates::new(&options, Arc::clone(&parts.clock)),
            memory: budget::Budget::new(options.in_flight_bytes),
            turns: Semaphore::new(options.turns.clamp(1, Semaphore::MAX_PERMITS)),
            received: AtomicU64::new(0),
            parts,
            options,
        }
    }

    /// The memory budget of HTTP bodies, to be shared with gRPC messages.
    pub fn budget(&self) -> &budget::Budget {
        &self.memory
    }
}

#[cfg(test)]
mod tests;
