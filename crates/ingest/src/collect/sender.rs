//! The sender of a request: address, user agent, token.

use std::net::{IpAddr, SocketAddr};

pub(super) use footfall_model::access::bearer as bearer_of;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};

/// Longer user agents are cut; the rest adds no information.
const USER_AGENT_BYTES: usize = 1_024;

/// The client address, from which the country is derived.
///
/// Each proxy appends the address of its peer, so the client is entry number `trusted_proxies` from the right; entries
/// further left can be forged by the client. With fewer entries the request bypassed the proxies, and the peer is the
/// client.
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

/// Some proxies append the port.
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
    fn forwarded_header_needs_trusted_proxies() {
        assert_eq!(sender(&["8.8.8.8"], 0), "10.0.0.1");
    }

    #[test]
    fn forged_hops_are_ignored() {
        assert_eq!(sender(&["1.1.1.1, 8.8.8.8"], 1), "8.8.8.8");
        assert_eq!(sender(&["1.1.1.1, 8.8.8.8, 10.0.0.9"], 2), "8.8.8.8");
        assert_eq!(sender(&["1.1.1.1", "8.8.8.8, 10.0.0.9"], 2), "8.8.8.8");
    }

    #[test]
    fn request_bypassing_proxies_has_peer_address() {
        assert_eq!(sender(&[], 1), "10.0.0.1");
        assert_eq!(sender(&["8.8.8.8"], 2), "10.0.0.1");
    }

    #[test]
    fn hops_with_ports_and_brackets() {
        assert_eq!(sender(&["8.8.8.8:443"], 1), "8.8.8.8");
        assert_eq!(sender(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(sender(&["[2001:db8::1]"], 1), "2001:db8::1");
        assert_eq!(sender(&["unknown"], 1), "none");
    }
}
