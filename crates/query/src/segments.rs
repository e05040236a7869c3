//! Tables of segments over a pinned lake: what stands for merged files of events, and what is left to read raw.
//!
//! ```text
//! pinned events ---- files with a segment of the same name ----> the segments
//!               \--- the others -------------------------------> events that no segment covers
//! ```
//!
//! A segment is committed before its file of events and removed after it, so a pinned file of events without a pinned
//! segment is read raw, and a pinned segment without its file of events is not read at all: whatever versions were
//! pinned, each event counts once.

mod coverage;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::catalog::TableProvider;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use footfall_funnels::table::funnel_steps;
use footfall_funnels::{FunnelDefinitions, FunnelSet};
use footfall_lake::{Lake, Snapshot, Table};
use footfall_model::access::SiteScope;
use footfall_model::rollup::{Days, Rollup};
use footfall_model::table;
use parking_lot::Mutex;

use crate::catalog::{LakeView, NamedTables};
use crate::configured_rollups::{ConfiguredRollups, RollupFollower};
use crate::scan_log::ScanLog;
use crate::session::SessionFactory;
use crate::table::{LakeTable, TableReader};
use crate::views::funnels;
pub(crate) use coverage::{Coverage, CoveredDays};

/// One version of every table, and of what views are defined by.
#[derive(Debug, Clone)]
pub(crate) struct PinnedLake {
    pub(crate) events: Snapshot,
    segments: Arc<[(Arc<SegmentTable>, Snapshot)]>,
    pub(crate) funnels: Arc<FunnelSet>,
    pub(crate) configured: Arc<ConfiguredRollups>,
}

impl PinnedLake {
    /// The version of the events.
    pub(crate) fn version(&self) -> u64 {
        self.events.version()
    }

    /// What another pinned lake has in common with it only if both are the same.
    pub(crate) fn identity(&self) -> LakeIdentity {
        let segments = self.segments.iter().map(|(_, snapshot)| snapshot.version());
        LakeIdentity {
            versions: [self.version()].into_iter().chain(segments).collect(),
            definitions: self.definitions(),
        }
    }

    /// The part of it that is not in files.
    pub(crate) fn definitions(&self) -> LakeDefinitions {
        LakeDefinitions {
            funnels: ByAddress(Arc::clone(&self.funnels)),
            configured: ByAddress(Arc::clone(&self.configured)),
        }
    }
}

/// The versions of a pinned lake's tables, and what views are defined by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LakeIdentity {
    versions: Box<[u64]>,
    definitions: LakeDefinitions,
}

/// What views of a pinned lake are defined by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LakeDefinitions {
    funnels: ByAddress<FunnelSet>,
    configured: ByAddress<ConfiguredRollups>,
}

impl LakeIdentity {
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.versions)
    }
}

/// Equal to what is the very same; kept, so that its address is not used again.
#[derive(Debug)]
struct ByAddress<T>(Arc<T>);

impl<T> Clone for ByAddress<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for ByAddress<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for ByAddress<T> {}

impl<T> Hash for ByAddress<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// The tables of a lake: events, and segments that cover them.
#[derive(Debug)]
pub(crate) struct LakeTables {
    events: Arc<Table>,
    reader: Arc<TableReader>,
    /// Those that every lake has.
    segments: Vec<Arc<SegmentTable>>,
    /// Of these, the rollups.
    pub(crate) rollups: Vec<Rollup>,
    configured: Option<RollupFollower>,
    funnels: Arc<FunnelDefinitions>,
    sessions: SessionFactory,
}

/// A table of segments.
#[derive(Debug)]
pub(crate) struct SegmentTable {
    table: Arc<Table>,
    reader: Arc<TableReader>,
    /// The last coverage, which most statements share.
    coverage: Mutex<Option<Coverage>>,
}

/// What one kind of view reads.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Segments of files that are merged.
    pub(crate) segments: Arc<dyn TableProvider>,
    /// Events of all other files.
    pub(crate) uncovered: Arc<dyn TableProvider>,
}

impl LakeTables {
    pub(crate) fn new(
        events: Arc<Table>,
        segments: Vec<Arc<Table>>,
        rollups: Vec<Rollup>,
        configured: Option<&Lake>,
        funnels: Arc<FunnelDefinitions>,
        sessions: SessionFactory,
        runtime: &Arc<RuntimeEnv>,
    ) -> Result<Self> {
        let segments = segments.into_iter().map(|table| SegmentTable::new(table, runtime));
        Ok(Self {
            configured: configured.map(|lake| RollupFollower::new(lake, runtime)),
            reader: Arc::new(TableReader::new(table::events(), events.store(), runtime)?),
            events,
            segments: segments.collect::<Result<_>>()?,
            rollups,
            funnels,
            sessions,
        })
    }

    /// The newest versions.
    pub(crate) fn pin(&self) -> PinnedLake {
        // Always the same, as results are kept by it.
        static NONE: LazyLock<Arc<ConfiguredRollups>> = LazyLock::new(Arc::default);
        let configured = self.configured.as_ref().map(RollupFollower::current);
        let configured = configured.unwrap_or_else(|| Arc::clone(&NONE));
        let segments = self.segments.iter().chain(configured.tables());
        PinnedLake {
            events: self.events.snapshot(),
            segments: segments
                .map(|segments| (Arc::clone(segments), segments.table.snapshot()))
                .collect(),
            funnels: self.funnels.current(),
            configured,
        }
    }
}

/// One version of the lake, as far as a caller's sites reach.
#[derive(Debug, Clone)]
pub(crate) struct ScopedLake {
    pub(crate) tables: Arc<LakeTables>,
    pub(crate) pinned: PinnedLake,
    pub(crate) sites: SiteScope,
    /// What is read of it.
    pub(crate) scans: ScanLog,
}

impl ScopedLake {
    /// All events.
    pub(crate) fn events(&self) -> Arc<dyn TableProvider> {
        self.read_events(self.pinned.events.clone())
    }

    /// What a view over the segments of table `name` reads.
    ///
    /// # Errors
    /// The lake was opened without this table.
    pub(crate) fn sources(&self, name: &str) -> Result<Sources> {
        let coverage = self.coverage_of(name)?;
        Ok(Sources {
            segments: self.read_segments(name, coverage.segments)?,
            uncovered: self.read_events(coverage.uncovered),
        })
    }

    /// The segments of table `name` that a view reads of some days.
    ///
    /// # Errors
    /// The lake was opened without this table.
    pub(crate) fn segments_of_days(&self, name: &str, days: Days) -> Result<Arc<dyn TableProvider>> {
        let files = self.coverage_of(name)?.segments_of(days);
        self.read_segments(name, files)
    }

    /// Some of the segments of table `name`, as pinned.
    ///
    /// # Errors
    /// The lake was opened without this table.
    pub(crate) fn read_segments(&self, name: &str, files: Snapshot) -> Result<Arc<dyn TableProvider>> {
        let (table, _) = self.segment_table(name)?;
        Ok(self.read(files, &table.reader))
    }

    /// Some of the events, as pinned.
    pub(crate) fn read_events(&self, files: Snapshot) -> Arc<dyn TableProvider> {
        self.read(files, &self.tables.reader)
    }

    /// Which files of events have segments of `rollup`.
    ///
    /// # Errors
    /// The lake was opened without this table.
    pub(crate) fn coverage_of(&self, rollup: &str) -> Result<Coverage> {
        self.coverage(rollup).map(|(_, coverage)| coverage)
    }

    /// The same, where `cover` decides: from the events and the segments that are pinned, the segments that stand for
    /// their files and the events that none of them covers.
    ///
    /// # Errors
    /// The lake was opened without this table.
    pub(crate) fn sources_by(
        &self,
        name: &str,
        cover: impl FnOnce(&Snapshot, &Snapshot) -> (Snapshot, Snapshot),
    ) -> Result<Sources> {
        let (table, segments) = self.segment_table(name)?;
        let (segments, uncovered) = cover(&self.pinned.events, segments);
        Ok(Sources {
            segments: self.read(segments, &table.reader),
            uncovered: self.read(uncovered, &self.tables.reader),
        })
    }

    fn segment_table(&self, name: &str) -> Result<(&SegmentTable, &Snapshot)> {
        let mut tables = self.pinned.segments.iter();
        let found = tables.find(|(table, _)| table.table.spec().name() == name);
        let found = found.map(|(table, snapshot)| (table.as_ref(), snapshot));
        found.ok_or_else(|| internal_datafusion_err!("the lake was opened without its table {name}"))
    }

    /// The names of all tables of segments.
    pub(crate) fn segment_tables(&self) -> impl Iterator<Item = &str> {
        self.pinned.segments.iter().map(|(table, _)| table.table.spec().name())
    }

    /// The files of events that no segment of table `name` covers.
    ///
    /// # Errors
    /// The lake was opened without this table.
    pub(crate) fn uncovered(&self, name: &str) -> Result<Snapshot> {
        if name == funnel_steps().name() {
            let (_, segments) = self.segment_table(name)?;
            return Ok(funnels::uncovered(&self.pinned.events, segments, &self.pinned.funnels));
        }
        self.coverage(name).map(|(_, coverage)| coverage.uncovered)
    }

    /// The pinned version of every table.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        let segments = self.pinned.segments.iter().map(|(_, snapshot)| snapshot);
        [&self.pinned.events].into_iter().chain(segments)
    }

    /// A state in which SQL sees this.
    pub(crate) fn session(&self, view: LakeView) -> SessionState {
        self.tables.sessions.state(view)
    }

    fn coverage(&self, name: &str) -> Result<(&SegmentTable, Coverage)> {
        let (table, segments) = self.segment_table(name)?;
        Ok((table, table.coverage(&self.pinned.events, segments)))
    }

    /// A state that plans a part of a statement for SQL of ours, which sees only these tables.
    pub(crate) fn view_state(&self, tables: impl NamedTables + 'static) -> SessionState {
        self.tables.sessions.view_state(LakeView::new(Arc::new(tables)))
    }

    fn read(&self, snapshot: Snapshot, reader: &Arc<TableReader>) -> Arc<dyn TableProvider> {
        let (sites, scans) = (self.sites.clone(), self.scans.clone());
        Arc::new(LakeTable::new(snapshot, sites, Arc::clone(reader), scans))
    }
}

impl SegmentTable {
    /// # Errors
    /// The table can't be read in this runtime.
    pub(crate) fn new(table: Arc<Table>, runtime: &RuntimeEnv) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            reader: Arc::new(TableReader::new(table.spec(), table.store(), runtime)?),
            table,
            coverage: Mutex::new(None),
        }))
    }

    fn coverage(&self, events: &Snapshot, segments: &Snapshot) -> Coverage {
        let mut last = self.coverage.lock();
        if let Some(known) = last.as_ref().filter(|known| known.is_of(events, segments)) {
            return known.clone();
        }
        let new = Coverage::of(events, segments);
        *last = Some(new.clone());
        new
    }
}
