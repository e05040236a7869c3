//! `?` becomes `$1`, `$2`…: DataFusion knows only the numbered form, JDBC and ODBC only the other one.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::QueryError;

/// Numbers the `?` of a statement in order. Those in text, comments and quoted names are not tokens.
pub(super) fn number(tokens: &mut [TokenWithSpan]) -> Result<(), QueryError> {
    let (mut anonymous, mut numbered) = (0_usize, false);
    for TokenWithSpan { token, .. } in tokens {
        match token {
            Token::Placeholder(name) if name == "?" => {
                anonymous += 1;
                *name = format!("${anonymous}");
            }
            Token::Placeholder(name) => {
                if let Some(digits) = name.strip_prefix('?') {
                    *name = format!("${digits}");
                }
                numbered = true;
            }
            _ => {}
        }
    }
    if anonymous > 0 && numbered {
        return Err(QueryError::Invalid(
            "the statement mixes ? with numbered parameters; use one of them".into(),
        ));
    }
    Ok(())
}
