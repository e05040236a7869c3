//! The tables of a shard.

use std::collections::BTreeMap;
use std::sync::Arc;

use footfall_model::clock::Clock;
use footfall_model::rollup::Rollup;
use footfall_model::table::TableSpec;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStore;

use crate::rollups::LakeRollups;
use crate::{LakeError, LakeSnapshot, RollupTable, Table};

/// Delta's reader blocks a thread for files while others read for it: with as many tables at once as there are such
/// threads, all of them would wait for ever. The binary has 6.
const OPENED_AT_ONCE: usize = 4;

/// The tables of one shard, over one store.
#[derive(Debug, Clone)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    tables: BTreeMap<String, Arc<Table>>,
    /// Shared by all copies.
    rollups: Arc<LakeRollups>,
}

impl Lake {
    /// Opens the tables below the root of `store`, which is the shard's, and creates those that are not there.
    ///
    /// # Errors
    /// The store's, or one of the tables can't be followed.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        specs: &[Arc<TableSpec>],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LakeError> {
        let tables = specs.iter().map(async |spec| {
            let table = Table::open(Arc::clone(&store), Arc::clone(spec), Arc::clone(&clock)).await?;
            Ok::<_, LakeError>((spec.name().to_owned(), Arc::new(table)))
        });
        let tables = stream::iter(tables).buffered(OPENED_AT_ONCE).try_collect().await?;
        Ok(Self {
            store,
            clock,
            tables,
            rollups: Arc::default(),
        })
    }

    /// The shard's store: [`crate::DataFile::path`] is relative to its root.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The table of this name, if the lake was opened with it.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// All tables, those of configured rollups included.
    pub fn tables(&self) -> impl Iterator<Item = Arc<Table>> {
        let rollups = self.rollups.current();
        let rollups: Vec<_> = rollups.iter().map(|rollup| Arc::clone(&rollup.table)).collect();
        self.tables.values().cloned().chain(rollups)
    }

    /// The tables that it was opened with.
    pub fn fixed_tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.values()
    }

    /// The configured rollups that are in force.
    pub fn rollups(&self) -> Arc<[RollupTable]> {
        self.rollups.current()
    }

    /// The catalog's revision whose rollups are in force.
    pub fn rollup_revision(&self) -> u64 {
        self.rollups.revision()
    }

    /// Puts the configured rollups of a catalog's `revision` in force, for all who have this lake: opens the tables of
    /// new ones, and creates those that are not there. An older revision than the known one changes nothing.
    ///
    /// # Errors
    /// The first table that can't be opened. All others are in force; the next call tries again.
    pub async fn set_rollups(&self, revision: u64, rollups: Vec<Rollup>) -> Result<(), LakeError> {
        let Self { store, clock, .. } = self;
        self.rollups.replace(revision, rollups, store, clock).await
    }

    /// The newest known version of every table.
    pub fn pin(&self) -> LakeSnapshot {
        let tables = self.tables.iter();
        LakeSnapshot::new(tables.map(|(name, table)| (name.clone(), table.snapshot())))
    }

    /// Applies what other processes have committed to any of the tables.
    ///
    /// # Errors
    /// That of the first table that can't be followed; the other tables are refreshed all the same.
    pub async fn refresh(&self) -> Result<(), LakeError> {
        let mut outcome = Ok(());
        for table in self.tables() {
            outcome = outcome.and(table.refresh().await);
        }
        outcome
    }
}
