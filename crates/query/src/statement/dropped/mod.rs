//! Refuses what the parser accepts and DataFusion's planner drops, and says what to write instead.
//!
//! Nodes of the syntax tree are destructured field by field, without `..`, so that a field of a newer sqlparser does
//! not compile before it has been reviewed what the planner makes of it. What the planner itself refuses is left to it.

mod data_type;
mod expression;
mod function;
mod query;
mod select;
mod table;

use std::fmt::Display;

use datafusion::sql::sqlparser::ast::Statement;

pub(super) use expression::expression;
pub(super) use query::query;
pub(super) use select::select;
pub(super) use table::table;

use crate::QueryError;

type Checked = Result<(), QueryError>;

fn refused(clause: impl Display, instead: &str) -> Checked {
    Err(QueryError::Unsupported(format!(
        "{clause} is not supported, and is not ignored either: {instead}"
    )))
}

/// Refuses `clause` if it is `present`.
fn absent(present: bool, clause: impl Display, instead: &str) -> Checked {
    if present { refused(clause, instead) } else { Ok(()) }
}

/// Checks what DESCRIBE can carry. The other read-only statements have no clause that is dropped.
pub(super) fn statement(statement: &Statement) -> Checked {
    match statement {
        Statement::ExplainTable {
            describe_alias: _,
            hive_format,
            has_table_keyword: _,
            table_name: _,
        } => absent(
            hive_format.is_some(),
            "EXTENDED or FORMATTED",
            "write DESCRIBE and the table's name",
        ),
        Statement::Explain {
            describe_alias: _,
            analyze,
            verbose,
            query_plan,
            estimate,
            statement: _,
            format,
            options,
        } => absent(
            *analyze || *verbose || *query_plan || *estimate || format.is_some() || options.is_some(),
            "an option of DESCRIBE",
            "write EXPLAIN for a plan, DESCRIBE and the query for its columns",
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
