//! One process with its configured roles, from the first file opened to the last one closed.
//!
//! ```text
//! start:  state folder -> catalog (+ first admin token) -> lake -> WAL, writer -> listeners -> "ready"
//! stop:   listeners (open requests end) -> writer (the rest of the WAL becomes a commit) -> WAL -> catalog
//! ```
//!
//! Each step is awaited before the next, so that every acknowledged event has a running writer.

mod admin_token;
mod backfill;
mod care;
mod compaction;
mod descriptors;
mod follow;
mod gateway;
mod grpc;
mod http;
mod io_timeouts;
mod lake_startup;
mod lease;
mod ops;
mod roles;
mod signals;
pub(crate) mod tasks;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use footfall_catalog::Directory;
use footfall_funnels::FunnelDefinitions;
use footfall_ingest::collect::Budget;
use footfall_lake::{Lake, Location, Table};
use footfall_model::clock::{Clock, IdGen, RandomIds, SystemClock};
use footfall_model::table;
use footfall_query::CompactionLog;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use grpc::{BoundedCalls, CallLimits};
use tasks::{TaskFailure, Tasks};

pub(crate) use admin_token::path as admin_token_path;

/// Backlog of new connections: after an outage thousands of clients reconnect at once, and those beyond the backlog
/// are reset. The system's own limit (`net.core.somaxconn`) may be lower.
const BACKLOG: u32 = 4_096;

/// The only shard so far.
pub(crate) const SHARD: u8 = 0;

/// A running server.
pub(crate) struct Server {
    pub(crate) http_addr: SocketAddr,
    pub(crate) flight_addr: SocketAddr,
    /// The secret in the state folder's `admin.token`; empty if the file was removed.
    pub(crate) admin_token: String,
    failure: TaskFailure,
    stopping: CancellationToken,
    /// Takes HTTP requests.
    front: Tasks,
    /// Takes gRPC calls, those of the gateway's open requests too.
    grpc: Tasks,
    /// Tasks that bring the WAL into the lake and follow the lake.
    back: Tasks,
    log: Option<Arc<footfall_ingest::wal::LocalWal>>,
}

/// What every role uses.
#[derive(Clone)]
struct RoleParts {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    directory: Arc<Directory>,
    funnels: Arc<FunnelDefinitions>,
    lake: Lake,
    /// The table of events.
    table: Arc<Table>,
    compactions: Arc<CompactionLog>,
}

/// Serves until SIGTERM, Ctrl-C or a fatal failure.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    if config.roles.only_gateway() {
        return gateway::run(&config).await;
    }
    let running = start(config).await?;
    running.announce();
    running.wait().await?;
    running.stop().await
}

/// Opens everything and starts the roles.
pub(crate) async fn start(config: Config) -> anyhow::Result<Server> {
    let metrics = ops::metrics()?;
    let state = config.state_dir();
    footfall_lake::create_durably(&state)
        .with_context(|| format!("the state folder {} can't be created", state.display()))?;
    let shares = descriptors::Shares::of(descriptors::take_all());
    let http = listen(config.http.addr, "HTTP")?;
    let flight = listen(config.flight.addr, "Flight SQL")?;
    let (http_addr, flight_addr) = (http.local_addr()?, flight.local_addr()?);

    let shared = open(&config).await?;
    let admin_token = admin_token::ensure(shared.directory.catalog().as_ref(), shared.ids.as_ref(), &state).await?;

    let failure = TaskFailure::default();
    let (front, grpc_tasks, back) = (Tasks::new(&failure), Tasks::new(&failure), Tasks::new(&failure));
    let stopping = CancellationToken::new();
    back.spawn("lake follower", |stop| follow::refresh(shared.lake.clone(), stop));
    back.spawn("funnels follower", |stop| {
        crate::funnels::follow(
            Arc::clone(shared.directory.catalog()),
            Arc::clone(&shared.funnels),
            stop,
        )
    });

    back.spawn("rollups follower", |stop| {
        let catalog = Arc::clone(shared.directory.catalog());
        crate::rollups::follow(catalog, shared.lake.clone(), stop)
    });

    let mut routes = tonic::service::Routes::builder();
    let mut router = ops::router(metrics, stopping.clone()).merge(crate::admin::router(
        Arc::clone(&shared.directory),
        Arc::clone(&shared.funnels),
        shared.lake.clone(),
        Arc::clone(&shared.clock),
    ));
    let mut log = None;
    let mut budget = Budget::new(config.ingest.in_flight_bytes.bytes());
    let ingest = match config.roles.ingest() {
        true => Some(roles::ingest(&config, &shared, &back).await?),
        false => None,
    };
    if let Some(ingest) = &ingest {
        budget = ingest.collector.budget().clone();
    }
    let limits = CallLimits::new(&budget, config.ingest.body_timeout.0);
    if let Some(ingest) = ingest {
        router = router.merge(footfall_ingest::collect::router(Arc::clone(&ingest.collector)));
        let publish = footfall_ingest::collect::grpc(ingest.collector);
        routes.add_service(BoundedCalls::new(publish, limits.clone()));
        log = Some(ingest.log);
    }
    if config.roles.query() {
        routes.add_service(BoundedCalls::new(roles::query(&config, &shared)?, limits));
    }
    if config.roles.compact() {
        roles::compact(&config, &shared, &back)?;
    }
    if config.roles.ingest() || config.roles.compact() {
        roles::maintain(&shared, &back);
    }
    let gateway = gateway::router(&config, flight_addr, &shared, &stopping)?;
    router = router.merge(gateway).fallback(footfall_gateway::unknown_endpoint);
    front.spawn("HTTP listener", |stop| http::serve(http, router, shares, stop));
    let receive_bytes = config.flight.receive_bytes.bytes();
    grpc_tasks.spawn("gRPC listener", |stop| {
        grpc::serve(flight, routes.routes(), shares.flight, receive_bytes, stop)
    });
    Ok(Server {
        http_addr,
        flight_addr,
        admin_token: admin_token.unwrap_or_default(),
        failure,
        stopping,
        front,
        grpc: grpc_tasks,
        back,
        log,
    })
}

/// The catalog, and the lake once it answers.
async fn open(config: &Config) -> anyhow::Result<RoleParts> {
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn IdGen>) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let catalog = crate::state::open_catalog(&config.state_dir()).await?;
    let funnels = Arc::new(FunnelDefinitions::new(catalog.funnels().await?));
    let lake = lake_startup::open_with_retries(config, Arc::clone(&clock)).await?;
    let table = events_of(&lake)?;
    if let Err(error) = crate::rollups::refresh(catalog.as_ref(), &lake).await {
        tracing::warn!(error = format!("{error:#}"), "the rollups can't be read for now");
    }
    Ok(RoleParts {
        clock,
        ids,
        directory: Arc::new(Directory::new(catalog)),
        funnels,
        lake,
        table,
        compactions: Arc::default(),
    })
}

/// The tables of the configured lake.
pub(crate) async fn open_lake(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Lake> {
    let location: Location = config.data.parse()?;
    let store = location.shard_store(SHARD, &config.s3.options())?;
    let mut tables = vec![Arc::clone(table::events())];
    for kind in crate::contents::segment_kinds(&Arc::default()) {
        tables.extend(kind.tables()?);
    }
    let lake = Lake::open(store, &tables, clock).await;
    lake.with_context(|| format!("the lake at {} can't be opened", config.data))
}

/// The table of events.
pub(crate) fn events_of(lake: &Lake) -> anyhow::Result<Arc<Table>> {
    let table = lake.table(table::events().name());
    table
        .cloned()
        .context("the lake was opened without its table of events")
}

fn listen(addr: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    bind(addr)
        .with_context(|| format!("{what} can't listen on {addr}; is another footfall running? Choose another address"))
}

fn bind(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A restart must not wait for the previous process's connections. On Windows the option means something else.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

impl Server {
    /// The line that scripts wait for.
    #[expect(clippy::print_stdout, reason = "the announcement is the command's output")]
    fn announce(&self) {
        println!(
            "ready http=http://{} flight=grpc://{}",
            self.http_addr, self.flight_addr
        );
    }

    /// Returns at a shutdown signal; fails if a task did.
    pub(crate) async fn wait(&self) -> anyhow::Result<()> {
        tokio::select! {
            signal = signals::terminated() => {
                tracing::info!(signal = signal?, "stopping");
                Ok(())
            }
            () = self.failure.seen() => Ok(()),
        }
    }

    /// Shuts down in order. Fails with the first task's failure, if there was one.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stopping.cancel();
        self.front.stop().await;
        self.grpc.stop().await;
        self.back.stop().await;
        if let Some(log) = self.log {
            log.close().await;
        }
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
