//! uap-core's rules, compiled: `build.rs` wrote the tables.

use std::borrow::Cow;

use ua_parser::{os, user_agent};

use super::super::EnrichError;

mod tables {
    include!(concat!(env!("OUT_DIR"), "/uap_core.rs"));
}

pub(super) struct Rules {
    browsers: user_agent::Extractor<'static>,
    systems: os::Extractor<'static>,
}

impl Rules {
    pub(super) fn compile() -> Result<Self, EnrichError> {
        let mut browsers = user_agent::Builder::new();
        for (regex, family) in tables::BROWSERS {
            let family_replacement = family.map(Cow::Borrowed);
            let rule = user_agent::Parser {
                regex: (*regex).into(),
                family_replacement,
                ..Default::default()
            };
            browsers = browsers.push(rule).map_err(broken)?;
        }
        let mut systems = os::Builder::new();
        for (regex, name) in tables::SYSTEMS {
            let os_replacement = name.map(Cow::Borrowed);
            let rule = os::Parser {
                regex: (*regex).into(),
                os_replacement,
                ..Default::default()
            };
            systems = systems.push(rule).map_err(broken)?;
        }
        Ok(Self {
            browsers: browsers.build().map_err(broken)?,
            systems: systems.build().map_err(broken)?,
        })
    }

    /// uap-core's family of browser.
    pub(super) fn browser<'a>(&'a self, user_agent: &'a str) -> Option<Cow<'a, str>> {
        self.browsers.extract(user_agent).map(|found| found.family)
    }

    /// uap-core's family of operating system.
    pub(super) fn system<'a>(&'a self, user_agent: &'a str) -> Option<Cow<'a, str>> {
        self.systems.extract(user_agent).map(|found| found.os)
    }
}

pub(super) fn broken(error: impl std::fmt::Display) -> EnrichError {
    EnrichError::Rules(error.to_string())
}
