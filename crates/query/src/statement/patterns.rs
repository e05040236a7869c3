//! LIKE with any escape character, and SIMILAR TO: DataFusion knows LIKE with a backslash and regular expressions.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan};

use super::rewrite::{call, take};
use crate::QueryError;
use crate::functions::{DEFAULT_ESCAPE, escape_character, like_escape, similar_to_escape};

type Translate = fn(&str, Option<char>) -> Result<String, QueryError>;

/// Rewrites `expr` if it is one of these. Fails if the pattern is constant and wrong.
pub(super) fn rewrite(expr: &mut Expr) -> Result<(), QueryError> {
    match expr {
        Expr::Like {
            any: false,
            pattern,
            escape_char,
            ..
        }
        | Expr::ILike {
            any: false,
            pattern,
            escape_char,
            ..
        } => {
            if let Some(escape) = escape_char.take().map(escape_of).transpose()? {
                **pattern = translated(take(pattern), escape, "like_escape", like_escape)?;
            }
            Ok(())
        }
        Expr::SimilarTo {
            negated,
            expr: text,
            pattern,
            escape_char,
        } => {
            let escape = match escape_char.take() {
                Some(escape) => escape_of(escape)?,
                None => Some(DEFAULT_ESCAPE),
            };
            let regex = translated(take(pattern), escape, "similar_to_escape", similar_to_escape)?;
            let op = match negated {
                false => BinaryOperator::PGRegexMatch,
                true => BinaryOperator::PGRegexNotMatch,
            };
            let left = Box::new(take(text));
            let right = Box::new(regex);
            *expr = Expr::BinaryOp { left, op, right };
            Ok(())
        }
        _ => Ok(()),
    }
}

fn escape_of(written: ValueWithSpan) -> Result<Option<char>, QueryError> {
    match written.value {
        Value::SingleQuotedString(text) => escape_character(&text),
        other => Err(QueryError::Invalid(format!(
            "ESCAPE takes one character in quotes, not {other}"
        ))),
    }
}

fn translated(pattern: Expr, escape: Option<char>, function: &str, translate: Translate) -> Result<Expr, QueryError> {
    let text = |text: String| Expr::Value(Value::SingleQuotedString(text).into());
    match pattern {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(pattern),
            ..
        }) => Ok(text(translate(&pattern, escape)?)),
        other => {
            let escape = escape.map_or_else(String::new, String::from);
            Ok(call(function, [other, text(escape)]))
        }
    }
}
