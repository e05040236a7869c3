//! Rollups in SQL: a view of each, exact at every moment.
//!
//! ```text
//! pinned events ---- files with a segment of the same name ----> the segments --+
//!               \--- the others --> aggregated as the compactor would ---------+--> merged: the view
//! ```
//!
//! A segment is committed before its file of events and removed after it, so a pinned file of events without a pinned
//! segment is read raw, and a pinned segment without its file of events is not read at all: whatever versions were
//! pinned, each event counts once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::ViewTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use footfall_lake::{Snapshot, Table};
use footfall_model::access::SiteScope;
use footfall_model::rollup::Rollup;
use futures::FutureExt;
use parking_lot::Mutex;

use crate::catalog::{LakeView, Tables};
use crate::session::SessionFactory;
use crate::table::{LakeTable, TableReader};

/// The names of a view's sources, which only the view can use.
const SEGMENTS: &str = "segments";
const UNCOVERED: &str = "uncovered_events";

/// One version of every table.
#[derive(Debug, Clone)]
pub(crate) struct PinnedLake {
    pub(crate) events: Snapshot,
    /// Of each rollup's segments.
    segments: Vec<Snapshot>,
}

impl PinnedLake {
    /// The version of the events.
    pub(crate) fn version(&self) -> u64 {
        self.events.version()
    }
}

/// The rollups of an engine.
#[derive(Debug)]
pub(crate) struct Rollups(Vec<RollupView>);

#[derive(Debug)]
struct RollupView {
    name: String,
    sql: String,
    table: Arc<Table>,
    reader: Arc<TableReader>,
    /// The last coverage, which most statements share.
    coverage: Mutex<Option<Coverage>>,
}

/// Which segments stand for which files of events.
#[derive(Debug, Clone)]
struct Coverage {
    segments: Snapshot,
    uncovered: Snapshot,
    /// Versions of the events and the segments.
    versions: (u64, u64),
}

impl Rollups {
    pub(crate) fn new(rollups: Vec<(Rollup, Arc<Table>)>, runtime: &RuntimeEnv) -> Result<Self> {
        let views = rollups.into_iter().map(|(rollup, table)| {
            Ok(RollupView {
                sql: rollup.view_sql(SEGMENTS, UNCOVERED),
                reader: Arc::new(TableReader::new(table.spec(), table.store(), runtime)?),
                name: rollup.name,
                table,
                coverage: Mutex::new(None),
            })
        });
        views.collect::<Result<_>>().map(Self)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|view| view.name.as_str())
    }

    /// The newest versions.
    pub(crate) fn pin(&self, events: &Table) -> PinnedLake {
        PinnedLake {
            events: events.snapshot(),
            segments: self.0.iter().map(|view| view.table.snapshot()).collect(),
        }
    }

    /// The view of this name, if there is one.
    pub(crate) fn view(
        &self,
        name: &str,
        lake: &PinnedLake,
        scope: &SiteScope,
        events: &Arc<TableReader>,
        sessions: &SessionFactory,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let found = self.0.iter().zip(&lake.segments).find(|(view, _)| view.name == name);
        let Some((view, segments)) = found else {
            return Ok(None);
        };
        let coverage = view.coverage(&lake.events, segments);
        let table = |snapshot, reader: &Arc<TableReader>| {
            Arc::new(LakeTable::new(snapshot, scope.clone(), Arc::clone(reader))) as Arc<dyn TableProvider>
        };
        let sources = Tables::from([
            (SEGMENTS.to_owned(), table(coverage.segments, &view.reader)),
            (UNCOVERED.to_owned(), table(coverage.uncovered, events)),
        ]);
        let state = sessions.state(LakeView::new(Arc::new(sources)));
        // The tables are there: nothing waits.
        let planned = state.create_logical_plan(&view.sql).now_or_never();
        let plan = planned.ok_or_else(|| DataFusionError::Internal(format!("planning the view {name} waits")))??;
        Ok(Some(Arc::new(ViewTable::new(plan, None))))
    }

    /// The columns of each view.
    pub(crate) fn schemas(
        &self,
        lake: &PinnedLake,
        events: &Arc<TableReader>,
        sessions: &SessionFactory,
    ) -> Result<Vec<(String, SchemaRef)>> {
        let schema = |view: &RollupView| {
            let table = self.view(&view.name, lake, &SiteScope::All, events, sessions)?;
            Ok(table.map(|table| (view.name.clone(), table.schema())))
        };
        self.0.iter().filter_map(|view| schema(view).transpose()).collect()
    }
}

impl RollupView {
    fn coverage(&self, events: &Snapshot, segments: &Snapshot) -> Coverage {
        let versions = (events.version(), segments.version());
        let mut last = self.coverage.lock();
        if let Some(known) = last.as_ref().filter(|known| known.versions == versions) {
            return known.clone();
        }
        let new = cover(events, segments);
        *last = Some(new.clone());
        new
    }
}

fn cover(events: &Snapshot, segments: &Snapshot) -> Coverage {
    fn names(snapshot: &Snapshot) -> HashSet<&str> {
        snapshot.files().filter_map(|file| file.path.filename()).collect()
    }
    let (merged, files) = (names(segments), names(events));
    let among = |names: &HashSet<&str>, path: &object_store::path::Path| {
        path.filename().is_some_and(|name| names.contains(name))
    };
    Coverage {
        segments: segments.filter(|file| among(&files, &file.path)),
        uncovered: events.filter(|file| !among(&merged, &file.path)),
        versions: (events.version(), segments.version()),
    }
}
