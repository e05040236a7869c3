//! Reads a request's body: media type, encoding, size limit, timeout, gzip.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use super::budget::{Account, Exhausted};
use super::options::CollectOptions;

/// Why a body was rejected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("Content-Type {0:?} is not taken; send application/json (or text/plain, as sendBeacon does) in UTF-8")]
    MediaType(String),
    #[error("Content-Encoding {0:?} is not taken; send gzip, or nothing")]
    Encoding(String),
    #[error("the body is larger than {limit} bytes; send fewer events at once")]
    TooBig { limit: usize },
    #[error("the body is larger than {limit} bytes after decompression; send fewer events at once")]
    InflatesTooBig { limit: usize },
    #[error("the body is not valid gzip: {0}")]
    Gzip(String),
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

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
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
        let encoding = encoding(headers)?;
        Ok((
            encoding,
            receive(&mut stream, declared.unwrap_or(limit), limit, account).await?,
        ))
    };
    let arrived = tokio::time::timeout(options.body_timeout, arriving).await;
    match arrived.unwrap_or(Err(BodyError::Timeout(options.body_timeout))) {
        Ok((Encoding::Identity, bytes)) => Ok(bytes),
        Ok((Encoding::Gzip, bytes)) => inflate(&bytes, limit, account),
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

fn encoding(headers: &HeaderMap) -> Result<Encoding, BodyError> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(CONTENT_ENCODING) {
            true => Err(BodyError::Encoding("several".into())),
            false => Ok(Encoding::Identity),
        };
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        _ => Err(BodyError::Encoding(text.into_owned())),
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

/// Stops decompressing at the limit, so that a gzip bomb costs no more than any other body.
fn inflate(compressed: &[u8], limit: usize, account: &mut Account) -> Result<Bytes, BodyError> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut plain = Vec::with_capacity(limit.min(4 * compressed.len()));
    let mut chunk = [0; 16 << 10];
    loop {
        let length = decoder
            .read(&mut chunk)
            .map_err(|error| BodyError::Gzip(error.to_string()))?;
        if length == 0 {
            return Ok(plain.into());
        }
        if plain.len() + length > limit {
            return Err(BodyError::InflatesTooBig { limit });
        }
        account.take(length)?;
        plain.extend_from_slice(chunk.get(..length).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::collect::budget::Budget;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn inflated(compressed: &[u8], limit: usize) -> Result<Bytes, BodyError> {
        inflate(compressed, limit, &mut Budget::new(1 << 30).account())
    }

    #[test]
    fn gzip_with_several_members() {
        assert_eq!(inflated(&gzip(b"abc"), 3).unwrap(), "abc");
        assert_eq!(inflated(&[gzip(b"abc"), gzip(b"def")].concat(), 6).unwrap(), "abcdef");
    }

    #[test]
    fn limit_spans_all_gzip_members() {
        assert_eq!(inflated(&gzip(b"abcd"), 3), Err(BodyError::InflatesTooBig { limit: 3 }));
        assert_eq!(
            inflated(&[gzip(b"abc"), gzip(b"d")].concat(), 3),
            Err(BodyError::InflatesTooBig { limit: 3 })
        );
    }

    #[test]
    fn gzip_bomb_stays_within_limit() {
        let bomb = gzip(&vec![0; 16 << 20]);
        let mut account = Budget::new(1 << 20).account();
        assert_eq!(
            inflate(&bomb, 1 << 20, &mut account),
            Err(BodyError::InflatesTooBig { limit: 1 << 20 })
        );
    }

    #[test]
    fn damaged_gzip_is_rejected() {
        let whole = gzip(b"some text that is long enough");
        for end in 1..whole.len() {
            assert!(
                matches!(inflated(&whole[..end], 100), Err(BodyError::Gzip(_))),
                "cut at {end}"
            );
        }
        let mut wrong_sum = whole.clone();
        wrong_sum[whole.len() - 6] ^= 1;
        assert!(matches!(inflated(&wrong_sum, 100), Err(BodyError::Gzip(_))));
        assert!(matches!(
            inflated(&[whole, b"tail".to_vec()].concat(), 100),
            Err(BodyError::Gzip(_))
        ));
    }

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
