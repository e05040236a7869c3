//! The REST gateway: reports over HTTP and JSON, thin over Flight SQL.
//!
//! ```text
//! HTTP request -> checked against `vocabulary` -> `Statement` (SQL and bound values)
//!              -> Flight SQL, with the caller's token -> Arrow -> JSON
//! ```
//!
//! It is a Flight SQL client and nothing more: whatever a caller may see is decided by the Flight SQL server, by the
//! caller's own token. Nothing that a caller sends becomes SQL text, but as a bound parameter or as a name of ours that
//! it was found equal to.

mod accepted_tokens;
mod api;
mod flight;
mod json;
mod problem;
mod provenance;
mod report;
mod segment;
mod statement;
mod vocabulary;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use chrono::DateTime;
use footfall_model::clock::{Clock, IdGen, Micros};
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

pub use api::{RouterError, close, has_body, unknown_endpoint};
pub use problem::{BearerError, Problem, check_media_type, read_json, sentence};

/// What the gateway is made of.
#[derive(Debug, Clone)]
pub struct GatewayParts {
    /// The Flight SQL server: `grpc://127.0.0.1:31337`.
    pub flight_url: String,
    /// Without it, days are UTC unless a request names a time zone.
    pub sites: Option<Arc<dyn Sites>>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdGen>,
    pub rate_limit: RateLimit,
    /// Endpoints that are served beside these, as OpenAPI: `paths` and `components`.
    pub other_endpoints: Option<&'static str>,
    /// Ends streams that would never end.
    pub stop: CancellationToken,
}

/// How many requests a token may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// On and on; 0 for no limit.
    pub per_second: u32,
    /// At once, by a token that has sent nothing for a while.
    pub burst: u32,
}

/// The catalog does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the catalog does not answer")]
pub struct SitesUnavailable;

/// The steps of a funnel.
#[derive(Debug, Clone)]
pub struct FunnelSteps {
    /// Its site.
    pub tracking_id: String,
    /// Their names, in order.
    pub steps: Vec<String>,
}

/// What the catalog knows of sites and their funnels.
#[async_trait]
pub trait Sites: Debug + Send + Sync {
    /// The IANA name of the site's time zone; `None` if there is no such site, or if the token may not read it.
    ///
    /// # Errors
    /// The catalog does not answer.
    async fn time_zone(&self, token: &str, tracking_id: &str) -> Result<Option<String>, SitesUnavailable>;

    /// The funnel; `None` if there is none, or if the token may not read its site.
    ///
    /// # Errors
    /// The catalog does not answer.
    async fn funnel(&self, token: &str, id: &str) -> Result<Option<FunnelSteps>, SitesUnavailable>;

    /// The filters of the site's segment with this name or id; `None` if there is none, or if the token may not read the
    /// site.
    ///
    /// # Errors
    /// The catalog does not answer.
    async fn segment(&self, token: &str, tracking_id: &str, name: &str) -> Result<Option<Json>, SitesUnavailable>;
}

/// Whether these are filters of a segment.
///
/// # Errors
/// They are not.
pub fn check_segment(filters: &Json, now: Micros) -> Result<(), Problem> {
    let scope = segment::Scope {
        tracking_id: "",
        zone: chrono_tz::UTC,
        now: DateTime::from_timestamp_micros(now).unwrap_or_default(),
    };
    segment::Segment::parse(filters, scope).map(|_| ())
}

/// Whether these are the widgets of a dashboard, each of which asks for what its endpoint answers.
///
/// # Errors
/// They are not.
pub fn check_dashboard(widgets: &Json, now: Micros) -> Result<(), Problem> {
    let now = DateTime::from_timestamp_micros(now).unwrap_or_default();
    api::check_dashboard(widgets, now)
}

/// The endpoints under `/api/v1`, to be merged into the server's router. Must be called within a Tokio runtime.
///
/// # Errors
/// `flight_url` is no address, or `other_endpoints` no document. Whether a server answers there shows at the first request.
pub fn router(parts: GatewayParts) -> Result<Router, RouterError> {
    api::router(parts)
}
