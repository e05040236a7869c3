//! Replies in zstd or gzip for clients that accept it. Streams go as they are: of each part a client should see all at once.

use std::io::Write;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::problem::Problem;

/// Bytes of a reply that are not worth it.
const SMALL: u64 = 1024;

const ZSTD_LEVEL: i32 = 3;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    /// The smaller and faster first.
    const ALL: [Self; 2] = [Self::Zstd, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn pack(self, plain: &Bytes) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(plain)?;
                encoder.finish()
            }
        }
    }
}

pub(super) async fn compress(request: Request, next: Next) -> Result<Response, Problem> {
    let accepted = accepted(request.headers());
    let response = next.run(request).await;
    let size = response.body().size_hint().exact();
    let size = size.filter(|size| *size >= SMALL && response.status() == StatusCode::OK);
    let (Some(size), Some(coding)) = (size, accepted) else {
        return Ok(response);
    };
    let (mut head, body) = response.into_parts();
    let limit = usize::try_from(size).unwrap_or(usize::MAX);
    let plain = to_bytes(body, limit).await.map_err(|error| Problem::internal(&error))?;
    let packed = tokio::task::spawn_blocking(move || coding.pack(&plain)).await;
    let packed = packed
        .map_err(|error| Problem::internal(&error))?
        .map_err(|error| Problem::internal(&error))?;
    head.headers.remove(CONTENT_LENGTH);
    head.headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    Ok(Response::from_parts(head, Body::from(packed)))
}

/// The coding that the client likes best, of equal ones our first.
fn accepted(headers: &HeaderMap) -> Option<Coding> {
    let values = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut best: Option<(f32, Coding)> = None;
    for given in values.flat_map(|value| value.split(',')) {
        let mut parts = given.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality: f32 = parts
            .find_map(|part| part.strip_prefix("q=")?.parse().ok())
            .unwrap_or(1.0);
        let known = Coding::ALL
            .into_iter()
            .find(|coding| name.eq_ignore_ascii_case(coding.name()));
        let Some(coding) = known.filter(|_| quality > 0.0) else {
            continue;
        };
        let is_better = best.is_none_or(|(most, other)| quality > most || (quality >= most && coding < other));
        if is_better {
            best = Some((quality, coding));
        }
    }
    best.map(|(_, coding)| coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_accepted_coding_is_used() {
        for (value, expected) in [
            ("gzip", Some(Coding::Gzip)),
            ("br, GZIP;q=0.5", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=0.9, zstd;q=0.8", Some(Coding::Gzip)),
            ("zstd;q=0, gzip;q=0.1", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip; q=0.0", None),
            ("br", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepted(&headers), expected, "{value}");
        }
        assert_eq!(accepted(&HeaderMap::new()), None);
    }

    #[test]
    fn packed_bodies_can_be_unpacked() {
        let plain = Bytes::from("abc".repeat(1_000));
        let zstd = Coding::Zstd.pack(&plain).unwrap();
        assert_eq!(zstd::bulk::decompress(&zstd, 10_000).unwrap(), plain);
        assert!(zstd.len() < 100 && Coding::Gzip.pack(&plain).unwrap().len() < 100);
    }
}
