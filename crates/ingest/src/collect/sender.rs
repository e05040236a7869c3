//! The sender of a request: user agent and token; its address is for [`super::proxies`] to find.

pub(super) use footfall_model::access::bearer as bearer_of;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};

/// Longer user agents are cut; the rest adds no information.
const USER_AGENT_BYTES: usize = 1_024;

/// The browser's `User-Agent`.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    text.get(..USER_AGENT_BYTES).or(Some(text))
}

/// The token of `Authorization: Bearer ...`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(headers.get(AUTHORIZATION)?.to_str().ok()?)
}
