//! Bounds the depth of a statement's syntax tree from its tokens alone.
//!
//! The parser bounds parentheses. But `1+1+1+…` is one level of them and a tree as deep as it is long, and trees are
//! copied, compared, evaluated and freed recursively: a tree that is too deep would overflow the stack.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::QueryError;

/// Maximum length of a chain of operators. In unoptimized code a level takes up to 5 KB of a worker's 2 MB of stack.
pub(super) const MAX_DEPTH: usize = 200;

pub(super) fn judge(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let depth = depth(tokens.iter().map(|t| &t.token));
    if depth > MAX_DEPTH {
        return Err(QueryError::Limit(format!(
            "the SQL chains {depth} operators; {MAX_DEPTH} are allowed. Write x IN (…) instead of x = … OR x = …"
        )));
    }
    Ok(())
}

/// An upper bound of the depth of the tree.
fn depth<'a>(tokens: impl Iterator<Item = &'a Token>) -> usize {
    let mut open: Vec<Level> = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.tight += 1;
                open.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                if let Some(outer) = open.pop() {
                    level = outer.around(&level);
                }
            }
            Token::Comma => level.next_item(),
            Token::Word(word) if is_loose(word.keyword) => level.or(),
            Token::Word(word) if word.keyword == Keyword::AND => level.and(),
            other if chains(other) => level.tight += 1,
            _ => {}
        }
    }
    open.into_iter()
        .rfold(level, |level, outer| outer.around(&level))
        .depth()
}

/// One pair of parentheses. `a OR b AND c = d`: a chain of loose operators holds chains of AND, which hold chains of
/// tight ones, and each chain is as deep as it is long.
#[derive(Default)]
struct Level {
    /// The deepest list item before this one.
    items: usize,
    ors: usize,
    ands: usize,
    tight: usize,
    /// Depth of the deepest parentheses in the current chain of tight operators.
    nested: usize,
    most_ands: usize,
    most_tight: usize,
}

impl Level {
    fn or(&mut self) {
        self.and();
        self.most_ands = self.most_ands.max(self.ands - 1);
        self.ands = 0;
        self.ors += 1;
    }

    fn and(&mut self) {
        self.most_tight = self.most_tight.max(self.tight + self.nested);
        (self.tight, self.nested) = (0, 0);
        self.ands += 1;
    }

    fn next_item(&mut self) {
        *self = Self {
            items: self.depth(),
            ..Self::default()
        };
    }

    fn around(mut self, inner: &Self) -> Self {
        self.nested = self.nested.max(inner.depth());
        self
    }

    fn depth(&self) -> usize {
        let tight = self.most_tight.max(self.tight + self.nested);
        self.items.max(self.ors + self.most_ands.max(self.ands) + tight)
    }
}

/// Binds at most as tightly as OR.
fn is_loose(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::OR
            | Keyword::XOR
            | Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::MINUS
            | Keyword::JOIN
    )
}

fn chains(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::IS
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
                | Keyword::NOTNULL
                | Keyword::ARRAY
        ),
        Token::Number(..)
        | Token::Char(_)
        | Token::Whitespace(_)
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

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::super::dialect::Sql;
    use super::*;

    fn of(sql: &str) -> usize {
        let tokens = Tokenizer::new(&Sql, sql).tokenize().unwrap();
        depth(tokens.iter())
    }

    #[test]
    fn chains_and_parentheses_add_depth() {
        assert_eq!(of("SELECT 1"), 0);
        assert_eq!(of("SELECT 1 + 1 + 1"), 2);
        assert_eq!(of("SELECT ((1))"), 2);
        assert_eq!(of("SELECT 1 + 1, 2 + 2, 3 + 3"), 1);
        assert_eq!(of("SELECT 1 + f(2 + 2, 3 + 3 + 3)"), 4);
        assert_eq!(of("SELECT x FROM t WHERE x IN (1, 2, 3, 4) AND y = 'a + b -- c'"), 3);
        assert_eq!(of(&format!("SELECT 1{}", "::int".repeat(40))), 40);
        assert_eq!(of("SELECT a = 1 OR b = 2 OR c = 3 OR d = 4"), 4);
        assert_eq!(of("SELECT a = 1 + 1 AND b = 2 OR c = 3 AND d = 4 AND e = 5"), 5);
        assert_eq!(of("SELECT (1 + 1 + 1) + 1 + 1 OR x"), 6);
    }

    #[test]
    fn stray_brackets_keep_the_count() {
        assert_eq!(of(")))1 + 1((("), 4);
    }
}
