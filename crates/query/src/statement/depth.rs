//! How deep a statement's tree can get, from its tokens alone.
//!
//! The parser bounds parentheses. But `1+1+1+…` is one level of them and a tree as deep as it is long, and trees are
//! copied, compared, evaluated and freed recursively: too deep a one would overflow the stack.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::QueryError;

/// Deepest chain of operators.
pub(super) const MAX_DEPTH: usize = 500;

/// Most tables, joined or united, that a statement may read.
const MAX_SELECTS: usize = 128;

pub(super) fn judge(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let depth = depth(tokens.iter().map(|t| &t.token));
    if depth > MAX_DEPTH {
        return Err(QueryError::Limit(format!(
            "the SQL chains {depth} operators; {MAX_DEPTH} are allowed (IN (…) takes as many values as you like)"
        )));
    }
    let selects = tokens.iter().filter(|t| starts_relation(&t.token)).count();
    if selects > MAX_SELECTS {
        return Err(QueryError::Limit(format!(
            "the SQL has {selects} SELECT, FROM and JOIN; {MAX_SELECTS} are allowed"
        )));
    }
    Ok(())
}

/// An upper bound of the depth of the tree: operators since the last comma, on every open level of parentheses.
fn depth<'a>(tokens: impl Iterator<Item = &'a Token>) -> usize {
    let mut levels = vec![0_usize];
    let (mut open, mut deepest) = (0, 0);
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(0),
            Token::RParen | Token::RBracket | Token::RBrace => {
                open -= levels.pop().unwrap_or(0);
                if levels.is_empty() {
                    levels.push(0);
                }
            }
            Token::Comma => {
                if let Some(level) = levels.last_mut() {
                    open -= *level;
                    *level = 0;
                }
            }
            other if chains(other) => {
                if let Some(level) = levels.last_mut() {
                    *level += 1;
                    open += 1;
                }
            }
            _ => {}
        }
        deepest = deepest.max(open + levels.len() - 1);
    }
    deepest
}

fn chains(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::IS
                | Keyword::IN
                | Keyword::BETWEEN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::REGEXP
                | Keyword::RLIKE
                | Keyword::DIV
                | Keyword::MOD
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::OVERLAPS
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::MINUS
                | Keyword::JOIN
        ),
        Token::Number(..)
        | Token::Char(_)
        | Token::Whitespace(_)
        | Token::Period
        | Token::Colon
        | Token::SemiColon
        | Token::Placeholder(_)
        | Token::EOF => false,
        other => !is_text(other),
    }
}

fn is_text(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::TripleSingleQuotedByteStringLiteral(_)
            | Token::TripleDoubleQuotedByteStringLiteral(_)
            | Token::SingleQuotedRawStringLiteral(_)
            | Token::DoubleQuotedRawStringLiteral(_)
            | Token::TripleSingleQuotedRawStringLiteral(_)
            | Token::TripleDoubleQuotedRawStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::QuoteDelimitedStringLiteral(_)
            | Token::NationalQuoteDelimitedStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
    )
}

fn starts_relation(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(word.keyword, Keyword::SELECT | Keyword::FROM | Keyword::JOIN | Keyword::VALUES))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn of(sql: &str) -> usize {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap();
        depth(tokens.iter())
    }

    #[test]
    fn chains_and_parentheses_deepen_and_lists_do_not() {
        assert_eq!(of("SELECT 1"), 0);
        assert_eq!(of("SELECT 1 + 1 + 1"), 2);
        assert_eq!(of("SELECT ((1))"), 2);
        assert_eq!(of("SELECT 1 + 1, 2 + 2, 3 + 3"), 1);
        assert_eq!(of("SELECT 1 + f(2 + 2, 3 + 3 + 3)"), 4);
        assert_eq!(of("SELECT x FROM t WHERE x IN (1, 2, 3, 4) AND y = 'a + b -- c'"), 3);
        assert_eq!(of(&format!("SELECT 1{}", "::int".repeat(40))), 40);
    }

    #[test]
    fn stray_brackets_do_not_upset_the_count() {
        assert_eq!(of(")))1 + 1((("), 4);
    }
}
