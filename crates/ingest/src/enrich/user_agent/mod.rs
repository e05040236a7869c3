//! Browser, operating system, class of device and bot flag from a User-Agent.
//!
//! Names come from uap-core's rules (`data/README.md`), bots from [`bots`], HTTP libraries from [`libraries`], the
//! device's class from [`device`]. `docs/user-agents.md` tells users the same, with how well it works.
//!
//! **Who is a bot** (flagged in `is_bot`, never dropped; a flag that the client set stays):
//! - crawlers, previews, monitors, headless browsers, and fetchers of AI assistants (`Claude-User`): always, on any
//!   device. Their own name goes into `browser`, in place of the browser that they pretend to be;
//! - HTTP libraries (`curl`, `python-requests`, `Go-http-client`): unless the event itself names a browser, system or
//!   device. Then a server speaks for a visitor, and its own User-Agent says nothing of that visitor and is not used;
//! - no User-Agent: not a bot. Browsers always send one, so this is a server's SDK or gRPC, and the real crawlers name
//!   themselves.
//!
//! Libraries that apps are built with (okhttp, CFNetwork, Dart) are no bots.
//!
//! Limits: Safari on iPad calls itself a Mac since iPadOS 13, so it is counted as a desktop.

mod bots;
mod device;
mod libraries;
mod rules;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use footfall_model::proto::Event;
use metrics::counter;
use moka::sync::Cache;

use super::{EnrichError, fill, missing};
use bots::Bots;
use rules::Rules;

/// Longer ones are cut before they are looked at: the rest says nothing, and the cache stays bounded.
const MAX_BYTES: usize = 512;

/// User-Agents that are remembered. With [`MAX_BYTES`] and [`MAX_NAME`]: at most about 8 MB.
const CACHE_ENTRIES: u64 = 10_000;

/// Longest name of a browser or system, in characters. Some rules take it from the User-Agent as it stands.
const MAX_NAME: usize = 64;

/// Who sent an event, as its User-Agent has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) browser: Option<Box<str>>,
    pub(super) os: Option<Box<str>>,
    pub(super) device: &'static str,
    pub(super) robot: Robot,
}

/// What kind of program sends this User-Agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Robot {
    /// A browser or an app.
    No,
    /// A crawler, a preview, a monitor, a headless browser.
    Crawler,
    /// A library: a script, or a server that speaks for a visitor.
    Library,
}

impl Agent {
    /// Fills `browser`, `os` and `device` where the client left them out, and sets `is_bot` on what is one.
    pub(super) fn describe(&self, event: &mut Event) {
        let speaks_for_itself = [&event.browser, &event.os, &event.device]
            .iter()
            .all(|field| missing(field.as_deref()));
        match self.robot {
            Robot::Library if !speaks_for_itself => return,
            Robot::Library | Robot::Crawler if !event.is_bot => {
                event.is_bot = true;
                counter!("footfall_ingest_bot_events_total").increment(1);
            }
            _ => {}
        }
        fill(&mut event.browser, self.browser.as_deref());
        fill(&mut event.os, self.os.as_deref());
        fill(&mut event.device, Some(self.device));
    }
}

/// The compiled rules and what they said lately.
pub(super) struct UserAgents {
    rules: Rules,
    bots: Bots,
    seen: Cache<Box<str>, Arc<Agent>>,
}

impl UserAgents {
    pub(super) fn new() -> Result<Self, EnrichError> {
        Ok(Self {
            rules: Rules::compile()?,
            bots: Bots::compile()?,
            seen: Cache::new(CACHE_ENTRIES),
        })
    }

    /// What a User-Agent says; `None` if it is empty.
    pub(super) fn agent(&self, user_agent: &str) -> Option<Arc<Agent>> {
        let user_agent = cut(user_agent.trim());
        if user_agent.is_empty() {
            return None;
        }
        if let Some(agent) = self.seen.get(user_agent) {
            return Some(agent);
        }
        counter!("footfall_ingest_user_agents_parsed_total").increment(1);
        let agent = Arc::new(self.read(user_agent));
        self.seen.insert(user_agent.into(), Arc::clone(&agent));
        Some(agent)
    }

    fn read(&self, user_agent: &str) -> Agent {
        let bot = self.bots.find(user_agent);
        let robot = match &bot {
            Some(_) => Robot::Crawler,
            None if libraries::is_library(user_agent) => Robot::Library,
            None => Robot::No,
        };
        let os = self.rules.system(user_agent);
        let known = || self.rules.browser(user_agent).as_deref().and_then(name);
        let browser = match (bot, robot) {
            // uap-core calls bots that it does not know by a piece of their address.
            (Some(bot), _) => bot
                .name
                .as_deref()
                .and_then(name)
                .or_else(|| known().filter(|name| !name.contains('/'))),
            (None, Robot::Library) => known().or_else(|| name(libraries::product(user_agent))),
            (None, _) => known(),
        };
        let device = if robot == Robot::No {
            device::class(user_agent, os.as_deref())
        } else {
            device::OTHER
        };
        Agent {
            browser,
            os: os.as_deref().and_then(name),
            device,
            robot,
        }
    }
}

fn cut(user_agent: &str) -> &str {
    &user_agent[..user_agent.floor_char_boundary(MAX_BYTES)]
}

/// The name as users know it: one browser has one name on all devices, and "Other" is none.
fn name(family: &str) -> Option<Box<str>> {
    let plain = match family {
        "" | "Other" => return None,
        "Chrome Mobile" | "Chrome Mobile iOS" => "Chrome",
        "Chrome Mobile WebView" => "Android WebView",
        "Mobile Safari" => "Safari",
        "Mobile Safari UI/WKWebView" => "Safari (in-app)",
        "Firefox Mobile" | "Firefox iOS" | "Firefox Alpha" | "Firefox Beta" => "Firefox",
        "Edge Mobile" => "Edge",
        "IE Mobile" | "IE Large Screen" => "IE",
        "Opera Mobile" | "Opera Tablet" => "Opera",
        "DuckDuckGo Mobile" => "DuckDuckGo",
        "QQ Browser Mobile" | "QQ Browser Mini" => "QQ Browser",
        "MiuiBrowser" => "MIUI Browser",
        other => {
            let visible: String = other
                .trim()
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_NAME)
                .collect();
            return (!visible.is_empty()).then(|| visible.into());
        }
    };
    Some(plain.into())
}
