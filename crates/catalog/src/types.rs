//! The types that the catalog takes and returns.

use std::fmt;

use footfall_funnels::{Definition, DefinitionError};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{IdGen, Micros};
use footfall_model::hash::DedupeBy;
use footfall_model::rollup;
use serde_json::Value as Json;

use crate::secret;

/// A tracked website or app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub tracking_id: String,
    /// The tenant that owns it.
    pub tenant: String,
    pub name: String,
    pub url: Option<String>,
    /// IANA name.
    pub timezone: String,
    /// ISO 4217.
    pub currency: String,
    /// Whether events are accepted only with a writer token.
    pub writer_token_required: bool,
    /// What tells events without an id apart; `None`: as the server is configured.
    pub dedupe_by: Option<DedupeBy>,
    /// How many days its events are kept; `None`: as the server is configured.
    pub retention_days: Option<u32>,
    pub created_at: Micros,
}

/// Settings of a site to be changed, at least one; what is `None` stays. `Some(None)`: as the server is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SiteChange {
    pub dedupe_by: Option<Option<DedupeBy>>,
    /// 1 to 36,500.
    pub retention_days: Option<Option<u32>>,
}

/// A site to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSite {
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub tracking_id: String,
    /// An existing tenant; [`crate::DEFAULT_TENANT`] always exists.
    pub tenant: String,
    /// 1 to 200 characters.
    pub name: String,
    /// An http or https address of at most 2,048 bytes.
    pub url: Option<String>,
    /// IANA name.
    pub timezone: String,
    /// ISO 4217: three capital letters.
    pub currency: String,
    pub writer_token_required: bool,
    /// What tells events without an id apart; `None`: as the server is configured.
    pub dedupe_by: Option<DedupeBy>,
}

/// A token without its secret, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    pub role: Role,
    pub sites: SiteScope,
    pub created_at: Micros,
    /// `None`: it never expires.
    pub expires_at: Option<Micros>,
    /// `None`: not revoked.
    pub revoked_at: Option<Micros>,
}

/// A token to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    pub role: Role,
    /// Existing sites, at least one, or all. An admin's is always all.
    pub sites: SiteScope,
    /// In the future; `None`: it never expires.
    pub expires_at: Option<Micros>,
}

/// A funnel to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFunnel {
    /// An existing site.
    pub tracking_id: String,
    pub definition: Definition,
}

/// What owners save for a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SavedKind {
    /// Conditions on visitors and sessions. A rollup's segments are files in the lake.
    Segment,
    Dashboard,
}

impl SavedKind {
    /// For messages and ids.
    pub fn what(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Dashboard => "dashboard",
        }
    }
}

/// A segment or a dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub id: String,
    pub tracking_id: String,
    /// Unique among those of the site.
    pub name: String,
    /// What it consists of, which the catalog does not look at.
    pub definition: Json,
    pub created_at: Micros,
    pub updated_at: Micros,
}

/// A segment or a dashboard to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSaved {
    /// An existing site.
    pub tracking_id: String,
    /// 1 to 100 characters, no comma and no control character among them: names are listed with commas between them.
    pub name: String,
    pub definition: Json,
}

/// A rollup that is not in force any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedRollup {
    pub name: String,
    /// That of its making.
    pub revision: u64,
    pub dropped_at: Micros,
}

/// A token's secret. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// A new one: `ffp_` and 256 random bits in hexadecimal, which a double click selects as a whole.
    pub fn random(ids: &dyn IdGen) -> Self {
        secret::mint(ids)
    }

    /// The secret itself, to be handed to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<rollup::DefinitionError> for CatalogError {
    fn from(error: rollup::DefinitionError) -> Self {
        Self::Invalid {
            field: error.field,
            reason: error.reason,
        }
    }
}

impl From<DefinitionError> for CatalogError {
    fn from(error: DefinitionError) -> Self {
        Self::Invalid {
            field: error.field,
            reason: error.reason,
        }
    }
}

/// What a lease of a shard allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseRole {
    Writer,
    Compactor,
}

impl LeaseRole {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Compactor => "compactor",
        }
    }
}

/// Who asks for which lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    pub shard: u8,
    pub role: LeaseRole,
    /// Unique for each process.
    pub holder: String,
    /// How long the lease is valid unless it is renewed.
    pub duration: Micros,
    /// The smallest epoch that is of use: the lake has seen all below.
    pub at_least: i64,
}

/// A lease that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Higher than that of any earlier holder, and after any time in which it was not held.
    pub epoch: i64,
    pub expires_at: Micros,
}

/// Why an operation of the catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("{field}: {reason}")]
    Invalid { field: &'static str, reason: String },
    #[error("{what} {id:?} exists already")]
    AlreadyExists { what: &'static str, id: String },
    #[error("there is no {what} {id:?}")]
    NotFound { what: &'static str, id: String },
    #[error("the catalog does not answer: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
