//! What SQL may say: one statement, and it reads.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{SetExpr, Statement as Sql};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::QueryError;

/// Longer texts are mistakes or attacks.
const SQL_BYTES: usize = 1_024 * 1_024;

/// Chains such as `a + b + c` become trees as deep as they are long, and trees are walked by recursion.
const OPERATORS: usize = 1_000;

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
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|e| QueryError::Invalid(e.to_string()))?;
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators > OPERATORS {
        return Err(QueryError::Limit(format!(
            "the SQL has {operators} operators; at most {OPERATORS} are taken. Long lists of values go into IN (…)"
        )));
    }
    let mut parser = DFParserBuilder::new(tokens).build()?;
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

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::UNION | Keyword::JOIN),
        Token::EOF
        | Token::Number(..)
        | Token::Char(_)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::LParen
        | Token::RParen
        | Token::Period
        | Token::SemiColon
        | Token::Placeholder(_) => false,
        _ => true,
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
