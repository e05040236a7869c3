//! The gateway: beside the other roles, or as a process of its own that knows a Flight SQL server and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use axum::Router;
use footfall_catalog::{Directory, SavedKind};
use footfall_gateway::{FunnelSteps, GatewayParts, Sites, SitesUnavailable};
use footfall_model::access::{Principal, Role};
use footfall_model::clock::{RandomIds, SystemClock};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::tasks::{TaskFailure, Tasks};
use super::{RoleParts, descriptors, http, listen, ops, signals};
use crate::config::Config;
use crate::sql::client::local_address;

/// The endpoints of a process that has a catalog, and, unless another one is configured, the Flight SQL server; none
/// without the role.
pub(super) fn router(
    config: &Config,
    flight: SocketAddr,
    shared: &RoleParts,
    stop: &CancellationToken,
) -> anyhow::Result<Router> {
    if !config.roles.gateway() {
        return Ok(Router::new());
    }
    let flight_url = match (&config.gateway.flight_url, config.roles.query()) {
        (Some(url), _) => url.clone(),
        (None, true) => local_address(flight),
        (None, false) => bail!(NO_SERVER),
    };
    Ok(footfall_gateway::router(GatewayParts {
        flight_url,
        sites: Some(Arc::new(CatalogSites(Arc::clone(&shared.directory)))),
        clock: Arc::clone(&shared.clock),
        ids: Arc::clone(&shared.ids),
        rate_limit: config.gateway.rate_limit(),
        other_endpoints: Some(crate::admin::OPENAPI),
        stop: stop.clone(),
    })?)
}

const NO_SERVER: &str = "the gateway has no server to ask: add the role query, or name a server with --flight-url";

/// Serves the gateway alone, until SIGTERM, Ctrl-C or a failure.
#[expect(clippy::print_stdout, reason = "the announcement is the command's output")]
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let flight_url = config.gateway.flight_url.clone().context(NO_SERVER)?;
    let stopping = CancellationToken::new();
    let gateway = footfall_gateway::router(GatewayParts {
        flight_url: flight_url.clone(),
        sites: None,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        rate_limit: config.gateway.rate_limit(),
        other_endpoints: None,
        stop: stopping.clone(),
    })?;
    let router = ops::router(ops::metrics()?, stopping.clone())
        .merge(gateway)
        .fallback(footfall_gateway::unknown_endpoint);
    let shares = descriptors::Shares::of(descriptors::take_all());
    let listener = listen(config.http.addr, "HTTP")?;
    let address = listener.local_addr()?;
    let failure = TaskFailure::default();
    let tasks = Tasks::new(&failure);
    tasks.spawn("HTTP listener", |stop| http::serve(listener, router, shares, stop));
    println!("ready http=http://{address} flight={flight_url}");
    tokio::select! {
        signal = signals::terminated() => tracing::info!(signal = signal?, "stopping"),
        () = failure.seen() => {}
    }
    stopping.cancel();
    tasks.stop().await;
    failure.take().map_or(Ok(()), Err)
}

/// The sites of the catalog, for tokens that may read them.
#[derive(Debug)]
struct CatalogSites(Arc<Directory>);

impl CatalogSites {
    /// The principal of a token that may query.
    async fn reader(&self, token: &str) -> Result<Option<Principal>, SitesUnavailable> {
        let principal = self.0.principal(token).await.map_err(|_| SitesUnavailable)?;
        Ok(principal.filter(|principal| principal.role != Role::Writer))
    }
}

#[async_trait]
impl Sites for CatalogSites {
    async fn time_zone(&self, token: &str, tracking_id: &str) -> Result<Option<String>, SitesUnavailable> {
        let reader = self.reader(token).await?;
        if !reader.is_some_and(|reader| reader.sites.allows(tracking_id)) {
            return Ok(None);
        }
        let site = self.0.site(tracking_id).await.map_err(|_| SitesUnavailable)?;
        Ok(site.map(|site| site.timezone.clone()))
    }

    async fn funnel(&self, token: &str, id: &str) -> Result<Option<FunnelSteps>, SitesUnavailable> {
        let Some(reader) = self.reader(token).await? else {
            return Ok(None);
        };
        let funnel = self.0.catalog().funnel(id).await.map_err(|_| SitesUnavailable)?;
        let funnel = funnel.filter(|funnel| reader.sites.allows(&funnel.tracking_id));
        Ok(funnel.map(|funnel| FunnelSteps {
            steps: funnel.definition.steps.into_iter().map(|step| step.name).collect(),
            tracking_id: funnel.tracking_id,
        }))
    }

    async fn segment(&self, token: &str, tracking_id: &str, name: &str) -> Result<Option<Value>, SitesUnavailable> {
        let reader = self.reader(token).await?;
        if !reader.is_some_and(|reader| reader.sites.allows(tracking_id)) {
            return Ok(None);
        }
        let catalog = self.0.catalog();
        let segment = catalog.saved_named(SavedKind::Segment, tracking_id, name).await;
        Ok(segment.map_err(|_| SitesUnavailable)?.map(|segment| segment.definition))
    }
}
