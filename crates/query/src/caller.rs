//! The principal that runs a statement.

use footfall_model::access::{Principal, SiteScope};

use crate::slots::Token;

/// What a statement may read, and whose share of the server it uses.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) sites: SiteScope,
    pub(crate) token: Token,
    /// Whether segments may answer for events.
    pub(crate) routing: bool,
    /// Whether a result that was kept may be returned.
    pub(crate) cache: bool,
}

impl Caller {
    /// Reads `events` alone where a statement says so, for comparing.
    #[must_use]
    pub fn with_routing(self, routing: bool) -> Self {
        Self { routing, ..self }
    }

    /// Computes anew what a statement says so for, and keeps no result.
    #[must_use]
    pub fn with_cache(self, cache: bool) -> Self {
        Self { cache, ..self }
    }
}

impl From<&Principal> for Caller {
    fn from(principal: &Principal) -> Self {
        Self {
            sites: principal.sites.clone(),
            token: principal.token_id.as_str().into(),
            routing: true,
            cache: true,
        }
    }
}

/// The server itself.
impl From<&SiteScope> for Caller {
    fn from(sites: &SiteScope) -> Self {
        Self {
            sites: sites.clone(),
            token: Token::from(""),
            routing: true,
            cache: true,
        }
    }
}
