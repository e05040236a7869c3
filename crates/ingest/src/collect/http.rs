//! The HTTP endpoints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{Method, StatusCode};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::publish::{Caller, Refusal};
use super::reply::{self, Failure};
use super::{Collector, beacon, body, json, sender};
use crate::enrich::Sender;

/// How long browsers may cache the CORS preflight.
const CORS_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// `POST /api/v1/events`, `POST` and `GET /api/v1/beacon`, with CORS for every origin.
///
/// Serve it with [`Router::into_make_service_with_connect_info`] of [`SocketAddr`], so that clients have an address.
pub fn router(collector: Arc<Collector>) -> Router {
    // `get` would handle HEAD too, and link checkers would create events.
    let beacon = post(post_beacon)
        .get(get_beacon)
        .head(not_allowed)
        .fallback(not_allowed);
    Router::new()
        .route("/api/v1/events", post(post_events).fallback(not_allowed))
        .route("/api/v1/beacon", beacon)
        .route_layer(cors())
        .with_state(collector)
}

/// Any page may send events; there are no cookies to protect. `sendBeacon` sends its request with credentials, and a
/// browser drops it unless the reply names the page's origin and allows them.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_credentials(true)
        .allow_methods([Method::POST, Method::GET, Method::OPTIONS])
        .allow_headers([CONTENT_TYPE, CONTENT_ENCODING, AUTHORIZATION, reply::DEBUG_REQUEST])
        .expose_headers([RETRY_AFTER])
        .max_age(CORS_MAX_AGE)
}

async fn post_events(State(collector): State<Arc<Collector>>, request: Request) -> Response {
    timed("events", receive(&collector, request)).await
}

async fn post_beacon(State(collector): State<Arc<Collector>>, request: Request) -> Response {
    timed("beacon", receive(&collector, request)).await
}

async fn get_beacon(State(collector): State<Arc<Collector>>, request: Request) -> Response {
    timed("beacon", beacon::receive(&collector, request)).await
}

async fn not_allowed(method: Method) -> Response {
    let message = format!("{method} is not allowed here; the Allow header says what is");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
}

async fn receive(collector: &Collector, request: Request) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let mut account = collector.memory.account();
    let bytes = body::read(&head.headers, body, &collector.options, &mut account).await?;
    // Checked only now: an unread body would make the connection unusable. No further work is spent under overload.
    collector.parts.log.check_room().map_err(Refusal::from)?;
    let turn = collector.turns.acquire().await;
    let drafts = json::parse(&bytes, &collector.options)?;
    drop(bytes);
    let caller = caller(&head, collector.options.trusted_proxies);
    let prepared = collector.prepare(drafts, caller).await?;
    // The turn covers only CPU work: any number of requests may wait for the disk together.
    drop(turn);
    let outcome = collector.store(prepared).await?;
    Ok(reply::of_outcome(&outcome, reply::is_debug(&head.headers)))
}

/// The caller, from a request's headers and peer address.
pub(super) fn caller(head: &Parts, trusted_proxies: usize) -> Caller<'_> {
    let peer = head
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip());
    Caller {
        sender: Sender {
            ip: sender::address(&head.headers, peer, trusted_proxies),
            user_agent: sender::user_agent(&head.headers),
        },
        token: sender::bearer(&head.headers),
    }
}

async fn timed(endpoint: &'static str, work: impl Future<Output = Result<Response, Failure>>) -> Response {
    let start = Instant::now();
    let response = work.await.unwrap_or_else(IntoResponse::into_response);
    let class = match response.status().as_u16() / 100 {
        2 => "2xx",
        4 => "4xx",
        _ => "5xx",
    };
    metrics::histogram!("footfall_ingest_request_seconds", "endpoint" => endpoint, "status" => class)
        .record(start.elapsed());
    response
}
