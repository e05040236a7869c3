//! What SQL may say: one statement, and it reads.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as Sql};

use crate::QueryError;

/// Longer texts are mistakes or attacks.
const SQL_BYTES: usize = 1_024 * 1_024;

const READ_ONLY: &str = "Footfall's SQL is read-only: SELECT, WITH, VALUES, EXPLAIN, SHOW and DESCRIBE. Events come in \
                         over POST /api/v1/events";

/// The one statement of `sql`, if it only reads.
pub(crate) fn parse(sql: &str) -> Result<Statement, QueryError> {
    if sql.len() > SQL_BYTES {
        return Err(QueryError::Limit(format!(
            "the SQL is {} bytes long; at most {SQL_BYTES} are taken",
            sql.len()
        )));
    }
    let mut parser = DFParserBuilder::new(sql).build()?;
    let mut statements = parser.parse_statements()?;
    match (statements.pop_front(), statements.len()) {
        (None, _) => Err(QueryError::Invalid("there is no SQL".into())),
        (Some(statement), 0) => check(statement),
        (Some(_), more) => Err(QueryError::Invalid(format!(
            "there are {} statements; send one at a time",
            more + 1
        ))),
    }
}

fn check(statement: Statement) -> Result<Statement, QueryError> {
    if reads(&statement) {
        return Ok(statement);
    }
    let text = statement.to_string();
    let what = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Err(QueryError::Denied(format!("{what} is refused. {READ_ONLY}")))
}

fn reads(statement: &Statement) -> bool {
    match statement {
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::Statement(sql) => sql_reads(sql),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    }
}

fn sql_reads(sql: &Sql) -> bool {
    match sql {
        Sql::Query(query) => query_reads(&query.body) && query.locks.is_empty(),
        Sql::Explain { statement, .. } => sql_reads(statement),
        Sql::ExplainTable { .. }
        | Sql::ShowTables { .. }
        | Sql::ShowColumns { .. }
        | Sql::ShowVariable { .. }
        | Sql::ShowFunctions { .. }
        | Sql::ShowCreate { .. } => true,
        _ => false,
    }
}

fn query_reads(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => query_reads(&query.body),
        SetExpr::SetOperation { left, right, .. } => query_reads(left) && query_reads(right),
        SetExpr::Values(_) | SetExpr::Table(_) => true,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => false,
    }
}
