//! From text to one statement that may run.
//!
//! ```text
//! text -> tokens (not too long, not too deep) -> `?` numbered -> parsed, one -> rewritten -> allowed (see `policy`)
//! ```

mod cohorts;
mod depth;
mod dialect;
mod dropped;
mod parametric;
mod patterns;
mod placeholders;
mod policy;
mod rewrite;
mod sampling;
mod size;
mod time_patterns;

pub(crate) use sampling::last_hash;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::tokenizer::{Tokenizer, TokenizerError};
use footfall_model::access::SiteScope;

use crate::QueryError;
use crate::session::MAX_NESTING;

/// Longest SQL text, bytes.
const MAX_TEXT: usize = 1024 * 1024;

/// A statement that may run.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) statement: Statement,
    /// The shares of visitors that its samples read.
    pub(crate) samples: Vec<f64>,
}

/// The one statement in `sql`, if `sites` may run it.
pub(crate) fn parse(sql: &str, sites: &SiteScope) -> Result<Parsed, QueryError> {
    if sql.len() > MAX_TEXT {
        return Err(QueryError::Limit(format!(
            "the SQL is {} bytes long; {MAX_TEXT} are allowed",
            sql.len()
        )));
    }
    let mut tokens = Tokenizer::new(&dialect::Sql, sql).tokenize_with_location().map_err(
        |TokenizerError { message, location }| QueryError::Invalid(format!("SQL syntax: {message}{location}")),
    )?;
    depth::judge(&tokens)?;
    placeholders::number(&mut tokens)?;
    let mut statements = DFParserBuilder::new(tokens)
        .with_dialect(&dialect::Sql)
        .with_recursion_limit(MAX_NESTING)
        .build()?
        .parse_statements()?;
    let mut statement = statements
        .pop_front()
        .ok_or_else(|| QueryError::Invalid("there is no SQL statement in the text".into()))?;
    if !statements.is_empty() {
        return Err(QueryError::Invalid(format!(
            "the text holds {} SQL statements; send one at a time",
            statements.len() + 1
        )));
    }
    let samples = rewrite::rewrite(&mut statement)?;
    policy::judge(&statement, sites)?;
    Ok(Parsed { statement, samples })
}

#[cfg(test)]
mod tests;
