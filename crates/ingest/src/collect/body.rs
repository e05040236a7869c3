//! Reads a request's body: media type, encoding, size limit, timeout.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use super::budget::{Account, Exhausted};
use super::decode::Compression;
use super::options::CollectOptions;

/// Why a body was rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("Content-Type {0:?} is not taken; send application/json (or text/plain, as sendBeacon does) in UTF-8")]
    MediaType(String),
    #[error("Content-Encoding {0:?} is not taken; send {names}, or nothing", names = Compression::NAMES)]
    Encoding(String),
    #[error("the body is larger than {limit} bytes; send fewer events at once")]
    TooBig { limit: usize },
    #[error("the body is larger than {limit} bytes after decompression; send fewer events at once")]
    InflatesTooBig { limit: usize },
    #[error("the body is not valid {name}: {1}", name = .0.name())]
    Undecodable(Compression, String),
    #[error("the body did not arrive within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("the body broke off: {0}")]
    Aborted(String),
    #[error("too many requests are under way; try again in 1 s")]
    Exhausted,
}

impl From<Exhausted> for BodyError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Reads a whole body and decompresses it. Its memory is charged to `account`.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    options: &CollectOptions,
    account: &mut Account,
) -> Result<Bytes, BodyError> {
    let limit = options.body_bytes;
    let declared = declared_length(headers);
    if declared.is_some_and(|length| length > limit) {
        return Err(BodyError::TooBig { limit });
    }
    let mut stream = body.into_data_stream();
    let arriving = async {
        check_media_type(headers)?;
        let compression = compression(headers)?;
        Ok((
            compression,
            receive(&mut stream, declared.unwrap_or(limit), limit, account).await?,
        ))
    };
    let arrived = tokio::time::timeout(options.body_timeout, arriving).await;
    match arrived.unwrap_or(Err(BodyError::Timeout(options.body_timeout))) {
        Ok((None, bytes)) => Ok(bytes),
        Ok((Some(compression), bytes)) => compression.decode(&bytes, limit, account),
        Err(error) => {
            if !matches!(error, BodyError::Timeout(_) | BodyError::Aborted(_)) {
                discard(&mut stream, limit).await;
            }
            Err(error)
        }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Accepts `application/json`, `text/plain` (which browsers may send without a CORS preflight), or no media type.
fn check_media_type(headers: &HeaderMap) -> Result<(), BodyError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let refused = || BodyError::MediaType(String::from_utf8_lossy(value.as_bytes()).into_owned());
    let text = value.to_str().map_err(|_| refused())?;
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let known = ["application/json", "text/plain"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(media_type));
    let utf8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .all(|(name, value)| {
            let charset = value.trim_matches('"');
            !name.eq_ignore_ascii_case("charset")
                || ["utf-8", "utf8", "us-ascii"]
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(charset))
        });
    if known && utf8 { Ok(()) } else { Err(refused()) }
}

fn compression(headers: &HeaderMap) -> Result<Option<Compression>, BodyError> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(CONTENT_ENCODING) {
            true => Err(BodyError::Encoding("several".into())),
            false => Ok(None),
        };
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(None),
        name => Compression::of(name)
            .map(Some)
            .ok_or_else(|| BodyError::Encoding(text.into_owned())),
    }
}

/// The buffer grows with the bytes received, up to `expected`: a client can't reserve memory by its `Content-Length`.
async fn receive(
    stream: &mut BodyDataStream,
    expected: usize,
    limit: usize,
    account: &mut Account,
) -> Result<Bytes, BodyError> {
    // A small body arrives as one chunk, which is returned without a copy.
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| BodyError::Aborted(error.to_string()))?;
        let length = first.len() + whole.len() + chunk.len();
        if length > limit {
            return Err(BodyError::TooBig { limit });
        }
        account.take(chunk.len())?;
        if first.is_empty() && whole.is_empty() {
            first = chunk;
            continue;
        }
        if length > whole.capacity() {
            let capacity = (2 * length).min(expected).max(length);
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&chunk);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

/// Drains the body for up to a second. A client that is still sending when the connection closes would get a reset
/// instead of the reply.
async fn discard(stream: &mut BodyDataStream, limit: usize) {
    let rest = async {
        let mut left = limit;
        while let Some(Ok(chunk)) = stream.next().await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_ignore_case_and_parameters() {
        let taken = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            check_media_type(&headers).is_ok()
        };
        assert!(check_media_type(&HeaderMap::new()).is_ok());
        assert!(taken("application/json"));
        assert!(taken("Application/JSON; charset=\"UTF-8\""));
        assert!(taken("text/plain;charset=UTF-8"));
        assert!(!taken("application/json; charset=utf-16"));
        assert!(!taken("application/x-www-form-urlencoded"));
        assert!(!taken("text/html"));
        assert!(!taken(""));
    }
}
