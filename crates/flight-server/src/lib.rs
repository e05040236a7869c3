//! The Flight SQL protocol over `query`.
//!
//! ```text
//! headers -> token_check -> call -> auth (token -> principal) -> handle (bytes -> command) -> statements | metadata | actions | put
//!                                                                        |
//!                                             rows -> stream (slices, Flight messages, keep-alives) -> client
//! ```
//!
//! Invariants: the principal comes from the call, never from a ticket or a handle; no state of a statement is kept
//! except its open streams; a `FlightInfo`'s schema is the stream's schema; a dropped stream stops its statement; no
//! input makes it panic.

mod actions;
mod active_queries;
mod auth;
mod binding;
mod call;
mod client;
mod handle;
mod message;
mod metadata;
mod parameter_types;
mod put;
mod service;
mod session;
mod slices;
mod statements;
mod status;
mod stream;
mod token_check;

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use footfall_catalog::Directory;
use footfall_query::Engine;

pub use token_check::TokenCheck;

/// Sizes and times of the protocol.
#[derive(Debug, Clone)]
pub struct FlightOptions {
    /// Target size of a message of rows, in bytes. Many clients accept 4 MiB at most.
    pub max_message_bytes: usize,
    /// The largest message that is accepted, in bytes. A statement with its parameters has a quarter of that at most;
    /// decoding a message takes many times its size.
    pub max_request_bytes: usize,
    /// Interval of empty batches while a statement has no rows yet: proxies close silent streams.
    pub keep_alive: Duration,
}

impl Default for FlightOptions {
    fn default() -> Self {
        Self {
            max_message_bytes: 1 << 20,
            max_request_bytes: 4 << 20,
            keep_alive: Duration::from_secs(5),
        }
    }
}

/// The gRPC service, to be added to a tonic server.
///
/// Every call needs a token that `directory` knows; the token decides what the call may see. A call without one is
/// refused before its body is read.
pub fn service(
    engine: Arc<Engine>,
    directory: Arc<Directory>,
    options: FlightOptions,
) -> TokenCheck<FlightServiceServer<impl FlightService>> {
    serve(service::FlightSql::new(engine, directory, options))
}

/// `flight` behind the token check, with its limit on message size.
fn serve(flight: service::FlightSql) -> TokenCheck<FlightServiceServer<service::FlightSql>> {
    let (auth, max_request_bytes) = (flight.auth(), flight.max_request_bytes());
    let server = FlightServiceServer::new(flight).max_decoding_message_size(max_request_bytes);
    TokenCheck::new(server, auth)
}

#[cfg(test)]
mod tests;
