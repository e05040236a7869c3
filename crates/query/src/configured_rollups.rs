//! The configured rollups of a lake: which tables and views statements see of them, as they come and go.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use footfall_lake::{Lake, RollupTable};
use footfall_model::access::SiteScope;
use footfall_model::rollup::{Rollup, RollupView, built_in};
use parking_lot::Mutex;

use crate::segments::SegmentTable;
use crate::views::rollup::DeclaredView;

/// The configured rollups that are in force for a statement, each with its table and its view.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredRollups(Vec<ConfiguredRollup>);

#[derive(Debug, Clone)]
struct ConfiguredRollup {
    rollup: Arc<Rollup>,
    table: Arc<SegmentTable>,
    view: Arc<DeclaredView>,
}

impl ConfiguredRollups {
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<SegmentTable>> {
        self.0.iter().map(|rollup| &rollup.table)
    }

    /// The declarations for callers with these sites. One may be limited to some sites, and says nothing of the events
    /// of others.
    pub(crate) fn rollups(&self, sites: &SiteScope) -> impl Iterator<Item = &Rollup> {
        self.known_to(sites).map(|rollup| rollup.rollup.as_ref())
    }

    /// The views for callers with these sites.
    pub(crate) fn views(&self, sites: &SiteScope) -> impl Iterator<Item = &DeclaredView> {
        self.known_to(sites).map(|rollup| rollup.view.as_ref())
    }

    /// A rollup of other sites is not there for a caller, not even by name.
    fn known_to(&self, sites: &SiteScope) -> impl Iterator<Item = &ConfiguredRollup> {
        let has_one = move |rollup: &&ConfiguredRollup| match (&rollup.rollup.sites, sites) {
            (SiteScope::Only(of_rollup), SiteScope::Only(of_caller)) => !of_rollup.is_disjoint(of_caller),
            _ => true,
        };
        self.0.iter().filter(has_one)
    }
}

/// Follows what is configured in a lake.
#[derive(Debug)]
pub(crate) struct RollupFollower {
    lake: Lake,
    runtime: Arc<RuntimeEnv>,
    /// What the last statement has seen, and what it was made of.
    last: Mutex<(Arc<[RollupTable]>, Arc<ConfiguredRollups>)>,
}

impl RollupFollower {
    pub(crate) fn new(lake: &Lake, runtime: &Arc<RuntimeEnv>) -> Self {
        Self {
            lake: lake.clone(),
            runtime: Arc::clone(runtime),
            last: Mutex::default(),
        }
    }

    /// Those that are in force now.
    pub(crate) fn current(&self) -> Arc<ConfiguredRollups> {
        let current = self.lake.rollups();
        let mut last = self.last.lock();
        if !Arc::ptr_eq(&last.0, &current) {
            let made = current.iter().map(|rollup| self.make(rollup, &last.1));
            let made = made.filter_map(|(name, made)| {
                made.inspect_err(|error| tracing::error!(%error, rollup = name, "a rollup can't be queried"))
                    .ok()
            });
            let made = Arc::new(ConfiguredRollups(made.collect()));
            *last = (current, made);
        }
        Arc::clone(&last.1)
    }

    fn make<'a>(&self, rollup: &'a RollupTable, known: &ConfiguredRollups) -> (&'a str, Result<ConfiguredRollup>) {
        let RollupTable { rollup, table } = rollup;
        let known = known.0.iter().find(|known| Arc::ptr_eq(&known.rollup, rollup));
        let made = match known {
            Some(known) => Ok(known.clone()),
            None => SegmentTable::new(Arc::clone(table), &self.runtime).map(|table| ConfiguredRollup {
                view: Arc::new(DeclaredView::new(RollupView::new(Rollup::clone(rollup), &built_in()))),
                rollup: Arc::clone(rollup),
                table,
            }),
        };
        (&rollup.name, made)
    }
}
