//! The tasks of each role.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use footfall_flight_server::{FlightOptions, TokenCheck};
use footfall_ingest::collect::{Collector, CollectorParts};
use footfall_ingest::enrich::Enricher;
use footfall_ingest::wal::LocalWal;
use footfall_ingest::writer::{ShardWriter, WriterError, WriterParts};
use footfall_query::Engine;

use super::tasks::Tasks;
use super::{RoleParts, follow};
use crate::config::Config;
use crate::threads::Threads;

/// Memory for what the writer sorts, encodes, reads and stores.
const WRITER_THREADS: usize = 4;

/// The running ingest role.
pub(super) struct IngestRole {
    pub(super) collector: Arc<Collector>,
    pub(super) log: Arc<LocalWal>,
}

/// Opens the WAL, starts the writer and the Delta log's maintenance.
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
    for table in shared.lake.tables() {
        tasks.spawn("checkpointer", |stop| follow::checkpoint(Arc::clone(table), stop));
    }
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

/// The Flight SQL service over the lake.
pub(super) fn query(
    config: &Config,
    shared: &RoleParts,
) -> anyhow::Result<TokenCheck<FlightServiceServer<impl FlightService>>> {
    let spill = config.state_dir().join("spill");
    let options = config.query.options(spill);
    let engine = Engine::with_views(&shared.lake, crate::contents::views(&shared.funnels), &options)?;
    Ok(footfall_flight_server::service(
        Arc::new(engine),
        Arc::clone(&shared.directory),
        FlightOptions::default(),
    ))
}
