//! The Flight SQL protocol over `query`.
//!
//! ```text
//! headers -> token_check -> call -> auth (token -> principal) -> handle (bytes -> command) -> statements | metadata | actions | put
//!                                                                        |
//!                                             rows -> stream (slices, Flight messages, keep-alives) -> client
//! ```
//!
//! Invariants: the principal comes from the call, never from a ticket or a handle; nothing is remembered of a
//! statement but the streams that are open; a `FlightInfo`'s schema is the stream's schema; a dropped stream stops
//! its statement; no bytes from outside make it panic.

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
    /// Rows are sent in messages of about this many bytes. Many clients take 4 MiB at the most.
    pub max_message_bytes: usize,
    /// The largest message that is taken, in bytes. A statement with its parameters has a quarter of that at the most,
    /// and what is taken costs many times its size while it is read, before the sender is authenticated.
    pub max_request_bytes: usize,
    /// While a statement has no rows yet, an empty batch is sent this often, because proxies close silent streams.
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
/// Every call needs a token that `directory` knows, and what it may see is the token's. A call without one is refused
/// before its body is read.
pub fn service(
    engine: Arc<Engine>,
    directory: Arc<Directory>,
    options: FlightOptions,
) -> TokenCheck<FlightServiceServer<impl FlightService>> {
    serve(service::FlightSql::new(engine, directory, options))
}

/// `flight` behind the check of tokens, with its limit of a message.
fn serve(flight: service::FlightSql) -> TokenCheck<FlightServiceServer<service::FlightSql>> {
    let (auth, max_request_bytes) = (flight.auth(), flight.max_request_bytes());
    let server = FlightServiceServer::new(flight).max_decoding_message_size(max_request_bytes);
    TokenCheck::new(server, auth)
}

#[cfg(test)]
mod tests;
