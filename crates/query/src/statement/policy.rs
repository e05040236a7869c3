//! Which statements may run: those that only read, read nothing but the lake's tables, and have no clause that the
//! planner would drop.

use std::ops::ControlFlow;

use datafusion::sql::parser::{ExplainStatement, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, Statement, TableFactor, Visit, Visitor};
use footfall_model::access::SiteScope;

use super::dropped;
use super::size::Size;
use crate::QueryError;

/// The server's settings, including its folders.
const SETTINGS: &str = "df_settings";

pub(super) fn judge(statement: &DfStatement, sites: &SiteScope) -> Result<(), QueryError> {
    match statement {
        DfStatement::Statement(statement) => judge_sql(statement, sites),
        DfStatement::Explain(ExplainStatement { options, statement }) => {
            let shows_figures = options.analyze || options.verbose || options.show_statistics == Some(true);
            if shows_figures && limited(sites) {
                return Err(QueryError::Denied(
                    "EXPLAIN ANALYZE, VERBOSE and COSTS show figures of files that hold other sites' rows too; they \
                     need a token that reaches all sites. EXPLAIN alone is open to all"
                        .into(),
                ));
            }
            match statement.as_ref() {
                DfStatement::Statement(statement) if matches!(statement.as_ref(), Statement::Query(_)) => {
                    judge_sql(statement, sites)
                }
                other => Err(read_only(&other.to_string())),
            }
        }
        other => Err(read_only(&other.to_string())),
    }
}

fn judge_sql(statement: &Statement, sites: &SiteScope) -> Result<(), QueryError> {
    match statement {
        Statement::ShowVariable { .. } if limited(sites) => {
            return Err(QueryError::Denied(
                "SHOW of settings needs a token that reaches all sites".into(),
            ));
        }
        Statement::Query(_)
        | Statement::ExplainTable { .. }
        | Statement::Explain { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowCreate { .. } => {}
        other => return Err(read_only(&other.to_string())),
    }
    let mut reads = ReadsOnly {
        limited: limited(sites),
        size: Size::default(),
    };
    match statement.visit(&mut reads) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn limited(sites: &SiteScope) -> bool {
    !matches!(sites, SiteScope::All)
}

fn read_only(statement: &str) -> QueryError {
    let verb: Vec<_> = statement.split_whitespace().take(2).collect();
    QueryError::Denied(format!(
        "Footfall's SQL is read-only; {} is refused. SELECT, WITH, VALUES, EXPLAIN, SHOW and DESCRIBE are allowed",
        verb.join(" ")
    ))
}

/// Visits every part of a statement.
struct ReadsOnly {
    limited: bool,
    size: Size,
}

impl Visitor for ReadsOnly {
    type Break = QueryError;

    /// A query can hold INSERT, UPDATE, DELETE and MERGE.
    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<QueryError> {
        match statement {
            Statement::Insert(_) | Statement::Update { .. } | Statement::Delete(_) | Statement::Merge { .. } => {
                ControlFlow::Break(read_only(&statement.to_string()))
            }
            other => proceed(dropped::statement(other)),
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        self.size.enter(query);
        if query.locks.is_empty() {
            proceed(dropped::query(query))
        } else {
            ControlFlow::Break(read_only("FOR UPDATE or SHARE"))
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<QueryError> {
        self.size.selected(select)?;
        match &select.into {
            None => proceed(dropped::select(select)),
            Some(_) => ControlFlow::Break(read_only("SELECT INTO")),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<QueryError> {
        proceed(dropped::expression(expr))?;
        self.size.expression(expr)
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<QueryError> {
        self.size.leave(query)
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<QueryError> {
        self.size.table()?;
        proceed(dropped::table(table))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<QueryError> {
        let name = relation.to_string();
        self.size.relation(&name);
        if looks_like_a_file(&name) {
            return ControlFlow::Break(QueryError::Denied(format!(
                "Footfall's SQL reads no files; {name} is not a table. Tables are listed by SHOW TABLES"
            )));
        }
        if self.limited && name.to_lowercase().contains(SETTINGS) {
            return ControlFlow::Break(QueryError::Denied(
                "the server's settings need a token that reaches all sites".into(),
            ));
        }
        ControlFlow::Continue(())
    }
}

fn proceed(checked: Result<(), QueryError>) -> ControlFlow<QueryError> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    }
}

fn looks_like_a_file(name: &str) -> bool {
    const ENDINGS: [&str; 8] = ["parquet", "csv", "tsv", "json", "ndjson", "jsonl", "arrow", "avro"];
    let name = name.to_lowercase();
    let bare = name.trim_end_matches(['\'', '"', '`']);
    name.contains('\'') || name.contains('/') || ENDINGS.iter().any(|ending| bare.ends_with(&format!(".{ending}")))
}
