//! Roles, sites and principals: who may read and write what.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything, sites and tokens included.
    Admin,
    /// Queries over its sites.
    Reader,
    /// Sending events to its sites.
    Writer,
}

/// The sites that a principal may access.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SiteScope {
    /// Every site, including those created later.
    All,
    /// Only these tracking ids.
    Only(Arc<BTreeSet<String>>),
}

impl SiteScope {
    /// Whether `tracking_id` is one of them.
    pub fn allows(&self, tracking_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(sites) => sites.contains(tracking_id),
        }
    }

    /// The sites of `self`, as far as `other` has them too. All sites stay all: who sees fewer is limited elsewhere.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(sites), Self::Only(_)) => {
                let both = sites.iter().filter(|site| other.allows(site)).cloned();
                Self::Only(Arc::new(both.collect()))
            }
            _ => self.clone(),
        }
    }
}

/// The holder of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's id in the catalog: for logs, never the secret.
    pub token_id: String,
    pub role: Role,
    pub sites: SiteScope,
}

/// The token in an `Authorization` value `Bearer TOKEN` (RFC 6750, section 2.1; the scheme in any case). `None` for
/// another scheme, or without a token.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_scheme_ignores_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for other in ["", "Bearer", "Bearer ", "Bearerabc", "Basic abc"] {
            assert_eq!(bearer(other), None, "{other:?}");
        }
    }
}
