//! The endpoints.

mod caller;
mod encode;
mod funnel;
mod lists;
mod live;
mod meta;
mod query;
mod range;
mod realtime;
mod retention;
mod rows;
mod sql;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::de::DeserializeOwned;

use crate::flight::{AddressError, Flight, Token};
use crate::problem::{Problem, printable};
use crate::report::{SiteZone, dates};
use crate::statement::Statement;
use crate::{GatewayParts, SitesUnavailable};

/// The largest request body, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// What the endpoints use.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    flight: Flight,
    parts: Arc<GatewayParts>,
    feeds: live::Feeds,
}

pub(crate) fn router(parts: GatewayParts) -> Result<Router, AddressError> {
    let gateway = Gateway {
        flight: Flight::new(&parts.flight_url)?,
        parts: Arc::new(parts),
        feeds: live::Feeds::default(),
    };
    Ok(Router::new()
        .route("/api/v1/query", only(post(query::query)))
        .route("/api/v1/sql", only(post(sql::sql)))
        .route("/api/v1/meta", only(get(meta::meta)))
        .route("/api/v1/realtime", only(get(realtime::realtime)))
        .route("/api/v1/realtime/stream", only(get(live::stream)))
        .route("/api/v1/funnels/{id}/analysis", only(get(funnel::analysis)))
        .route("/api/v1/retention", only(get(retention::retention)))
        .route("/api/v1/sessions", only(get(lists::sessions)))
        .route("/api/v1/visitors/{id}", only(get(lists::visitor)))
        .layer(DefaultBodyLimit::max(MAX_BODY))
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
            Some(name) => Ok(SiteZone {
                zone: dates::zone(&name, "time_zone")?,
                known: true,
            }),
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

fn query_string<T>(query: QueryString<T>) -> Result<T, Problem> {
    let query = query.map_err(|error| Problem::bad_query(&error.body_text()))?;
    Ok(query.0)
}

type BodyBytes = Result<Bytes, BytesRejection>;

/// Ignores the content type, because curl's `-d` sends a form's.
fn parse<T: DeserializeOwned>(body: BodyBytes) -> Result<T, Problem> {
    let body = body.map_err(|error| Problem::unreadable(error.status()))?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad_json(&error))
}

/// A reply in JSON, which is the caller's alone.
fn json_reply(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}
