//! `GET /api/v1/beacon?...`: one event in the query of an image URL, for mails and pages without scripts.
//!
//! Parameters have the names of the JSON form (`tracking_id`, `page.url`, `utm.source`), or of the columns (`page_url`,
//! `utm_source`), or short ones: `tid`, `cid`, `sid`, `et`, `eid`, `ts`, `url`, `title`, `ref`, `uid`, `cp`. Unknown
//! ones are ignored, blank ones count as absent, and of repeated ones the first counts. The reply is a transparent GIF
//! of one pixel, or a JSON error if the event was not stored.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::draft::Draft;
use super::http::caller;
use super::reject::Reject;
use super::reply::{self, Failure};
use super::{CollectOptions, Collector};

const PIXEL: &[u8; 43] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

pub(super) async fn receive(collector: &Collector, request: Request) -> Result<Response, Failure> {
    let (head, _) = request.into_parts();
    let draft = parse(head.uri.query().unwrap_or_default(), &collector.options);
    let outcome = collector
        .publish(vec![draft], caller(&head, collector.options.trusted_proxies))
        .await?;
    let debug = reply::is_debug(&head.headers);
    let pixel = outcome.rejected.is_empty() && !debug;
    let mut response = if pixel {
        PIXEL.into_response()
    } else {
        reply::of_outcome(&outcome, debug)
    };
    let headers = response.headers_mut();
    if pixel {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/gif"));
    }
    // The next view of the same page must send its own event.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) fn parse(query: &str, options: &CollectOptions) -> Result<Draft, Reject> {
    if query.len() > options.event_bytes {
        return Err(Reject::too_big(query.len(), options.event_bytes));
    }
    let mut draft = Draft::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        draft.parameter(&name, &value, &options.properties);
    }
    Ok(draft)
}
