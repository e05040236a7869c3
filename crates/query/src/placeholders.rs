//! `?` as `$1`, `$2`…: JDBC and ODBC write the former, the planner reads the latter.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::QueryError;

/// `sql` with its question marks numbered; those in strings, comments and quoted names are left alone.
pub(crate) fn number(sql: &str) -> Result<String, QueryError> {
    if !sql.contains('?') {
        return Ok(sql.to_owned());
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|e| QueryError::Invalid(e.to_string()))?;
    let marks: Vec<Location> = tokens
        .iter()
        .filter(|token| token.token == Token::Placeholder("?".into()))
        .map(|token| token.span.start)
        .collect();
    let numbered = tokens
        .iter()
        .any(|token| matches!(&token.token, Token::Placeholder(name) if name.starts_with('$')));
    if numbered && !marks.is_empty() {
        return Err(QueryError::Invalid(
            "use either ? or $1, $2… for parameters, not both".into(),
        ));
    }
    let mut marks = marks.into_iter().zip(1..).peekable();
    let mut out = String::with_capacity(sql.len() + 16);
    let (mut line, mut column) = (1, 1);
    for character in sql.chars() {
        match marks.next_if(|(at, _)| (at.line, at.column) == (line, column)) {
            Some((_, number)) => out.push_str(&format!("${number}")),
            None => out.push(character),
        }
        if character == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_numbered_in_their_order_and_only_where_they_are_marks() {
        let numbered = |sql: &str| number(sql).unwrap();
        assert_eq!(numbered("SELECT ? + ?"), "SELECT $1 + $2");
        assert_eq!(numbered("SELECT '?', \"?\" -- ?\n, ?"), "SELECT '?', \"?\" -- ?\n, $1");
        assert_eq!(numbered("SELECT 'é?\n?', ?"), "SELECT 'é?\n?', $1");
        assert_eq!(numbered("SELECT $1"), "SELECT $1");
        assert!(number("SELECT ? + $2").is_err());
    }
}
