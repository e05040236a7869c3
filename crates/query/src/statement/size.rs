//! Limits how much a statement asks the planner to do.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, Select};

use crate::QueryError;

/// Tables and subqueries that a statement may contain: joins of them are planned one inside the other.
const MAX_TABLES: usize = 48;

/// Tables that it may read, once the names of WITH are replaced by what they stand for.
const MAX_READ: usize = 512;

/// Function calls in total. The planner compares each aggregate of a SELECT with every other one.
const MAX_CALLS: usize = 300;

/// Calls with OVER, each of which may become an operator of its own.
const MAX_WINDOWS: usize = 100;

/// ANDs and ORs in total: conditions are converted to each other's normal forms.
const MAX_CONDITIONS: usize = 1000;

/// Entries of a SELECT list.
const MAX_SELECTED: usize = 2000;

/// Counts while a statement is visited.
///
/// `WITH b AS (… a JOIN a), c AS (… b JOIN b), …` is a short text and a plan that doubles with each name.
#[derive(Debug, Default)]
pub(super) struct Size {
    tables: usize,
    calls: usize,
    windows: usize,
    conditions: usize,
    /// How many tables each open query has read so far, innermost last.
    open: Vec<usize>,
    /// The queries that define a name, by their address in memory.
    defining: HashMap<*const Query, String>,
    /// How many tables each name of WITH reads.
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

    pub(super) fn selected(&self, select: &Select) -> ControlFlow<QueryError> {
        at_most("entries of a SELECT list", select.projection.len(), MAX_SELECTED)
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> ControlFlow<QueryError> {
        if let Expr::Function(call) = expression {
            self.calls += 1;
            self.windows += usize::from(call.over.is_some());
            at_most("calls of functions", self.calls, MAX_CALLS)?;
            at_most("calls of functions with OVER", self.windows, MAX_WINDOWS)?;
        }
        if let Expr::BinaryOp { op, .. } = expression
            && is_call(op)
        {
            self.calls += 1;
            at_most("calls of functions", self.calls, MAX_CALLS)?;
        }
        if let Expr::BinaryOp {
            op: BinaryOperator::And | BinaryOperator::Or,
            ..
        } = expression
        {
            self.conditions += 1;
            at_most("conditions with AND and OR", self.conditions, MAX_CONDITIONS)?;
        }
        ControlFlow::Continue(())
    }

    pub(super) fn table(&mut self) -> ControlFlow<QueryError> {
        self.tables += 1;
        if self.tables > MAX_TABLES {
            return ControlFlow::Break(QueryError::Limit(format!(
                "the SQL names more than {MAX_TABLES} tables and subqueries; ask for less at a time"
            )));
        }
        ControlFlow::Continue(())
    }
}

/// Operators that are planned as calls.
fn is_call(operator: &BinaryOperator) -> bool {
    use BinaryOperator::{Arrow, HashArrow, HashLongArrow, LongArrow};
    matches!(operator, Arrow | LongArrow | HashArrow | HashLongArrow)
}

fn at_most(of: &str, count: usize, most: usize) -> ControlFlow<QueryError> {
    if count > most {
        return ControlFlow::Break(QueryError::Limit(format!(
            "the SQL has more {of} than the {most} that are allowed; ask for less at a time"
        )));
    }
    ControlFlow::Continue(())
}
