//! What SQL can name, over one version of the lake and for one caller: `events` and the views, and the schema `system` for
//! those who may read all sites.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use footfall_model::access::SiteScope;
use footfall_model::schema;

use crate::catalog::{CATALOG, EVENTS, LakeView, NamedTables, SCHEMA};
use crate::routing::{RoutableEvents, StatementRouting};
use crate::scan_log::ScanLog;
use crate::segments::{LakeTables, PinnedLake, ScopedLake};
use crate::system::{self, CompactionLog, QueryLog, SystemTables};
use crate::views::LakeTableView;

/// A table that SQL can name.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub catalog: String,
    pub schema: String,
    pub name: String,
    /// `TABLE` or `VIEW`.
    pub kind: &'static str,
    pub columns: SchemaRef,
}

/// The tables of an engine.
#[derive(Debug)]
pub(crate) struct PublicTables {
    lake: Arc<LakeTables>,
    views: Arc<[Box<dyn LakeTableView>]>,
    compactions: Arc<CompactionLog>,
    queries: Arc<QueryLog>,
}

impl PublicTables {
    pub(crate) fn new(
        lake: LakeTables,
        views: Vec<Box<dyn LakeTableView>>,
        compactions: Arc<CompactionLog>,
        queries: Arc<QueryLog>,
    ) -> Self {
        Self {
            lake: Arc::new(lake),
            views: views.into(),
            compactions,
            queries,
        }
    }

    /// The newest version of all of them.
    pub(crate) fn pin(&self) -> PinnedLake {
        self.lake.pin()
    }

    /// Names and columns of those that every lake has.
    pub(crate) fn infos(&self) -> Result<Vec<TableInfo>> {
        let lake = self.scoped(self.pin(), SiteScope::All);
        let mut infos = vec![info(SCHEMA, EVENTS, "TABLE", schema::events())];
        for view in self.views.iter() {
            infos.push(info(SCHEMA, view.name(), "VIEW", view.over(&lake)?.schema()));
        }
        infos.extend(system::tables().map(|(name, columns)| info(system::SCHEMA, name, "VIEW", columns)));
        Ok(infos)
    }

    /// The same of the views of configured rollups, as far as callers with these sites can name them.
    pub(crate) fn configured_infos(&self, sites: &SiteScope) -> Vec<TableInfo> {
        let lake = self.scoped(self.pin(), sites.clone());
        let views = lake.pinned.configured.views(sites);
        let infos = views.filter_map(|view| {
            let planned = view.over(&lake);
            planned
                .inspect_err(|error| tracing::error!(%error, view = view.name(), "a rollup can't be queried"))
                .ok()
                .map(|table| info(SCHEMA, view.name(), "VIEW", table.schema()))
        });
        infos.collect()
    }

    /// The state of one statement, which sees them over `lake` and as far as `sites` reach. What is decided of its
    /// aggregates is told to `routing`, what is read to `scans`.
    pub(crate) fn state(
        &self,
        lake: PinnedLake,
        sites: SiteScope,
        routing: &StatementRouting,
        scans: &ScanLog,
    ) -> SessionState {
        let sees_all = sites == SiteScope::All;
        let lake = ScopedLake {
            scans: scans.clone(),
            ..self.scoped(lake, sites)
        };
        let mut view = LakeView::new(Arc::new(StatementTables {
            views: Arc::clone(&self.views),
            lake: lake.clone(),
            routing: routing.clone(),
        }));
        if sees_all {
            let tables = SystemTables::new(lake.clone(), Arc::clone(&self.compactions), Arc::clone(&self.queries));
            view = view.with_schema(system::SCHEMA, Arc::new(tables));
        }
        lake.session(view)
    }

    fn scoped(&self, pinned: PinnedLake, sites: SiteScope) -> ScopedLake {
        ScopedLake {
            tables: Arc::clone(&self.lake),
            pinned,
            sites,
            scans: ScanLog::default(),
        }
    }
}

fn info(schema: &str, name: &str, kind: &'static str, columns: SchemaRef) -> TableInfo {
    TableInfo {
        catalog: CATALOG.into(),
        schema: schema.into(),
        name: name.into(),
        kind,
        columns,
    }
}

/// The tables over one version of the lake, for one caller.
#[derive(Debug)]
struct StatementTables {
    views: Arc<[Box<dyn LakeTableView>]>,
    lake: ScopedLake,
    routing: StatementRouting,
}

impl StatementTables {
    /// The views of every lake, then those of configured rollups that have one of the caller's sites.
    fn views(&self) -> impl Iterator<Item = &dyn LakeTableView> {
        let configured = self.lake.pinned.configured.views(&self.lake.sites);
        let views = self.views.iter().map(Box::as_ref);
        views.chain(configured.map(|view| view as &dyn LakeTableView))
    }
}

impl NamedTables for StatementTables {
    fn names(&self) -> Vec<String> {
        let views = self.views().map(|view| view.name().to_owned());
        [EVENTS.to_owned()].into_iter().chain(views).collect()
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == EVENTS {
            let events = RoutableEvents::new(self.lake.clone(), self.routing.clone());
            return Ok(Some(Arc::new(events)));
        }
        let view = self.views().find(|view| view.name() == name);
        view.map(|view| view.over(&self.lake)).transpose()
    }
}
