//! The table as Delta's own library sees it: made, read as a whole, and tidied up.

use std::sync::Arc;

use deltalake_core::kernel::StructType;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::checkpoints;
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError, TableProperty};
use footfall_model::table::TableSpec;
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use url::Url;

use super::malformed;
use crate::{LakeError, Snapshot, commit, layout};

/// How long old versions of the log stay: readers that pinned one are done by then.
const LOG_RETENTION: &str = "interval 1 days";

/// Delta's own reader over the table's folder of our store. The URL only names the root of what is already rooted.
pub(super) fn log_store(store: &Arc<dyn ObjectStore>, spec: &TableSpec) -> Result<LogStoreRef, LakeError> {
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(store), layout::folder(spec)));
    let root =
        Url::parse("memory:///").map_err(|e| LakeError::delta("opened")(DeltaTableError::generic(e.to_string())))?;
    logstore_with(store, &root, StorageConfig::default()).map_err(LakeError::delta("opened"))
}

/// The newest version of the table, which is created if there is none.
pub(super) async fn open_or_create(log: &LogStoreRef, spec: &TableSpec) -> Result<DeltaTable, LakeError> {
    if !log
        .is_delta_table_location()
        .await
        .map_err(LakeError::delta("looked for"))?
    {
        create(log, spec).await?;
    }
    let mut table = DeltaTable::new(Arc::clone(log));
    table.load().await.map_err(LakeError::delta("read"))?;
    Ok(table)
}

/// Two processes may both find no table: whoever comes second finds the first one's.
async fn create(log: &LogStoreRef, spec: &TableSpec) -> Result<(), LakeError> {
    let columns: StructType = spec
        .table_schema()
        .as_ref()
        .try_into_kernel()
        .map_err(|e: arrow::error::ArrowError| LakeError::delta("created")(DeltaTableError::generic(e.to_string())))?;
    let created = CreateBuilder::new()
        .with_log_store(Arc::clone(log))
        .with_table_name(spec.name())
        .with_columns(columns.fields().cloned())
        .with_partition_columns([spec.partition().name().as_str()])
        .with_configuration_property(TableProperty::LogRetentionDuration, Some(LOG_RETENTION))
        .await;
    match created {
        Ok(_) | Err(DeltaTableError::VersionAlreadyExists(_)) => Ok(()),
        Err(_) if log.is_delta_table_location().await.unwrap_or(false) => Ok(()),
        Err(source) => Err(LakeError::delta("created")(source)),
    }
}

/// The files of a table as Delta's library has read it.
pub(super) fn snapshot_of(state: &DeltaTableState, spec: &Arc<TableSpec>) -> Result<Snapshot, LakeError> {
    let version = state.version();
    let files = state.log_data().into_iter().map(|view| {
        #[expect(deprecated, reason = "nothing else tells a file's tags")]
        let add = view.add_action();
        commit::file_of(spec, &add).map_err(malformed(&layout::commit_path(spec, version)))
    });
    Ok(Snapshot::new(
        Arc::clone(spec),
        version,
        files.collect::<Result<Vec<_>, _>>()?,
    ))
}

/// Writes a checkpoint of the newest version and removes log entries that nobody needs any more.
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
