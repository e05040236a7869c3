//! Replies that a client has already: `ETag` and 304.
//!
//! ```text
//! W/"SNAPSHOT-REQUEST"  a token of all sites is told the snapshot: the same request over the same snapshot has the same
//!                       rows, and a statement that reads nothing tells whether the snapshot is still the newest
//! W/"CONTENT"           everybody else: a digest of the rows. The work is done, only the bytes are saved
//! ```
//!
//! The tags are weak: the id and the time of the run differ. Events of a closed day may still arrive, so that a client
//! asks each time (`no-cache`) and no reply has an age at which it is certainly good.

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{Gateway, PRIVATE};
use crate::flight::Token;
use crate::problem::Problem;
use crate::statement::Statement;

/// Tags of one request that are looked at.
const MAX_TAGS: usize = 20;

/// What a reply depends on, besides the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestDigest(u128);

impl RequestDigest {
    /// Of a statement with its values, and of what else decides what the reply says. Rollups whose events are gone end
    /// without a new snapshot, so that a day is part of it.
    pub(super) fn new(gateway: &Gateway, statement: &Statement, others: &[&str]) -> Self {
        let mut hash = Xxh3::new();
        let (sql, today) = (statement.literal(), gateway.now().date_naive().to_string());
        let all = [env!("CARGO_PKG_VERSION"), &today, &sql];
        for part in all.into_iter().chain(others.iter().copied()) {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.digest128())
    }

    /// The tag of a reply over a snapshot that is known.
    pub(super) fn tag(self, snapshot: u64) -> String {
        format!("W/\"{snapshot}-{:032x}\"", self.0)
    }

    fn snapshot_of(self, tag: &str) -> Option<u64> {
        let (snapshot, digest) = tag.split_once('-')?;
        let ours = u128::from_str_radix(digest, 16).ok()? == self.0;
        snapshot.parse().ok().filter(|_| ours)
    }
}

/// The tag of a reply by what it says.
pub(super) fn content_tag(content: &[u8]) -> String {
    format!("W/\"{:032x}\"", xxh3_128(content))
}

impl Gateway {
    /// 304 if the client has the reply over the newest snapshot, which only a token of all sites is told.
    pub(super) async fn unchanged(
        &self,
        token: &Token,
        headers: &HeaderMap,
        request: RequestDigest,
    ) -> Result<Option<Response>, Problem> {
        let known = tags(headers).find_map(|tag| request.snapshot_of(tag));
        let Some(known) = known else {
            return Ok(None);
        };
        let present = self.flight.answer(token, &Statement::new("SELECT 1")).await?;
        let present = present.provenance.origin.snapshot;
        Ok((present == Some(known)).then(|| not_modified(&request.tag(known))))
    }
}

/// Gives each reply its headers for caches, and answers 304 to a client that has it already.
pub(super) async fn conditional(request: Request, next: Next) -> Result<Response, Problem> {
    let is_get = request.method() == Method::GET;
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::OK && is_get && !response.headers().contains_key(ETAG) {
        response = with_content_tag(response).await?;
    }
    if response.status() == StatusCode::OK
        && let Some(tag) = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok())
        && tags(&headers).any(|known| known == opaque(tag))
    {
        response = not_modified(tag);
    }
    let vary = HeaderValue::from_static("authorization, accept, accept-encoding");
    response.headers_mut().insert(VARY, vary);
    Ok(response)
}

async fn with_content_tag(response: Response) -> Result<Response, Problem> {
    let json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json");
    let Some(size) = response.body().size_hint().exact().filter(|_| json) else {
        return Ok(response);
    };
    let (mut head, body) = response.into_parts();
    let limit = usize::try_from(size).unwrap_or(usize::MAX);
    let body = to_bytes(body, limit).await.map_err(|error| Problem::internal(&error))?;
    if let Ok(tag) = HeaderValue::try_from(content_tag(&body)) {
        head.headers.insert(ETAG, tag);
    }
    Ok(Response::from_parts(head, Body::from(body)))
}

fn not_modified(tag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(PRIVATE));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// The tags of `If-None-Match`, compared weakly (RFC 9110, section 8.8.3.2).
fn tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .take(MAX_TAGS)
        .map(|tag| opaque(tag.trim()))
}

fn opaque(tag: &str) -> &str {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    quoted
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_is_read_back_from_the_tag_of_its_request() {
        let (digest, other) = (RequestDigest(7), RequestDigest(8));
        let tag = digest.tag(12);
        assert_eq!(digest.snapshot_of(opaque(&tag)), Some(12));
        assert_eq!(other.snapshot_of(opaque(&tag)), None);
        for odd in ["", "12", "-", "x-7", "12-", "12-xyz", &content_tag(b"7")] {
            assert_eq!(digest.snapshot_of(opaque(odd)), None, "{odd}");
        }
    }

    #[test]
    fn tags_are_compared_weakly() {
        let headers = HeaderMap::from_iter([
            (IF_NONE_MATCH, HeaderValue::from_static("\"a\", W/\"b\"")),
            (IF_NONE_MATCH, HeaderValue::from_static("W/\"c\"")),
        ]);
        assert_eq!(tags(&headers).collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
