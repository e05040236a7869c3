//! Operations through Delta's own library: create, load as a whole, checkpoint and clean up.

use std::sync::Arc;

use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Metadata, Protocol, StructType};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::checkpoints;
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};
use footfall_model::clock::Micros;
use footfall_model::table::TableSpec;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, PutMode};
use url::Url;

use super::compat::{self, Fit, Incompatible};
use super::complete::complete;
use super::malformed;
use crate::{LakeError, Snapshot, commit, layout};

/// Delta's own reader over the table's folder of our store. The store is already rooted: the URL only names its root.
pub(super) fn log_store(store: &Arc<dyn ObjectStore>, spec: &TableSpec) -> Result<LogStoreRef, LakeError> {
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(store), layout::folder(spec)));
    let root =
        Url::parse("memory:///").map_err(|e| LakeError::delta("opened")(DeltaTableError::generic(e.to_string())))?;
    logstore_with(store, &root, StorageConfig::default()).map_err(LakeError::delta("opened"))
}

/// How many lost races against other processes we accept before we give up.
const UPGRADE_TRIES: usize = 10;

/// Loads the newest version of the table. Creates the table if it is missing, and adds the columns of its declaration
/// if an older version created it.
pub(super) async fn open_or_create(
    store: &Arc<dyn ObjectStore>,
    log: &LogStoreRef,
    spec: &TableSpec,
    now: Micros,
) -> Result<DeltaTable, LakeError> {
    if !log
        .is_delta_table_location()
        .await
        .map_err(LakeError::delta("looked for"))?
    {
        create(log, spec).await?;
    }
    for _ in 0..UPGRADE_TRIES {
        let mut table = DeltaTable::new(Arc::clone(log));
        table.load().await.map_err(LakeError::delta("read"))?;
        let state = table.snapshot().map_err(LakeError::delta("read"))?;
        match compat::check(spec, state.protocol(), state.metadata()).map_err(refused(spec))? {
            Fit::Exact => return Ok(table),
            Fit::Older(upgrade) => {
                let metadata = compat::upgraded(spec, state.metadata(), &upgrade).map_err(refused(spec))?;
                commit_metadata(store, spec, state.version() + 1, metadata, now).await?;
            }
        }
    }
    let reason = format!("other processes changed it {UPGRADE_TRIES} times while its columns were to be");
    let advice = "try again".to_owned();
    Err(refused(spec)(Incompatible { reason, advice }))
}

/// Commits this metadata as the next version. If another process has made that version, the caller has to reload the
/// table.
async fn commit_metadata(
    store: &Arc<dyn ObjectStore>,
    spec: &TableSpec,
    version: u64,
    metadata: Metadata,
    now: Micros,
) -> Result<(), LakeError> {
    let path = layout::commit_path(spec, version);
    let bytes = commit::encode_metadata(metadata, now).map_err(malformed(&path))?;
    match store.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(()),
        Err(source) => Err(LakeError::Store { path, source }),
    }
}

/// Whether a table can be followed.
pub(super) fn check(spec: &TableSpec, protocol: &Protocol, metadata: &Metadata) -> Result<(), LakeError> {
    match compat::check(spec, protocol, metadata).map_err(refused(spec))? {
        Fit::Exact => Ok(()),
        Fit::Older(_) => {
            let reason = "its columns went back to an older version".to_owned();
            let advice = "start Footfall again".to_owned();
            Err(refused(spec)(Incompatible { reason, advice }))
        }
    }
}

fn refused(spec: &TableSpec) -> impl Fn(Incompatible) -> LakeError {
    let table = spec.name().to_owned();
    move |Incompatible { reason, advice }| LakeError::Unsupported {
        table: table.clone(),
        reason,
        advice,
    }
}

/// Two processes may both find no table: the second one then loads the table that the first one created.
async fn create(log: &LogStoreRef, spec: &TableSpec) -> Result<(), LakeError> {
    let columns: StructType = spec
        .commented_schema()
        .as_ref()
        .try_into_kernel()
        .map_err(|e: arrow::error::ArrowError| LakeError::delta("created")(DeltaTableError::generic(e.to_string())))?;
    let created = CreateBuilder::new()
        .with_log_store(Arc::clone(log))
        .with_table_name(spec.name())
        .with_columns(columns.fields().cloned())
        .with_partition_columns([spec.partition().name().as_str()])
        .with_configuration([
            (compat::LOG_RETENTION_KEY, Some(compat::LOG_RETENTION.to_owned())),
            (compat::SCHEMA_VERSION, Some(spec.version().to_string())),
        ])
        .with_raise_if_key_not_exists(false)
        .await;
    match created {
        Ok(_) | Err(DeltaTableError::VersionAlreadyExists(_)) => Ok(()),
        Err(_) if log.is_delta_table_location().await.unwrap_or(false) => Ok(()),
        Err(source) => Err(LakeError::delta("created")(source)),
    }
}

/// The files of a table that Delta's library has loaded.
pub(super) async fn snapshot_of(
    state: &DeltaTableState,
    store: &Arc<dyn ObjectStore>,
    spec: &Arc<TableSpec>,
) -> Result<Snapshot, LakeError> {
    let version = state.version();
    let files = state.log_data().into_iter().map(|view| {
        #[expect(deprecated, reason = "nothing else tells a file's tags")]
        let add = view.add_action();
        commit::file_of(spec, &add).map_err(malformed(&layout::commit_path(spec, version)))
    });
    let files = complete(store, spec, files.collect::<Result<_, _>>()?).await?;
    Ok(Snapshot::new(Arc::clone(spec), version, files))
}

/// Writes a checkpoint of the newest version and removes expired log entries.
pub(super) async fn checkpoint(log: &LogStoreRef) -> Result<(), LakeError> {
    let mut table = DeltaTable::new(Arc::clone(log));
    table.load().await.map_err(LakeError::delta("read"))?;
    checkpoints::create_checkpoint(&table, None)
        .await
        .map_err(LakeError::delta("checkpointed"))?;
    checkpoints::cleanup_metadata(&table, None)
        .await
        .map_err(LakeError::delta("cleaned up"))?;
    Ok(())
}
