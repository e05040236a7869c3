//! Administration from the command line: the same operations on the state folder's catalog or on a running server.

mod saved;

use std::sync::Arc;
use std::time::Duration;

use footfall_catalog::{Catalog, CatalogError, NewFunnel, NewSite, NewToken, Secret, Site, SiteChange, Token};
use footfall_funnels::Funnel;
use footfall_gateway::{Problem, sentence};
use footfall_ingest::collect::ErrorBody;
use footfall_model::rollup::{ConfiguredRollup, RollupDefinition};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::other_site;
use super::wire::{
    FunnelBody, FunnelRequest, FunnelsBody, NewTokenBody, RollupBody, RollupStatus, RollupsBody, SiteBody,
    SiteChangeBody, SiteRequest, SitesBody, TokenBody, TokenRequest, TokensBody,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where administration happens.
#[derive(Debug)]
pub(crate) enum Admin {
    /// The catalog of a state folder; write access to the file suffices.
    Local(Arc<dyn Catalog>),
    /// A running server, from [`Admin::remote`].
    Remote(Remote),
}

/// A server's HTTP address and an admin token.
#[derive(Debug)]
pub(crate) struct Remote {
    client: reqwest::Client,
    url: Url,
    token: Secret,
}

/// How a server refuses a request.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Refusal {
    Problem {
        detail: String,
        field: Option<String>,
        #[serde(default)]
        allowed: Vec<String>,
    },
    /// As collection does: a client that finds no free connection is refused before it has asked for anything.
    Error(ErrorBody<'static>),
}

impl Refusal {
    fn message(self) -> String {
        match self {
            Self::Problem { detail, field, allowed } => sentence(field.as_deref(), &detail, &allowed),
            Self::Error(body) => sentence(body.error.field.as_deref(), &body.error.message, &[]),
        }
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{url:?} is not the address of a server; expected one such as http://127.0.0.1:8080")]
    BadUrl { url: String },
    #[error("cannot prepare HTTPS and HTTP requests")]
    Client(#[source] reqwest::Error),
    #[error("cannot reach {url}; is the server running, and is this its HTTP address?")]
    Unreachable { url: Url, source: reqwest::Error },
    /// A segment or a dashboard that no report can use.
    #[error(transparent)]
    Definition(#[from] Problem),
    /// The server's message.
    #[error("{message}")]
    Refused { message: String },
    #[error("{url} answered {status}, but not as Footfall does; is this its HTTP address?")]
    NotFootfall { url: Url, status: StatusCode },
}

impl Admin {
    /// `url`: the server's HTTP address, such as `http://127.0.0.1:8080`. Sends no request yet.
    pub(crate) fn remote(url: &str, token: Secret) -> Result<Self, AdminError> {
        let bad_url = || AdminError::BadUrl { url: url.to_owned() };
        let parsed = Url::parse(url).map_err(|_| bad_url())?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad_url());
        }
        // A redirect would carry the token to another server.
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        // No proxy reaches this machine's own loopback address.
        let builder = if is_loopback(&parsed) {
            builder.no_proxy()
        } else {
            builder
        };
        let client = builder.build().map_err(AdminError::Client)?;
        Ok(Self::Remote(Remote {
            client,
            url: parsed,
            token,
        }))
    }

    pub(crate) async fn create_site(&self, site: NewSite) -> Result<Site, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.create_site(site).await?),
            Self::Remote(server) => {
                let made: SiteBody = server.post(&["sites"], &SiteRequest::from(site)).await?;
                Ok(made.into())
            }
        }
    }

    /// Done in the folder of a running server, that server goes by the old settings for some seconds more.
    pub(crate) async fn change_site(&self, tracking_id: &str, change: SiteChange) -> Result<Site, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.change_site(tracking_id, change).await?),
            Self::Remote(server) => {
                let change = SiteChangeBody::from(change);
                let changed: SiteBody = server.patch(&["sites", tracking_id], &change).await?;
                Ok(changed.into())
            }
        }
    }

    /// By tracking id.
    pub(crate) async fn list_sites(&self) -> Result<Vec<Site>, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.sites().await?),
            Self::Remote(server) => {
                let listed: SitesBody = server.get(&["sites"]).await?;
                Ok(listed.sites.into_iter().map(Site::from).collect())
            }
        }
    }

    /// The secret is returned here and can't be retrieved later.
    pub(crate) async fn create_token(&self, token: NewToken) -> Result<(Token, Secret), AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.create_token(token).await?),
            Self::Remote(server) => {
                let made: NewTokenBody = server.post(&["tokens"], &TokenRequest::from(token)).await?;
                Ok((made.token.into(), Secret::new(made.secret)))
            }
        }
    }

    /// Newest last, including revoked and expired ones.
    pub(crate) async fn list_tokens(&self) -> Result<Vec<Token>, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.tokens().await?),
            Self::Remote(server) => {
                let listed: TokensBody = server.get(&["tokens"]).await?;
                Ok(listed.tokens.into_iter().map(Token::from).collect())
            }
        }
    }

    /// If a server runs over the state folder, it accepts the token for a few more seconds.
    pub(crate) async fn revoke_token(&self, id: &str) -> Result<Token, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.revoke_token(id).await?),
            Self::Remote(server) => {
                let revoked: TokenBody = server.post(&["tokens", id, "revoke"], &()).await?;
                Ok(revoked.into())
            }
        }
    }

    /// Created or deleted in the folder of a running server, it is known there within a second.
    pub(crate) async fn create_funnel(&self, funnel: NewFunnel) -> Result<Funnel, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.create_funnel(funnel).await?),
            Self::Remote(server) => {
                let made: FunnelBody = server.post(&["funnels"], &FunnelRequest::from(funnel)).await?;
                Ok(made.into())
            }
        }
    }

    /// Oldest first.
    pub(crate) async fn list_funnels(&self) -> Result<Vec<Funnel>, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.funnels().await?.funnels),
            Self::Remote(server) => {
                let listed: FunnelsBody = server.get(&["funnels"]).await?;
                Ok(listed.funnels.into_iter().map(Funnel::from).collect())
            }
        }
    }

    pub(crate) async fn funnel(&self, id: &str) -> Result<Funnel, AdminError> {
        match self {
            Self::Local(catalog) => {
                let not_found = || CatalogError::NotFound {
                    what: "funnel",
                    id: id.to_owned(),
                };
                Ok(catalog.funnel(id).await?.ok_or_else(not_found)?)
            }
            Self::Remote(server) => {
                let funnel: FunnelBody = server.get(&["funnels", id]).await?;
                Ok(funnel.into())
            }
        }
    }

    /// Under a new revision; its site stays.
    pub(crate) async fn change_funnel(&self, id: &str, funnel: NewFunnel) -> Result<Funnel, AdminError> {
        match self {
            Self::Local(catalog) => {
                let known = self.funnel(id).await?;
                if known.tracking_id != funnel.tracking_id {
                    return Err(AdminError::Catalog(other_site(&known)));
                }
                Ok(catalog.change_funnel(id, funnel.definition).await?)
            }
            Self::Remote(server) => {
                let changed: FunnelBody = server.put(&["funnels", id], &FunnelRequest::from(funnel)).await?;
                Ok(changed.into())
            }
        }
    }

    /// Created or dropped in the folder of a running server, it is known there within a second.
    pub(crate) async fn create_rollup(&self, definition: RollupDefinition) -> Result<RollupStatus, AdminError> {
        match self {
            Self::Local(catalog) => Ok(unmeasured(catalog.create_rollup(definition).await?)),
            Self::Remote(server) => {
                let made: RollupBody = server.post(&["rollups"], &definition).await?;
                Ok(made.into())
            }
        }
    }

    /// Oldest first; without their progress if they are read from a state folder.
    pub(crate) async fn list_rollups(&self) -> Result<Vec<RollupStatus>, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.rollups().await?.rollups.into_iter().map(unmeasured).collect()),
            Self::Remote(server) => {
                let listed: RollupsBody = server.get(&["rollups"]).await?;
                Ok(listed.rollups.into_iter().map(RollupStatus::from).collect())
            }
        }
    }

    /// What it was.
    pub(crate) async fn drop_rollup(&self, name: &str) -> Result<RollupStatus, AdminError> {
        match self {
            Self::Local(catalog) => Ok(unmeasured(catalog.drop_rollup(name).await?)),
            Self::Remote(server) => {
                let dropped: RollupBody = server.delete(&["rollups", name]).await?;
                Ok(dropped.into())
            }
        }
    }

    /// What it was.
    pub(crate) async fn delete_funnel(&self, id: &str) -> Result<Funnel, AdminError> {
        match self {
            Self::Local(catalog) => Ok(catalog.delete_funnel(id).await?),
            Self::Remote(server) => {
                let deleted: FunnelBody = server.delete(&["funnels", id]).await?;
                Ok(deleted.into())
            }
        }
    }
}

impl Remote {
    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AdminError> {
        self.send(self.client.get(self.endpoint(path)?)).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, AdminError> {
        self.send(self.client.post(self.endpoint(path)?).json(body)).await
    }

    async fn patch<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, AdminError> {
        self.send(self.client.patch(self.endpoint(path)?).json(body)).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, AdminError> {
        self.send(self.client.put(self.endpoint(path)?).json(body)).await
    }

    async fn delete<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, AdminError> {
        self.send(self.client.delete(self.endpoint(path)?)).await
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, AdminError> {
        let unreachable = |source: reqwest::Error| AdminError::Unreachable {
            url: self.url.clone(),
            source,
        };
        let response = request
            .bearer_auth(self.token.expose())
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        let not_footfall = |_| AdminError::NotFootfall {
            url: self.url.clone(),
            status,
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(not_footfall);
        }
        let refusal: Refusal = serde_json::from_slice(&body).map_err(not_footfall)?;
        let message = refusal.message();
        Err(AdminError::Refused { message })
    }

    /// The URL of `path` below `/api/v1`, each part escaped.
    fn endpoint(&self, path: &[&str]) -> Result<Url, AdminError> {
        let mut address = self.url.clone();
        match address.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(["api", "v1"]).extend(path),
            Err(()) => {
                return Err(AdminError::BadUrl {
                    url: self.url.to_string(),
                });
            }
        };
        address.set_query(None);
        Ok(address)
    }
}

fn unmeasured(rollup: ConfiguredRollup) -> RollupStatus {
    RollupStatus { rollup, progress: None }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
