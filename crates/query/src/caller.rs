//! The principal that runs a statement.

use footfall_model::access::{Principal, SiteScope};

use crate::routing::{Budget, RawLimit};
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
    /// Whether an aggregate that would read very many events may read a sample of the visitors.
    pub(crate) sampling: bool,
}

impl Caller {
    /// Reads `events` alone where a statement says so, for comparing.
    #[must_use]
    pub fn with_routing(self, routing: bool) -> Self {
        Self { routing, ..self }
    }

    /// Lets what would take long be estimated from a sample of the visitors.
    #[must_use]
    pub fn with_sampling(self, sampling: bool) -> Self {
        Self { sampling, ..self }
    }

    pub(crate) fn budget(&self, limit: RawLimit) -> Budget {
        Budget {
            routing: self.routing,
            sampling: self.sampling,
            limit,
        }
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
            sampling: false,
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
            sampling: false,
        }
    }
}
