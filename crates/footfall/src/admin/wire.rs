//! The JSON of administration, shared by server and client.
//!
//! Requests refuse unknown fields, so that a misspelt one is noticed; responses may gain fields, so clients ignore
//! unknown ones.

mod funnels;
mod rollups;
mod times;

use std::collections::BTreeSet;
use std::sync::Arc;

use footfall_catalog::{CatalogError, DEFAULT_TENANT, NewSite, NewToken, Site, SiteChange, Token};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::Micros;
use footfall_model::hash::DedupeBy;
use serde::{Deserialize, Serialize};

pub(super) use funnels::{FunnelBody, FunnelRequest, FunnelsBody};
pub(crate) use funnels::{funnel_to_json, parse_funnel};
pub(super) use rollups::{RollupBody, RollupsBody};
pub(crate) use rollups::{RollupStatus, rollup_to_json};
pub(super) use times::TimeText;
use times::{format_time, parse_expires_in};

/// `POST /api/v1/sites`; only the tracking id is required.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteRequest {
    tracking_id: String,
    tenant: Option<String>,
    name: Option<String>,
    url: Option<String>,
    timezone: Option<String>,
    currency: Option<String>,
    #[serde(default)]
    writer_token_required: bool,
    dedupe_by: Option<DedupeByName>,
}

impl From<NewSite> for SiteRequest {
    fn from(site: NewSite) -> Self {
        Self {
            tracking_id: site.tracking_id,
            tenant: Some(site.tenant),
            name: Some(site.name),
            url: site.url,
            timezone: Some(site.timezone),
            currency: Some(site.currency),
            writer_token_required: site.writer_token_required,
            dedupe_by: site.dedupe_by.map(Into::into),
        }
    }
}

impl From<SiteRequest> for NewSite {
    fn from(site: SiteRequest) -> Self {
        Self {
            name: site.name.unwrap_or_else(|| site.tracking_id.clone()),
            tracking_id: site.tracking_id,
            tenant: site.tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned()),
            url: site.url,
            timezone: site.timezone.unwrap_or_else(|| "UTC".to_owned()),
            currency: site.currency.unwrap_or_else(|| "USD".to_owned()),
            writer_token_required: site.writer_token_required,
            dedupe_by: site.dedupe_by.map(Into::into),
        }
    }
}

/// `PATCH /api/v1/sites/{tracking_id}`: what is not given stays; `null`: as the server is configured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteChangeBody {
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    dedupe_by: Option<Option<DedupeByName>>,
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    retention_days: Option<Option<u32>>,
}

/// A field that is there, `null` or not.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl From<SiteChange> for SiteChangeBody {
    fn from(change: SiteChange) -> Self {
        Self {
            dedupe_by: change.dedupe_by.map(|dedupe_by| dedupe_by.map(Into::into)),
            retention_days: change.retention_days,
        }
    }
}

impl From<SiteChangeBody> for SiteChange {
    fn from(change: SiteChangeBody) -> Self {
        Self {
            dedupe_by: change.dedupe_by.map(|dedupe_by| dedupe_by.map(Into::into)),
            retention_days: change.retention_days,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DedupeByName {
    Content,
    Key,
}

impl From<DedupeBy> for DedupeByName {
    fn from(dedupe_by: DedupeBy) -> Self {
        match dedupe_by {
            DedupeBy::Content => Self::Content,
            DedupeBy::Key => Self::Key,
        }
    }
}

impl From<DedupeByName> for DedupeBy {
    fn from(name: DedupeByName) -> Self {
        match name {
            DedupeByName::Content => Self::Content,
            DedupeByName::Key => Self::Key,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SiteBody {
    tracking_id: String,
    tenant: String,
    name: String,
    url: Option<String>,
    timezone: String,
    currency: String,
    writer_token_required: bool,
    dedupe_by: Option<DedupeByName>,
    retention_days: Option<u32>,
    created_at: TimeText,
}

impl From<Site> for SiteBody {
    fn from(site: Site) -> Self {
        Self {
            tracking_id: site.tracking_id,
            tenant: site.tenant,
            name: site.name,
            url: site.url,
            timezone: site.timezone,
            currency: site.currency,
            writer_token_required: site.writer_token_required,
            dedupe_by: site.dedupe_by.map(Into::into),
            retention_days: site.retention_days,
            created_at: TimeText(site.created_at),
        }
    }
}

impl From<SiteBody> for Site {
    fn from(site: SiteBody) -> Self {
        Self {
            tracking_id: site.tracking_id,
            tenant: site.tenant,
            name: site.name,
            url: site.url,
            timezone: site.timezone,
            currency: site.currency,
            writer_token_required: site.writer_token_required,
            dedupe_by: site.dedupe_by.map(Into::into),
            retention_days: site.retention_days,
            created_at: site.created_at.0,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SitesBody {
    pub(super) sites: Vec<SiteBody>,
}

/// `POST /api/v1/tokens`. An admin's sites may be omitted; a reader's or a writer's are required, even if all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    role: RoleName,
    #[serde(skip_serializing_if = "Option::is_none")]
    sites: Option<SitesValue>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// From now, such as `90d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<String>,
}

impl TokenRequest {
    /// `now`: UTC microseconds.
    pub(super) fn into_new(self, now: Micros) -> Result<NewToken, CatalogError> {
        let role = Role::from(self.role);
        let sites = match (role, self.sites) {
            (_, Some(sites)) => sites.into(),
            (Role::Admin, None) => SiteScope::All,
            // The catalog refuses it with the reason.
            (Role::Reader | Role::Writer, None) => SiteScope::Only(Arc::default()),
        };
        let expires_at = match (self.expires_at, self.expires_in) {
            (None, None) => None,
            (Some(at), None) => Some(times::parse_time(&at)?),
            (None, Some(after)) => Some(parse_expires_in(&after, now)?),
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "expires_in",
                    "expected either expires_at or expires_in, not both".into(),
                ));
            }
        };
        Ok(NewToken {
            role,
            sites,
            expires_at,
        })
    }
}

impl From<NewToken> for TokenRequest {
    fn from(token: NewToken) -> Self {
        Self {
            role: token.role.into(),
            sites: Some(token.sites.into()),
            expires_at: token.expires_at.map(format_time),
            expires_in: None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TokenBody {
    id: String,
    role: RoleName,
    sites: SitesValue,
    created_at: TimeText,
    expires_at: Option<TimeText>,
    revoked_at: Option<TimeText>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            role: token.role.into(),
            sites: token.sites.into(),
            created_at: TimeText(token.created_at),
            expires_at: token.expires_at.map(TimeText),
            revoked_at: token.revoked_at.map(TimeText),
        }
    }
}

impl From<TokenBody> for Token {
    fn from(token: TokenBody) -> Self {
        Self {
            id: token.id,
            role: token.role.into(),
            sites: token.sites.into(),
            created_at: token.created_at.0,
            expires_at: token.expires_at.map(|at| at.0),
            revoked_at: token.revoked_at.map(|at| at.0),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TokensBody {
    pub(super) tokens: Vec<TokenBody>,
}

/// The response to creating a token, the only one with the secret. No `Debug`, so that no log contains it.
#[derive(Serialize, Deserialize)]
pub(super) struct NewTokenBody {
    pub(super) token: TokenBody,
    pub(super) secret: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Admin,
    Reader,
    Writer,
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Reader => Self::Reader,
            Role::Writer => Self::Writer,
        }
    }
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Admin => Self::Admin,
            RoleName::Reader => Self::Reader,
            RoleName::Writer => Self::Writer,
        }
    }
}

/// `"all"`, or a list of tracking ids.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"all\" or a list of tracking ids")]
enum SitesValue {
    Word(AllSites),
    List(BTreeSet<String>),
}

#[derive(Debug, Serialize, Deserialize)]
enum AllSites {
    #[serde(rename = "all")]
    All,
}

impl From<SiteScope> for SitesValue {
    fn from(sites: SiteScope) -> Self {
        match sites {
            SiteScope::All => Self::Word(AllSites::All),
            SiteScope::Only(sites) => Self::List(Arc::unwrap_or_clone(sites)),
        }
    }
}

impl From<SitesValue> for SiteScope {
    fn from(sites: SitesValue) -> Self {
        match sites {
            SitesValue::Word(AllSites::All) => Self::All,
            SitesValue::List(sites) => Self::Only(Arc::new(sites)),
        }
    }
}

fn invalid(field: &'static str, reason: String) -> CatalogError {
    CatalogError::Invalid { field, reason }
}
