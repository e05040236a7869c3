//! What SQL can name, over one version of the lake and for one caller: `events` and the views.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use footfall_lake::Table;
use footfall_model::access::SiteScope;
use footfall_model::rollup::Rollup;
use footfall_model::{schema, table};

use crate::catalog::{CATALOG, EVENTS, LakeView, NamedTables, SCHEMA};
use crate::rollups::{PinnedLake, Rollups};
use crate::session::SessionFactory;
use crate::table::{LakeTable, TableReader};

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
    lake: Arc<Table>,
    events: Arc<TableReader>,
    rollups: Rollups,
    sessions: SessionFactory,
}

impl PublicTables {
    pub(crate) fn new(
        events: Arc<Table>,
        rollups: Vec<(Rollup, Arc<Table>)>,
        sessions: SessionFactory,
        runtime: &RuntimeEnv,
    ) -> Result<Self> {
        Ok(Self {
            events: Arc::new(TableReader::new(table::events(), events.store(), runtime)?),
            rollups: Rollups::new(rollups, runtime)?,
            sessions,
            lake: events,
        })
    }

    /// The newest version of all of them.
    pub(crate) fn pin(&self) -> PinnedLake {
        self.rollups.pin(&self.lake)
    }

    /// Their names and columns.
    pub(crate) fn infos(&self) -> Result<Vec<TableInfo>> {
        let views = self.rollups.schemas(&self.pin(), &self.events, &self.sessions)?;
        let info = |name: String, kind, columns| TableInfo {
            catalog: CATALOG.into(),
            schema: SCHEMA.into(),
            name,
            kind,
            columns,
        };
        let views = views.into_iter().map(|(name, columns)| info(name, "VIEW", columns));
        let events = info(EVENTS.into(), "TABLE", schema::events());
        Ok([events].into_iter().chain(views).collect())
    }

    /// The state of one statement, which sees them over `lake` and as far as `sites` reach.
    pub(crate) fn state(self: &Arc<Self>, lake: PinnedLake, sites: SiteScope) -> SessionState {
        self.sessions.state(LakeView::new(Arc::new(StatementTables {
            tables: Arc::clone(self),
            lake,
            sites,
        })))
    }
}

/// The tables over one version of the lake, for one caller.
#[derive(Debug)]
struct StatementTables {
    tables: Arc<PublicTables>,
    lake: PinnedLake,
    sites: SiteScope,
}

impl NamedTables for StatementTables {
    fn names(&self) -> Vec<String> {
        let views = self.tables.rollups.names().map(str::to_owned);
        [EVENTS.to_owned()].into_iter().chain(views).collect()
    }

    fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let PublicTables {
            events,
            rollups,
            sessions,
            ..
        } = self.tables.as_ref();
        if name == EVENTS {
            let table = LakeTable::new(self.lake.events.clone(), self.sites.clone(), Arc::clone(events));
            return Ok(Some(Arc::new(table)));
        }
        rollups.view(name, &self.lake, &self.sites, events, sessions)
    }
}
