//! Who sent a request: the address, the browser, the token.

use std::net::{IpAddr, SocketAddr};

pub(super) use footfall_model::access::bearer as bearer_of;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};

/// Longer ones say nothing more.
const USER_AGENT_BYTES: usize = 1_024;

/// The address that the country is taken from.
///
/// Each proxy appends the address that it saw, so with `trusted_proxies` of them the sender is that many places from
/// the right; everything left of it is the sender's own invention. If there are fewer, the request has come around the
/// proxies and its peer is the sender.
pub(super) fn address(headers: &HeaderMap, peer: Option<IpAddr>, trusted_proxies: usize) -> Option<IpAddr> {
    let Some(index) = trusted_proxies.checked_sub(1) else {
        return peer;
    };
    let forwarded = headers.get_all("x-forwarded-for").iter().rev();
    let mut hops = forwarded
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    match hops.nth(index) {
        Some(hop) => parse_hop(hop.trim()),
        None => peer,
    }
}

/// Some proxies write the port too.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The browser's `User-Agent`.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    text.get(..USER_AGENT_BYTES).or(Some(text))
}

/// The token of `Authorization: Bearer ...`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(headers.get(AUTHORIZATION)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(forwarded: &[&str], trusted_proxies: usize) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let peer = "10.0.0.1".parse().ok();
        address(&headers, peer, trusted_proxies).map_or_else(|| "none".into(), |address| address.to_string())
    }

    #[test]
    fn the_header_is_not_believed_unless_proxies_are_configured() {
        assert_eq!(sender(&["8.8.8.8"], 0), "10.0.0.1");
    }

    #[test]
    fn what_the_sender_invented_stands_left_of_what_the_proxies_saw() {
        assert_eq!(sender(&["1.1.1.1, 8.8.8.8"], 1), "8.8.8.8");
        assert_eq!(sender(&["1.1.1.1, 8.8.8.8, 10.0.0.9"], 2), "8.8.8.8");
        assert_eq!(sender(&["1.1.1.1", "8.8.8.8, 10.0.0.9"], 2), "8.8.8.8");
    }

    #[test]
    fn a_request_around_the_proxies_is_its_peers() {
        assert_eq!(sender(&[], 1), "10.0.0.1");
        assert_eq!(sender(&["8.8.8.8"], 2), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_understood_and_nonsense_is_nobody() {
        assert_eq!(sender(&["8.8.8.8:443"], 1), "8.8.8.8");
        assert_eq!(sender(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(sender(&["[2001:db8::1]"], 1), "2001:db8::1");
        assert_eq!(sender(&["unknown"], 1), "none");
    }
}
