//! What the server reads out of a sender's User-Agent, address, page and referrer.
//!
//! Lines: User-Agent, page URL, referrer, address, then what the client says itself: browser, country, `source`,
//! `utm_source`. With MaxMind's mark in it, all but the first 16 bytes is a database of addresses, and those the address.
//!
//! Checked: no panic; enriching twice is enriching once; what the client said stays; what is derived is short; hosts of
//! http URLs are those of the URL standard.

#![no_main]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use footfall_ingest::enrich::{EnrichOptions, Enricher, Sender, geo, url};
use footfall_model::proto::Event;
use libfuzzer_sys::fuzz_target;
use prost::Message;

const DATABASE_MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";

static ENRICHER: LazyLock<Enricher> =
    LazyLock::new(|| Enricher::new(EnrichOptions::default()).expect("the built-in data are good"));

fuzz_target!(
    // The rules take seconds to compile with instrumentation.
    init: {
        LazyLock::force(&ENRICHER);
    },
    |data: &[u8]| run(data)
);

fn run(data: &[u8]) {
    if data.windows(DATABASE_MARK.len()).any(|window| window == DATABASE_MARK) {
        if let Some((ip, database)) = data.split_first_chunk::<16>() {
            geo::placed(database.to_vec(), IpAddr::V6(Ipv6Addr::from(*ip)));
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().filter(|line| !line.is_empty());
    let mut owned = || line().map(str::to_owned);
    let (user_agent, page_url, referrer, ip) = (owned(), owned(), owned(), owned());
    let sent = Event {
        page_url,
        referrer,
        browser: owned(),
        country: owned(),
        source: owned(),
        utm_source: owned(),
        ..Event::default()
    };
    let sender = Sender {
        ip: ip.and_then(|ip| ip.parse().ok()),
        user_agent: user_agent.as_deref(),
    };
    let mut event = sent.clone();
    ENRICHER.enrich(&mut event, sender);
    assert_kept(&sent, &event);
    assert_short(&sent, &event);
    let mut again = event.clone();
    ENRICHER.enrich(&mut again, sender);
    assert_eq!(again, event, "enriching twice is enriching once");
    for address in [&sent.page_url, &sent.referrer].into_iter().flatten() {
        assert_host(address);
    }
}

fn said(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.trim().is_empty())
}

fn assert_kept(sent: &Event, event: &Event) {
    assert_eq!((&sent.page_url, &sent.referrer), (&event.page_url, &event.referrer));
    for (before, after) in [
        (&sent.browser, &event.browser),
        (&sent.country, &event.country),
        (&sent.source, &event.source),
        (&sent.utm_source, &event.utm_source),
    ] {
        assert!(said(before).is_none() || before == after, "{before:?} became {after:?}");
    }
}

fn assert_short(sent: &Event, event: &Event) {
    let short = |before: &Option<String>, after: &Option<String>, limit: usize| {
        // Blank text of the client stays where nothing is known instead.
        let derived = after.as_deref().filter(|_| before != after);
        assert!(
            derived.is_none_or(|text| text.chars().count() <= limit),
            "long: {derived:?}"
        );
    };
    short(&sent.browser, &event.browser, 64);
    short(&None, &event.os, 64);
    short(&sent.country, &event.country, 2);
    for utm in [
        &event.utm_medium,
        &event.utm_campaign,
        &event.utm_term,
        &event.utm_content,
    ] {
        short(&None, utm, 256);
    }
    short(&sent.utm_source, &event.utm_source, 256);
    // A lower-case letter may be several, and `utm_source` is the client's.
    let named = event.utm_source.as_deref().map_or(0, |text| text.chars().count());
    short(&sent.source, &event.source, 3 * named.max(256));
    assert!(event.channel.is_some() && event.city.is_none());
    assert!(matches!(
        event.device.as_deref(),
        None | Some("desktop" | "mobile" | "tablet" | "other")
    ));
    // Percent signs may hide bytes that are no text: three bytes each once they are decoded.
    assert!(event.encoded_len() <= 4 * sent.encoded_len() + 1024);
}

fn assert_host(address: &str) {
    let found = url::host(address);
    if let Some(host) = &found {
        assert!(!host.is_empty() && host.len() <= 253 && host.is_ascii(), "{host:?}");
    }
    // The standard takes tabs and line ends out of the middle; no browser sends them.
    let Ok(standard) = ::url::Url::parse(address) else {
        return;
    };
    if !matches!(standard.scheme(), "http" | "https") || address.contains(['\t', '\r']) {
        return;
    }
    let expected = standard.host_str().map(|host| host.strip_suffix('.').unwrap_or(host));
    let expected = expected.filter(|host| !host.is_empty() && host.len() <= 253);
    assert_eq!(found.as_deref(), expected, "of {address:?}");
}
