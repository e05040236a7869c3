//! How much a statement asks to be planned.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::Query;

use crate::QueryError;

/// Tables and subqueries that a statement may write down: joins of them are planned one inside the other.
const MAX_TABLES: usize = 128;

/// Tables that it may read, once the names of WITH are replaced by what they stand for.
const MAX_READ: usize = 512;

/// Counts while a statement is visited.
///
/// `WITH b AS (… a JOIN a), c AS (… b JOIN b), …` is a short text and a plan that doubles with each name.
#[derive(Debug, Default)]
pub(super) struct Size {
    tables: usize,
    /// What each query that is open has read so far, innermost last.
    open: Vec<usize>,
    /// The queries that define a name, by their place in memory.
    defining: HashMap<*const Query, String>,
    /// What each name of WITH reads.
    names: HashMap<String, usize>,
}

impl Size {
    pub(super) fn enter(&mut self, query: &Query) {
        self.open.push(0);
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = cte.alias.name.value.to_lowercase();
            self.defining.insert(&raw const *cte.query, name);
        }
    }

    pub(super) fn leave(&mut self, query: &Query) -> ControlFlow<QueryError> {
        let read = self.open.pop().unwrap_or(0);
        if read > MAX_READ {
            return ControlFlow::Break(QueryError::Limit(format!(
                "the SQL reads more than {MAX_READ} tables, because names of WITH are used many times; ask less at a \
                 time"
            )));
        }
        if let Some(name) = self.defining.remove(&(&raw const *query)) {
            let known = self.names.entry(name).or_default();
            // A name that reads no table still has to be planned.
            *known = read.max(1).max(*known);
        } else if let Some(outer) = self.open.last_mut() {
            *outer += read;
        }
        ControlFlow::Continue(())
    }

    pub(super) fn relation(&mut self, name: &str) {
        let read = self
            .names
            .get(&name.replace('"', "").to_lowercase())
            .copied()
            .unwrap_or(1);
        match self.open.last_mut() {
            Some(open) => *open += read,
            None => self.open.push(read),
        }
    }

    pub(super) fn table(&mut self) -> ControlFlow<QueryError> {
        self.tables += 1;
        if self.tables > MAX_TABLES {
            return ControlFlow::Break(QueryError::Limit(format!(
                "the SQL names more than {MAX_TABLES} tables and subqueries; ask less at a time"
            )));
        }
        ControlFlow::Continue(())
    }
}
