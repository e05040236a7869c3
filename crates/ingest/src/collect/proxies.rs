//! The client's address behind proxies.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Which proxies are believed, and where they write the address of their peer.
///
/// Without `networks` and `hops`, no header is believed: anybody can send one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// The addresses of the proxies. A request from any other address is believed nothing, and its sender is the client.
    pub networks: Vec<Network>,
    /// Without `networks`: how many proxies each request passes.
    pub hops: usize,
    pub header: AddressHeader,
}

/// Addresses of proxies: one address, or a network as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// The header with the client's address. One alone is believed: a proxy passes on the others as the client sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressHeader {
    /// Each proxy appends the address of its peer.
    #[default]
    XForwardedFor,
    /// RFC 7239; each proxy appends an element with the address of its peer.
    Forwarded,
    /// The proxy next to the client sets it.
    XRealIp,
    /// Cloudflare sets it.
    CfConnectingIp,
}

impl AddressHeader {
    const ALL: [Self; 4] = [
        Self::XForwardedFor,
        Self::Forwarded,
        Self::XRealIp,
        Self::CfConnectingIp,
    ];

    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::XRealIp => "x-real-ip",
            Self::CfConnectingIp => "cf-connecting-ip",
        }
    }

    /// Whether each proxy adds an entry, rather than one of them setting the value.
    const fn is_list(self) -> bool {
        matches!(self, Self::XForwardedFor | Self::Forwarded)
    }

    /// The address of an entry. Some proxies append the port.
    fn address(self, entry: &str) -> Option<IpAddr> {
        let text = match self {
            Self::Forwarded => forwarded_for(entry)?,
            _ => entry.trim(),
        };
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let address = bare
            .parse()
            .ok()
            .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
        address.map(|address: IpAddr| address.to_canonical())
    }
}

/// The `for` of an element of `Forwarded`: `for="[2001:db8::1]:443";proto=https`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim().trim_matches('"'))
    })
}

impl FromStr for AddressHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|header| header.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no header with a client's address; expected one of {names}")
        })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network
            .map(Self)
            .map_err(|_| format!("{text:?} is no address; expected one as 10.0.0.7, or a network as 10.0.0.0/8"))
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            return self.0.addr().fmt(f);
        }
        self.0.fmt(f)
    }
}

impl TrustedProxies {
    /// Every request passes this many proxies, which add to `X-Forwarded-For`.
    pub fn hops(hops: usize) -> Self {
        Self {
            hops,
            ..Self::default()
        }
    }

    /// The client's address; `None` if it is not known.
    pub(super) fn client(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let peer = peer.map(|peer| peer.to_canonical());
        let by_network = !self.networks.is_empty();
        let believed = match by_network {
            true => peer.is_some_and(|peer| self.is_proxy(peer)),
            false => self.hops > 0,
        };
        if !believed {
            return peer;
        }
        // From right to left, as the proxies appended them; entries further left can be forged by the client.
        let mut entries = headers
            .get_all(HeaderName::from_static(self.header.name()))
            .iter()
            .rev()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.rsplit(','))
            .peekable();
        if entries.peek().is_none() {
            return peer;
        }
        match (self.header.is_list(), by_network) {
            (false, _) => entries.next().and_then(|entry| self.header.address(entry)),
            // With fewer entries the request bypassed the proxies, and the peer is the client.
            (true, false) => entries
                .nth(self.hops - 1)
                .map_or(peer, |entry| self.header.address(entry)),
            (true, true) => self.beyond_proxies(entries),
        }
    }

    /// The first entry that is none of the proxies; if all are, the leftmost.
    fn beyond_proxies<'a>(&self, entries: impl Iterator<Item = &'a str>) -> Option<IpAddr> {
        let mut last = None;
        for entry in entries {
            last = self.header.address(entry);
            if !last.is_some_and(|address| self.is_proxy(address)) {
                break;
            }
        }
        last
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::AddressHeader::{CfConnectingIp, Forwarded, XForwardedFor, XRealIp};
    use super::*;

    fn headers(of: AddressHeader, values: &[&str]) -> HeaderMap {
        let name = HeaderName::from_static(of.name());
        HeaderMap::from_iter(values.iter().map(|value| (name.clone(), value.parse().unwrap())))
    }

    fn client(proxies: &TrustedProxies, headers: &HeaderMap, peer: &str) -> String {
        let client = proxies.client(headers, peer.parse().ok());
        client.map_or_else(|| "none".into(), |address| address.to_string())
    }

    fn by_hops(values: &[&str], hops: usize) -> String {
        client(&TrustedProxies::hops(hops), &headers(XForwardedFor, values), "10.0.0.1")
    }

    fn networks(header: AddressHeader) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"].map(|network| network.parse().unwrap());
        TrustedProxies {
            networks: networks.to_vec(),
            header,
            ..TrustedProxies::default()
        }
    }

    #[test]
    fn header_needs_trusted_proxies() {
        assert_eq!(by_hops(&["8.8.8.8"], 0), "10.0.0.1");
        for header in AddressHeader::ALL {
            let none = TrustedProxies {
                header,
                ..TrustedProxies::default()
            };
            assert_eq!(
                client(&none, &headers(header, &["for=8.8.8.8"]), "10.0.0.1"),
                "10.0.0.1"
            );
            let stranger = client(&networks(header), &headers(header, &["8.8.8.8"]), "203.0.113.9");
            assert_eq!(stranger, "203.0.113.9", "{header:?}");
        }
    }

    #[test]
    fn forged_hops_are_ignored() {
        assert_eq!(by_hops(&["1.1.1.1, 8.8.8.8"], 1), "8.8.8.8");
        assert_eq!(by_hops(&["1.1.1.1, 8.8.8.8, 10.0.0.9"], 2), "8.8.8.8");
        assert_eq!(by_hops(&["1.1.1.1", "8.8.8.8, 10.0.0.9"], 2), "8.8.8.8");
        let listed = headers(XForwardedFor, &["1.1.1.1, 8.8.8.8, 192.0.2.7", "10.3.3.3"]);
        assert_eq!(client(&networks(XForwardedFor), &listed, "10.0.0.1"), "8.8.8.8");
        let garbage = headers(XForwardedFor, &["1.1.1.1, unknown, 10.3.3.3"]);
        assert_eq!(client(&networks(XForwardedFor), &garbage, "10.0.0.1"), "none");
    }

    #[test]
    fn request_bypassing_proxies_has_peer_address() {
        assert_eq!(by_hops(&[], 1), "10.0.0.1");
        assert_eq!(by_hops(&["8.8.8.8"], 2), "10.0.0.1");
        assert_eq!(client(&networks(XRealIp), &HeaderMap::new(), "10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn client_within_the_network_is_the_leftmost() {
        let listed = headers(XForwardedFor, &["10.1.1.1, 10.2.2.2"]);
        assert_eq!(client(&networks(XForwardedFor), &listed, "10.0.0.1"), "10.1.1.1");
    }

    #[test]
    fn hops_with_ports_and_brackets() {
        assert_eq!(by_hops(&["8.8.8.8:443"], 1), "8.8.8.8");
        assert_eq!(by_hops(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(by_hops(&["[2001:db8::1]"], 1), "2001:db8::1");
        assert_eq!(by_hops(&["unknown"], 1), "none");
    }

    #[test]
    fn mapped_addresses_are_those_of_ipv4() {
        let listed = headers(XForwardedFor, &["::ffff:8.8.8.8"]);
        assert_eq!(client(&networks(XForwardedFor), &listed, "::ffff:10.0.0.1"), "8.8.8.8");
    }

    #[test]
    fn forwarded_elements_are_read() {
        for (value, expected) in [
            ("for=8.8.8.8", "8.8.8.8"),
            ("proto=https;For=\"8.8.8.8:443\";by=10.0.0.1", "8.8.8.8"),
            (
                "for=1.1.1.1, for=\"[2001:db8:cafe::17]:4711\" , for=10.3.3.3",
                "2001:db8:cafe::17",
            ),
            ("for=_hidden", "none"),
            ("by=10.0.0.1", "none"),
        ] {
            assert_eq!(
                client(&networks(Forwarded), &headers(Forwarded, &[value]), "fd00::5"),
                expected,
                "{value}"
            );
        }
        let by_hops = TrustedProxies {
            hops: 2,
            header: Forwarded,
            ..TrustedProxies::default()
        };
        let listed = headers(Forwarded, &["for=1.1.1.1, for=8.8.8.8", "for=9.9.9.9"]);
        assert_eq!(client(&by_hops, &listed, "10.0.0.1"), "8.8.8.8");
    }

    #[test]
    fn single_valued_headers_are_read() {
        for header in [XRealIp, CfConnectingIp] {
            assert_eq!(
                client(&networks(header), &headers(header, &["8.8.8.8"]), "10.0.0.1"),
                "8.8.8.8"
            );
            let other = headers(XForwardedFor, &["8.8.8.8"]);
            assert_eq!(client(&networks(header), &other, "10.0.0.1"), "10.0.0.1");
        }
    }

    #[test]
    fn networks_are_read_and_written() {
        for text in ["10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in ["", "10.0.0", "10.0.0.0/33", "proxy.example"] {
            assert!(text.parse::<Network>().unwrap_err().contains("expected"), "{text}");
        }
        assert_eq!("X-Real-IP".parse(), Ok(XRealIp));
        assert!("via".parse::<AddressHeader>().is_err());
    }
}
