//! Operations through Delta's own library: create, load as a whole, checkpoint and clean up.

use std::sync::Arc;

use deltalake_core::kernel::{Metadata, Protocol};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, logstore_with};
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
use super::{exclusive, malformed};
use crate::commit::{self, TableChange};
use crate::{LakeError, Snapshot, layout};

/// Delta's own reader over the table's folder of our store. The store is already rooted: the URL only names its root.
pub(super) fn log_store(store: &Arc<dyn ObjectStore>, spec: &TableSpec) -> Result<LogStoreRef, LakeError> {
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(store), layout::folder(spec)));
    let root =
        Url::parse("memory:///").map_err(|e| LakeError::delta("opened")(DeltaTableError::generic(e.to_string())))?;
    logstore_with(store, &root, StorageConfig::default()).map_err(LakeError::delta("opened"))
}

/// How many lost races against other processes we accept before we give up.
const UPGRADE_TRIES: usize = 10;

/// Loads the newest version of the table. Creates the table if it is missing, and adds what it lacks of its declaration
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
        create(store, spec, now).await?;
    }
    for _ in 0..UPGRADE_TRIES {
        let mut table = DeltaTable::new(Arc::clone(log));
        table.load().await.map_err(LakeError::delta("read"))?;
        let state = table.snapshot().map_err(LakeError::delta("read"))?;
        match upgrade(spec, state.protocol(), state.metadata()).map_err(refused(spec))? {
            None => return Ok(table),
            Some(change) => commit_change(store, spec, state.version() + 1, change, now).await?,
        };
    }
    let reason = format!("other processes changed it {UPGRADE_TRIES} times while its columns were to be");
    let advice = "try again".to_owned();
    Err(refused(spec)(Incompatible { reason, advice }))
}

/// What a table lacks that an older Footfall has created.
fn upgrade(spec: &TableSpec, protocol: &Protocol, metadata: &Metadata) -> Result<Option<TableChange>, Incompatible> {
    let mut upgraded = match compat::check(spec, protocol, metadata)? {
        Fit::Exact => None,
        Fit::Older(upgrade) => Some(compat::upgraded(spec, metadata, &upgrade)?),
    };
    if compat::property(metadata, compat::TOMBSTONES_KEY).is_none() {
        let current = upgraded.as_ref().unwrap_or(metadata);
        upgraded = Some(compat::with_property(
            current,
            compat::TOMBSTONES_KEY,
            Some(compat::TOMBSTONES),
        )?);
    }
    let claimed = exclusive::claim(protocol, metadata)?;
    let change = TableChange {
        operation: if claimed.is_some() {
            "UPGRADE PROTOCOL"
        } else {
            "ADD COLUMNS"
        },
        protocol: claimed,
        metadata: upgraded,
    };
    Ok((change.protocol.is_some() || change.metadata.is_some()).then_some(change))
}

/// Commits a change as this version; false if another process has made that version.
pub(super) async fn commit_change(
    store: &Arc<dyn ObjectStore>,
    spec: &TableSpec,
    version: u64,
    change: TableChange,
    now: Micros,
) -> Result<bool, LakeError> {
    let path = layout::commit_path(spec, version);
    let bytes = commit::encode_change(change, now).map_err(malformed(&path))?;
    match store.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
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

pub(super) fn refused(spec: &TableSpec) -> impl Fn(Incompatible) -> LakeError {
    let table = spec.name().to_owned();
    move |Incompatible { reason, advice }| LakeError::Unsupported {
        table: table.clone(),
        reason,
        advice,
    }
}

/// Two processes may both find no table: the second one then loads the table that the first one created.
async fn create(store: &Arc<dyn ObjectStore>, spec: &TableSpec, now: Micros) -> Result<(), LakeError> {
    let change = TableChange {
        operation: "CREATE TABLE",
        protocol: Some(exclusive::new_protocol().map_err(refused(spec))?),
        metadata: Some(compat::declared(spec, now).map_err(refused(spec))?),
    };
    commit_change(store, spec, 0, change, now).await.map(drop)
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
