//! Follows a table from version to version, our own and those of other writers.

use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{Metadata, Protocol};
use deltalake_core::logstore::get_actions;
use deltalake_core::table::state::DeltaTableState;
use footfall_model::clock::Micros;
use object_store::ObjectStoreExt;

use super::complete::complete;
use super::{Table, compat, delta, malformed};
use crate::blocking::in_runtime;
use crate::commit::{self, AppliedTxn, Known};
use crate::{LakeError, layout};

/// Upper limit of the time, in microseconds, for which the versions after the last one that we knew to be the newest
/// are certainly still in the Delta log: half of our log retention, or half of the table's own if that is shorter.
const FOLLOWABLE: Micros = 12 * 3_600 * 1_000_000;

/// State of a table that we follow.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) known: Known,
    pub(super) protocol: Protocol,
    pub(super) metadata: Metadata,
    /// How long after `at` the next versions are certainly still in the Delta log.
    followable: Micros,
    /// When we last knew the newest version.
    pub(super) at: Micros,
}

impl Following {
    pub(super) fn new(state: &DeltaTableState, now: Micros) -> Self {
        Self {
            known: Known::default(),
            protocol: state.protocol().clone(),
            metadata: state.metadata().clone(),
            followable: followable(state.metadata()),
            at: now,
        }
    }

    fn set(&mut self, protocol: Protocol, metadata: Metadata) {
        self.followable = followable(&metadata);
        (self.protocol, self.metadata) = (protocol, metadata);
    }
}

fn followable(metadata: &Metadata) -> Micros {
    let retention = compat::log_retention(metadata);
    let half = retention.and_then(|retention| Micros::try_from(retention.as_micros() / 2).ok());
    half.unwrap_or(FOLLOWABLE).min(FOLLOWABLE)
}

impl Table {
    pub(super) fn is_behind(&self, following: &Following) -> bool {
        self.clock.now().saturating_sub(following.at) > following.followable
    }

    pub(super) async fn catch_up(&self, following: &mut Following) -> Result<(), LakeError> {
        let now = self.clock.now();
        if self.is_behind(following) {
            in_runtime(self.read_anew(following)).await?;
        }
        loop {
            let next = self.current.borrow().version() + 1;
            let Some(bytes) = self.read(next).await? else {
                following.at = now;
                return Ok(());
            };
            self.apply(next, &bytes, following).await?;
        }
    }

    /// Jumps to the newest version: those between may have been cleaned away.
    async fn read_anew(&self, following: &mut Following) -> Result<(), LakeError> {
        let mut table = DeltaTable::new(Arc::clone(&self.log));
        table.load().await.map_err(LakeError::unread)?;
        let state = table.snapshot().map_err(LakeError::unread)?;
        let version = state.version();
        if version <= self.current.borrow().version() {
            return Ok(());
        }
        delta::check(&self.spec, state.protocol(), state.metadata())?;
        for (app_id, reached) in &mut following.known.txns {
            let upto = state.transaction_version(self.log.as_ref(), app_id).await;
            let upto = upto.map_err(LakeError::unread)?;
            if upto != reached.as_ref().map(|reached| reached.upto) {
                let commit = None;
                *reached = upto.map(|upto| AppliedTxn { upto, version, commit });
            }
        }
        let snapshot = delta::snapshot_of(state, &self.store, &self.spec).await?;
        following.set(state.protocol().clone(), state.metadata().clone());
        self.opened.lock().take();
        self.current.send_replace(snapshot);
        Ok(())
    }

    async fn read(&self, version: u64) -> Result<Option<Bytes>, LakeError> {
        let path = layout::commit_path(&self.spec, version);
        match self.store.get(&path).await {
            Ok(reply) => Ok(Some(reply.bytes().await.map_err(LakeError::store(&path))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(LakeError::Store { path, source }),
        }
    }

    pub(super) async fn apply(&self, version: u64, bytes: &Bytes, following: &mut Following) -> Result<(), LakeError> {
        let path = layout::commit_path(&self.spec, version);
        let actions = get_actions(version, bytes).map_err(LakeError::delta("read"))?;
        let changes = commit::changes_of(&self.spec, actions).map_err(malformed(&path))?;
        if changes.protocol.is_some() || changes.metadata.is_some() {
            let protocol = changes.protocol.unwrap_or_else(|| following.protocol.clone());
            let metadata = changes.metadata.unwrap_or_else(|| following.metadata.clone());
            delta::check(&self.spec, &protocol, &metadata)?;
            following.set(protocol, metadata);
        }
        let added = complete(&self.store, &self.spec, changes.add).await?;
        for (app_id, upto) in changes.txns {
            let commit = changes.id.clone();
            let reached = AppliedTxn { upto, version, commit };
            following.known.txns.insert(app_id, Some(reached));
        }
        following.known.remember(changes.id, version);
        self.opened.lock().take();
        self.current
            .send_modify(|snapshot| *snapshot = snapshot.next(version, &changes.remove, added));
        Ok(())
    }
}
