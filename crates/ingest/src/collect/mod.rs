//! The HTTP and gRPC front: parse, validate, enrich, log, reply.
//!
//! ```text
//! http    POST /api/v1/events, /api/v1/beacon -> body (limits, gzip) -> json  \
//! beacon  GET /api/v1/beacon?...              -> query parameters              > Draft -> publish -> reply
//! grpc    footfall.v1.IngestService/Publish   -> proto                        /
//!
//! publish: validate (pure) -> access -> limits (rate) -> enrich -> log.append (durable)
//! ```
//!
//! One request is one record of the log. A bad event never spoils the others of its batch: the good ones are stored
//! and the reply names the index, the field and the reason of each that was not.
//!
//! What the JSON form allows:
//! - `tracking_id`, `client_id` and `event_type` are required. `null` and, for texts, `""` are the same as absent.
//! - Unknown fields are ignored, so that older servers take newer clients. A known field that is there twice is not.
//! - `timestamp`, `sent_at`: RFC 3339 with an offset, or milliseconds since 1970. With `sent_at`, a wrong client clock
//!   is corrected. Without `timestamp`, the time of receipt counts.
//! - `revenue`: a number or a decimal string, else `custom_properties.revenue`. Exact to four digits after the point;
//!   further ones are rounded, half away from zero. Rejected if it is no number or has more than 14 digits before it.
//! - `event_id` (or `messageId`): an event sent twice under one id counts once. Without it, what was sent is hashed.

mod access;
mod beacon;
mod body;
mod budget;
mod decimal;
mod draft;
mod elements;
mod error_body;
mod field;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grpc;
mod http;
mod json;
mod limits;
mod options;
mod properties;
mod publish;
mod reject;
mod reply;
mod sender;
mod time;
mod validate;

use std::sync::Arc;

use footfall_catalog::Directory;
use footfall_model::clock::Clock;
use tokio::sync::Semaphore;

use crate::enrich::Enricher;
use crate::wal::EventLog;

pub use budget::{Budget, Exhausted, Reservation};
pub use error_body::{ErrorBody, ErrorDetail, json_response};
pub use grpc::{GrpcIngest, grpc};
pub use http::router;
pub use options::{CollectOptions, PropertyLimits};

/// What a [`Collector`] works with.
#[derive(Debug)]
pub struct CollectorParts {
    /// Where accepted events become durable.
    pub log: Arc<dyn EventLog>,
    /// Which sites there are, and whose a token is.
    pub directory: Arc<Directory>,
    /// Fills in what clients left out.
    pub enricher: Arc<Enricher>,
    /// The time of receipt.
    pub clock: Arc<dyn Clock>,
}

/// Takes events in. Shared by the HTTP and the gRPC server, so that a site has one rate.
#[derive(Debug)]
pub struct Collector {
    parts: CollectorParts,
    options: CollectOptions,
    rates: limits::Rates,
    memory: budget::Budget,
    /// To work on a request, in the order in which the bodies were complete. Under overload thousands of requests are
    /// ready at once, and a runtime that is left to choose among them lets some wait for many times as long as others.
    turns: Semaphore,
}

impl Collector {
    /// A collector with no history of rates.
    pub fn new(parts: CollectorParts, options: CollectOptions) -> Self {
        Self {
            rates: limits::Rates::new(&options, Arc::clone(&parts.clock)),
            memory: budget::Budget::new(options.in_flight_bytes),
            turns: Semaphore::new(options.turns.clamp(1, Semaphore::MAX_PERMITS)),
            parts,
            options,
        }
    }

    /// What HTTP bodies take their memory from, for gRPC messages to take theirs from it too.
    pub fn budget(&self) -> &budget::Budget {
        &self.memory
    }
}

#[cfg(test)]
mod tests;
