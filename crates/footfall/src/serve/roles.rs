//! The tasks of each role.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use footfall_catalog::LeaseRole;
use footfall_compactor::{Compactor, FunnelBackfill, RollupBackfill};
use footfall_flight_server::{FlightOptions, TokenCheck};
use footfall_ingest::collect::{Collector, CollectorParts};
use footfall_ingest::enrich::Enricher;
use footfall_ingest::wal::LocalWal;
use footfall_ingest::writer::{ShardWriter, WriterError, WriterParts};
use footfall_query::Engine;

use super::backfill::Backfill;
use super::care::Care;
use super::compaction::Compaction;
use super::lease::LeaseKeeper;
use super::tasks::Tasks;
use super::{RoleParts, SHARD, follow};
use crate::config::Config;
use crate::threads::Threads;

/// Memory for what the writer sorts, encodes, reads and stores.
const WRITER_THREADS: usize = 4;

/// For what the compactor merges, encodes, aggregates and reads.
const COMPACTOR_THREADS: usize = 6;

/// The running ingest role.
pub(super) struct IngestRole {
    pub(super) collector: Arc<Collector>,
    pub(super) log: Arc<LocalWal>,
}

/// Opens the WAL and starts the writer.
pub(super) async fn ingest(config: &Config, shared: &RoleParts, tasks: &Tasks) -> anyhow::Result<IngestRole> {
    let folder = crate::state::wal(&config.state_dir())?;
    let (log, _) = LocalWal::open(&folder, config.wal.options())
        .with_context(|| format!("the WAL in {} can't be opened", folder.display()))?;
    let log = Arc::new(log);
    let enricher = Arc::new(Enricher::new(config.ingest.enrich())?);
    let writer = ShardWriter::open(
        WriterParts {
            log: Arc::<LocalWal>::clone(&log),
            table: Arc::clone(&shared.table),
            clock: Arc::clone(&shared.clock),
            ids: Arc::clone(&shared.ids),
        },
        config.ingest.writer(),
    )
    .await
    .map_err(|error| advised(error, &folder))?;
    let threads = Threads::new("footfall-writer", WRITER_THREADS)?;
    tasks.spawn("writer", |stop| async move {
        Ok(threads.run(async move { writer.run(stop).await }).await??)
    });
    let parts = CollectorParts {
        log: Arc::<LocalWal>::clone(&log),
        directory: Arc::clone(&shared.directory),
        enricher,
        clock: Arc::clone(&shared.clock),
    };
    Ok(IngestRole {
        collector: Arc::new(Collector::new(parts, config.ingest.collect())),
        log,
    })
}

/// A damaged WAL can be replaced alone: it holds no sites or tokens.
fn advised(error: WriterError, wal: &Path) -> anyhow::Error {
    let advice = match error {
        WriterError::OldLog { .. } | WriterError::OtherLog { .. } => format!(
            "the WAL can't be continued. To continue without the events that only it has, move the folder {} away, and keep it: the next \
             start begins a new WAL, with the sites and tokens as they are",
            wal.display()
        ),
        error => return error.into(),
    };
    anyhow::Error::new(error).context(advice)
}

/// Keeps the Delta logs of all tables short.
pub(super) fn maintain(shared: &RoleParts, tasks: &Tasks) {
    for table in shared.lake.fixed_tables() {
        tasks.spawn("checkpointer", |stop| follow::checkpoint(Arc::clone(table), stop));
    }
    tasks.spawn("checkpointer of rollups", |stop| {
        follow::checkpoint_rollups(shared.lake.clone(), stop)
    });
}

/// Starts the compactor, on threads of its own that give way to others.
pub(super) fn compact(config: &Config, shared: &RoleParts, tasks: &Tasks) -> anyhow::Result<()> {
    let RoleParts {
        clock,
        ids,
        lake,
        funnels,
        ..
    } = shared;
    let catalog = shared.directory.catalog();
    let role = (SHARD, LeaseRole::Compactor);
    let lease = LeaseKeeper::new(catalog, clock, ids.as_ref(), role, config.compact.lease.0);
    let compaction = Compaction {
        compactor: Compactor::new(
            lake,
            crate::contents::segment_kinds(funnels),
            config.compact.policy(config.ingest.dedupe_window.0),
            Arc::clone(clock),
            Arc::clone(ids),
        )?
        .with_memory(config.compact.memory_bytes.bytes()),
        backfill: Backfill::new(
            FunnelBackfill::new(lake, Arc::clone(funnels), Arc::clone(clock), Arc::clone(ids))?,
            RollupBackfill::new(lake, Arc::clone(clock), Arc::clone(ids))?,
        ),
        care: Care::new(lake, catalog, config, clock),
        lease: Arc::clone(&lease),
        clock: Arc::clone(clock),
        log: Arc::clone(&shared.compactions),
        shard: SHARD,
    };
    let threads = Threads::low_priority("footfall-compactor", COMPACTOR_THREADS)?;
    tasks.spawn("compactor's lease", |stop| lease.run(stop));
    tasks.spawn("compactor", |stop| async move {
        threads.run(async move { compaction.run(stop).await }).await?
    });
    Ok(())
}

/// The Flight SQL service over the lake.
pub(super) fn query(
    config: &Config,
    shared: &RoleParts,
) -> anyhow::Result<TokenCheck<FlightServiceServer<impl FlightService>>> {
    let spill = config.state_dir().join("spill");
    let options = config.query.options(spill);
    let views = crate::contents::views(&shared.funnels, &shared.compactions);
    let engine = Engine::with_views(&shared.lake, views, &options)?;
    Ok(footfall_flight_server::service(
        Arc::new(engine),
        Arc::clone(&shared.directory),
        FlightOptions::default(),
    ))
}
