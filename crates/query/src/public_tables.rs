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

    /// Their names and columns.
    pub(crate) fn infos(&self) -> Result<Vec<TableInfo>> {
        let info = |schema: &str, name: &str, kind, columns| TableInfo {
            catalog: CATALOG.into(),
            schema: schema.into(),
            name: name.into(),
            kind,
            columns,
        };
        let lake = self.scoped(self.pin(), SiteScope::All);
        let mut infos = vec![info(SCHEMA, EVENTS, "TABLE", schema::events())];
        for view in self.views.iter() {
            infos.push(info(SCHEMA, view.name(), "VIEW", view.over(&lake)?.schema()));
        }
        infos.extend(system::tables().map(|(name, columns)| info(system::SCHEMA, name, "VIEW", columns)));
        Ok(infos)
    }

    /// The state of one statement, which sees them over `lake` and as far as `sites` reach. What is decided of its
    /// aggregates is told to `routing`.
    pub(crate) fn state(&self, lake: PinnedLake, sites: SiteScope, routing: &StatementRouting) -> SessionState {
        let sees_all = sites == SiteScope::All;
        let lake = self.scoped(lake, sites);
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
        }
    }
}

/// The tables over one version of the lake, for one caller.
#[derive(Debug)]
struct StatementTables {
    views: Arc<[Box<dyn LakeTableView>]>,
    lake: ScopedLake,
    routing: StatementRouting,
}

impl NamedTables for StatementTables {
    fn names(&self) -> Vec<String> {
        let views = self.views.iter().map(|view| view.name().to_owned());
        [EVENTS.to_owned()].into_iter().chain(views).collect()
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == EVENTS {
            let events = RoutableEvents::new(self.lake.clone(), self.routing.clone());
            return Ok(Some(Arc::new(events)));
        }
        let view = self.views.iter().find(|view| view.name() == name);
        view.map(|view| view.over(&self.lake)).transpose()
    }
}
