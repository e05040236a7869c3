//! What the server adds to an event: country, browser, os, device, bot flag, UTM, source and channel.
//!
//! Everything is derived from the event and its [`Sender`] alone, with no I/O, and what the client sent wins over what
//! is derived (an empty text counts as not sent). Enriching twice equals enriching once, so a batch may pass here
//! again after a retry. The sender's address is looked at and forgotten: not stored, not cached, not logged.
//!
//! | field | from | by |
//! |---|---|---|
//! | `country`, `city` | the address | [`geo`]: the `iptocc` crate, or a MaxMind-format database |
//! | `browser`, `os`, `device`, `is_bot` | User-Agent | [`user_agent`]: uap-core's rules through the `ua-parser` crate, words of bots |
//! | `utm_*` | the query of `page_url`, then its fragment | [`campaign`] |
//! | `source` | UTM, then an ad's click id, then referrer | [`attribution`], [`click_id`], [`sources`] |
//! | `channel` | source, medium, click id | [`channel()`] |
//! | `page_host`, `page_path` | `page_url` | [`page`], when the event is written to the lake |
//!
//! Cost: about a microsecond per event in a release build while the User-Agent is in the cache, 5 to 25 when it is not.

pub mod attribution;
pub mod campaign;
pub mod channel;
pub mod click_id;
pub mod geo;
pub mod page;
pub mod sources;
pub mod url;
pub mod user_agent;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use footfall_model::proto::Event;

pub use attribution::Attribution;
pub use channel::{Channel, channel};
pub use page::Page;

use geo::{Geo, GeoLocation};
use user_agent::{Agent, UserAgents};

/// What is known of the sender. The address is used for the country and never stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender<'a> {
    pub ip: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
}

/// Where the enrichment takes its knowledge from.
#[derive(Debug, Clone, Default)]
pub struct EnrichOptions {
    /// A country or city database in MaxMind's format (`.mmdb`: GeoLite2, GeoIP2, DB-IP, IPinfo). It is read into
    /// memory whole. None: countries from the embedded table of address registries, no cities.
    pub geo_database: Option<PathBuf>,
}

/// The enrichment cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    #[error("the geo database {path} can't be read ({reason}): give the path of a country or city .mmdb file, or none")]
    GeoDatabase { path: PathBuf, reason: String },
    /// Cannot happen with the rules that are built in: a test compiles each of them.
    #[error("the built-in User-Agent rules don't compile: {0}")]
    Rules(String),
}

/// Fills in what clients left out. Share one per process: it holds compiled rules (about 10 MB) and a bounded cache.
pub struct Enricher {
    geo: Geo,
    user_agents: UserAgents,
}

impl Enricher {
    /// Compiles the User-Agent rules (60 ms in a release build) and reads the geo database, if there is one.
    pub fn new(options: EnrichOptions) -> Result<Self, EnrichError> {
        let EnrichOptions { geo_database } = options;
        Ok(Self {
            geo: Geo::open(geo_database)?,
            user_agents: UserAgents::new()?,
        })
    }

    /// What the sender says of all its events, looked up once.
    pub fn sender(&self, sender: Sender<'_>) -> KnownSender<'_> {
        KnownSender {
            agent: sender.user_agent.and_then(|text| self.user_agents.agent(text)),
            location: sender.ip.map(|ip| self.geo.find(ip)).unwrap_or_default(),
        }
    }

    /// Fills `utm_source` to `channel` where the client left them out, and sets `is_bot` on what is one.
    pub fn enrich(&self, event: &mut Event, sender: Sender<'_>) {
        self.sender(sender).enrich(event);
    }
}

/// A sender of whom the User-Agent is read and the address found.
#[derive(Debug)]
pub struct KnownSender<'a> {
    agent: Option<Arc<Agent>>,
    location: GeoLocation<'a>,
}

impl KnownSender<'_> {
    /// Fills `utm_source` to `channel` where the client left them out, and sets `is_bot` on what is one.
    pub fn enrich(&self, event: &mut Event) {
        if let Some(agent) = &self.agent {
            agent.describe(event);
        }
        self.location.fill(event);
        attribution::attribute(event);
    }
}

impl fmt::Debug for Enricher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enricher")
            .field("geo", &self.geo)
            .finish_non_exhaustive()
    }
}

/// Whether the client left a field out. An empty text says nothing, and would stand as a value of its own in reports.
fn missing(field: Option<&str>) -> bool {
    field.is_none_or(|text| text.trim().is_empty())
}

/// Writes what was derived into a field that the client left out.
fn fill(field: &mut Option<String>, derived: Option<&str>) {
    if missing(field.as_deref()) {
        *field = derived.map(str::to_owned);
    }
}
