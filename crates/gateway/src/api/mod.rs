//! The endpoints.

mod caching;
mod caller;
mod compress;
mod dashboard;
mod docs;
mod encode;
mod exports;
mod format;
mod formulas;
mod funnel;
mod lists;
mod live;
mod meta;
mod newest;
mod openapi;
mod pages;
mod query;
mod range;
mod rate_limit;
mod realtime;
mod retention;
mod rows;
mod rows_stream;
mod schemas;
mod segments;
mod sql;
mod tables;
mod visitors;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::extract::{Path, Query};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::flight::{AddressError, Flight, Token};
use crate::problem::{Problem, check_media_type, printable, query_string, read_json};
use crate::report::{SiteZone, dates};
use crate::statement::Statement;
use crate::{GatewayParts, SitesUnavailable};

pub(crate) use dashboard::check as check_dashboard;

/// The largest request body, in bytes, and how long it may take to arrive.
const MAX_BODY: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests whose result is collected at the same time; those beyond get 503. Streams of events and
/// the rows of SQL hold next to nothing and are not counted.
const MAX_OPEN: usize = 128;

/// What the endpoints use.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    flight: Flight,
    parts: Arc<GatewayParts>,
    feeds: live::Feeds,
    newest: newest::NewestAnswers,
    open: Arc<Semaphore>,
    tokens: Arc<rate_limit::Tokens>,
    /// The OpenAPI document.
    document: Bytes,
}

/// What the router is made of does not fit.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("the OpenAPI document of other endpoints can't be merged: {0}")]
    Document(String),
}

pub(crate) fn router(parts: GatewayParts) -> Result<Router, RouterError> {
    let document = openapi::document(parts.other_endpoints).map_err(RouterError::Document)?;
    let gateway = Gateway {
        flight: Flight::new(&parts.flight_url)?,
        parts: Arc::new(parts),
        feeds: live::Feeds::default(),
        newest: newest::NewestAnswers::default(),
        open: Arc::new(Semaphore::new(MAX_OPEN)),
        tokens: Arc::default(),
        document: document.into(),
    };
    Ok(Router::new()
        .route("/api/v1/query", only(post(query::query)))
        .route("/api/v1/sql", only(post(sql::sql)))
        .route("/api/v1/exports", only(post(exports::exports)))
        .route("/api/v1/meta", only(get(meta::meta)))
        .route("/api/v1/openapi.json", only(get(openapi::openapi)))
        .route("/api/v1/docs", only(get(docs::page)))
        .route("/api/v1/docs/page.js", only(get(docs::script)))
        .route("/api/v1/docs/page.css", only(get(docs::style)))
        .route("/api/v1/realtime", only(get(realtime::realtime)))
        .route("/api/v1/funnels/{id}/analysis", only(get(funnel::analysis)))
        .route("/api/v1/funnels/analysis", only(post(funnel::unsaved_analysis)))
        .route("/api/v1/segments/preview", only(post(segments::unsaved_preview)))
        .route("/api/v1/segments/{id}/preview", only(get(segments::preview)))
        .route("/api/v1/retention", only(get(retention::retention)))
        .route("/api/v1/sessions", only(get(lists::sessions)))
        .route("/api/v1/visitors/{id}", only(get(visitors::visitor)))
        .route_layer(from_fn_with_state(gateway.clone(), admit))
        // Its listeners are many and wait for long.
        .route("/api/v1/realtime/stream", only(get(live::stream)))
        .layer(from_fn(caching::conditional))
        .layer(from_fn_with_state(gateway.clone(), rate_limit::limit))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(compress::compress))
        .with_state(gateway))
}

fn only(methods: MethodRouter<Gateway>) -> MethodRouter<Gateway> {
    methods.fallback(|| async { Problem::method_not_allowed() })
}

impl Gateway {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.parts.clock.now()).unwrap_or_default()
    }

    fn query_id(&self) -> String {
        format!("q_{:032x}", self.parts.ids.next_id())
    }

    /// The site's time zone.
    ///
    /// # Errors
    /// 401 and 403 for a token that may not query at all, 404 for a site that it may not read, as if it did not exist.
    async fn site(&self, token: &Token, tracking_id: &str) -> Result<SiteZone, Problem> {
        let Some(sites) = &self.parts.sites else {
            return Ok(SiteZone {
                zone: chrono_tz::UTC,
                known: false,
            });
        };
        let found = sites.time_zone(token.expose(), tracking_id).await;
        match found.map_err(|SitesUnavailable| Problem::unavailable("the catalog does not answer; try again"))? {
            Some(name) => {
                self.flight.accept(token);
                Ok(SiteZone {
                    zone: dates::zone(&name, "time_zone")?,
                    known: true,
                })
            }
            None => {
                // The server that decides on tokens says what is wrong with this one.
                self.flight.collect(token, &Statement::new("SELECT 1")).await?;
                let name = printable(tracking_id);
                Err(Problem::not_found(format!("there is no site `{name}` that this token may read")).at("tracking_id"))
            }
        }
    }
}

type PathParam = Result<Path<String>, PathRejection>;

type QueryString<T> = Result<Query<T>, QueryRejection>;

/// The parameter of a path.
fn path_text(path: PathParam) -> Result<String, Problem> {
    let Path(text) = path.map_err(|error| unreadable(error.status()))?;
    Ok(text)
}

fn unreadable(status: StatusCode) -> Problem {
    Problem::unreadable(status, MAX_BODY)
}

/// The reply at an address that has no endpoint: 404, below `/api` with a problem.
pub async fn unknown_endpoint(request: Request) -> Response {
    let unread = has_body(&request);
    let mut response = not_found(request.uri().path());
    if unread {
        close(&mut response);
    }
    response
}

/// Whether a body follows the request's head.
pub fn has_body(request: &Request) -> bool {
    !request.body().is_end_stream()
}

/// Tells the client that its connection can't be used again: a body was left unread.
pub fn close(response: &mut Response) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

fn not_found(path: &str) -> Response {
    match path.strip_prefix("/api/") {
        Some(rest) => {
            let word = rest
                .strip_prefix("v1/")
                .unwrap_or(rest)
                .split('/')
                .next()
                .unwrap_or_default();
            let words: Vec<&str> = openapi::words().chain(["events", "beacon", "docs"]).collect();
            let detail = format!(
                "there is no `{}` here: /api/v1/openapi.json of a gateway describes all endpoints",
                printable(path)
            );
            Problem::not_found(detail).with_hint(word, &words).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Bounds how many requests are at work at the same time. A body is read before: one that does not arrive keeps nobody
/// from working.
async fn admit(State(gateway): State<Gateway>, request: Request, next: Next) -> Result<Response, Problem> {
    let request = with_body(request).await?;
    if request.method() != Method::GET {
        check_media_type(request.headers())?;
    }
    let _permit = gateway
        .open
        .try_acquire()
        .map_err(|_| Problem::unavailable("too many requests at the same time; try again"))?;
    Ok(next.run(request).await)
}

/// The request with its body read.
async fn with_body(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let mut alone = Request::new(body);
    // They have the limit of the body.
    alone.extensions_mut().clone_from(&parts.extensions);
    let read = timeout(BODY_TIMEOUT, Bytes::from_request(alone, &())).await;
    let read = read.map_err(|_| unreadable(StatusCode::REQUEST_TIMEOUT))?;
    let body = read.map_err(|error| unreadable(error.status()))?;
    Ok(Request::from_parts(parts, body.into()))
}

/// A body, which [`admit`] has read.
struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|error| unreadable(error.status()))
    }
}

/// Ignores the content type, because curl's `-d` sends a form's.
fn parse<T: DeserializeOwned>(Body(body): &Body) -> Result<T, Problem> {
    read_json(body)
}

/// A cache keeps a reply for its caller, and asks each time whether it is still the newest.
const PRIVATE: &str = "private, no-cache";

/// A reply in JSON, which is the caller's alone.
fn json_reply(body: impl Into<Bytes>) -> Response {
    let mut response = body.into().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(PRIVATE));
    response
}

fn with_tag(mut response: Response, tag: String) -> Response {
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
