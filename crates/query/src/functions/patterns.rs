//! Patterns of LIKE and SIMILAR TO in the forms that DataFusion knows: LIKE with backslash escapes, regular expressions.
//!
//! PostgreSQL has functions of the same names for the same purpose.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::bounded::Bounded;
use super::growth::Growth;
use crate::QueryError;

/// The escape character that holds where none is written.
pub(crate) const DEFAULT_ESCAPE: char = '\\';

/// Both for patterns that are no constants.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [Operator::Like, Operator::SimilarTo]
        .map(|operator| {
            let function = Arc::new(ScalarUDF::new_from_impl(PatternFunction::new(operator)));
            Arc::new(ScalarUDF::new_from_impl(Bounded::new(function, Growth::Product)))
        })
        .into()
}

/// The one character of ESCAPE; `None` for ESCAPE '', after which nothing is escaped.
pub(crate) fn escape_character(text: &str) -> Result<Option<char>, QueryError> {
    let mut characters = text.chars();
    let first = characters.next();
    match characters.next() {
        None => Ok(first),
        Some(_) => Err(QueryError::Invalid(format!(
            "ESCAPE takes one character or none, not '{text}'"
        ))),
    }
}

/// The LIKE pattern with backslashes in place of `escape`.
pub(crate) fn like_escape(pattern: &str, escape: Option<char>) -> Result<String, QueryError> {
    let mut made = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let literal = if Some(character) == escape {
            characters.next().ok_or_else(|| ends_with_escape("LIKE"))?
        } else if character == DEFAULT_ESCAPE {
            character
        } else {
            made.push(character);
            continue;
        };
        if matches!(literal, '%' | '_' | DEFAULT_ESCAPE) {
            made.push(DEFAULT_ESCAPE);
        }
        made.push(literal);
    }
    Ok(made)
}

/// A regular expression that matches what the SIMILAR TO pattern matches: the whole text.
pub(crate) fn similar_to_escape(pattern: &str, escape: Option<char>) -> Result<String, QueryError> {
    let mut made = String::from("(?s)^(?:");
    let (mut in_brackets, mut in_braces) = (false, false);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let literal = characters.next().ok_or_else(|| ends_with_escape("SIMILAR TO"))?;
            push_literal(&mut made, literal);
            continue;
        }
        match character {
            ']' if in_brackets => {
                in_brackets = false;
                made.push(']');
            }
            '^' | '-' if in_brackets => made.push(character),
            other if in_brackets => push_literal(&mut made, other),
            '[' => {
                in_brackets = true;
                made.push('[');
            }
            ',' if in_braces => made.push(','),
            '{' | '}' => {
                in_braces = character == '{';
                made.push(character);
            }
            '%' => made.push_str(".*"),
            '_' => made.push('.'),
            '(' => made.push_str("(?:"),
            ')' | '|' | '*' | '+' | '?' => made.push(character),
            other => push_literal(&mut made, other),
        }
    }
    made.push_str(")$");
    Ok(made)
}

fn push_literal(made: &mut String, character: char) {
    // `\<` and `\>` are boundaries of words.
    if character.is_ascii_punctuation() && !matches!(character, '<' | '>') {
        made.push('\\');
    }
    made.push(character);
}

fn ends_with_escape(operator: &str) -> QueryError {
    QueryError::Invalid(format!(
        "the pattern of {operator} ends with its escape character; double it to match the character itself"
    ))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Like,
    SimilarTo,
}

/// `f(pattern, escape)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PatternFunction {
    operator: Operator,
    signature: Signature,
}

impl PatternFunction {
    fn new(operator: Operator) -> Self {
        Self {
            operator,
            signature: Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable),
        }
    }

    fn translate(&self, pattern: Option<&str>, escape: Option<&str>) -> Result<Option<String>> {
        let (Some(pattern), Some(escape)) = (pattern, escape) else {
            return Ok(None);
        };
        let translated = escape_character(escape).and_then(|escape| match self.operator {
            Operator::Like => like_escape(pattern, escape),
            Operator::SimilarTo => similar_to_escape(pattern, escape),
        });
        translated
            .map(Some)
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

impl ScalarUDFImpl for PatternFunction {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Like => "like_escape",
            Operator::SimilarTo => "similar_to_escape",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [patterns, escapes] = ColumnarValue::values_to_arrays(&arguments.args)?
            .try_into()
            .or_else(|_| internal_err!("{} has two arguments", self.name()))?;
        let translated: StringArray = patterns
            .as_string::<i32>()
            .iter()
            .zip(escapes.as_string::<i32>())
            .map(|(pattern, escape)| self.translate(pattern, escape))
            .collect::<Result<_>>()?;
        let translated: ArrayRef = Arc::new(translated);
        let constant = arguments
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&translated, 0)?),
            false => ColumnarValue::Array(translated),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_escapes_become_backslashes() {
        for (pattern, escape, expected) in [
            ("10!%", Some('!'), r"10\%"),
            ("a!_b%", Some('!'), r"a\_b%"),
            ("!!", Some('!'), "!"),
            ("!a", Some('!'), "a"),
            (r"a\b", Some('!'), r"a\\b"),
            (r"a!\b", Some('!'), r"a\\b"),
            (r"a\%", None, r"a\\%"),
            (r"a\%", Some('\\'), r"a\%"),
            ("aéé%", Some('é'), "aé%"),
        ] {
            assert_eq!(like_escape(pattern, escape).unwrap(), expected, "{pattern}");
        }
        assert!(like_escape("10!", Some('!')).is_err());
    }

    #[test]
    fn similar_to_becomes_anchored_regex() {
        for (pattern, escape, expected) in [
            ("abc", Some('\\'), "(?s)^(?:abc)$"),
            ("%(b|d)%", Some('\\'), "(?s)^(?:.*(?:b|d).*)$"),
            ("a_c", Some('\\'), "(?s)^(?:a.c)$"),
            ("a.c^$", Some('\\'), r"(?s)^(?:a\.c\^\$)$"),
            (r"100\%", Some('\\'), r"(?s)^(?:100\%)$"),
            ("100!%", Some('!'), r"(?s)^(?:100\%)$"),
            (r"a\d", Some('!'), r"(?s)^(?:a\\d)$"),
            ("[a-c%]{2}", Some('\\'), r"(?s)^(?:[a-c\%]{2})$"),
            ("<a>/", Some('\\'), r"(?s)^(?:<a>\/)$"),
            ("[0-9]{1,2},", Some('\\'), r"(?s)^(?:[0-9]{1,2}\,)$"),
            ("[^a]+", Some('\\'), "(?s)^(?:[^a]+)$"),
        ] {
            assert_eq!(similar_to_escape(pattern, escape).unwrap(), expected, "{pattern}");
        }
        assert!(similar_to_escape(r"a\", Some('\\')).is_err());
    }

    #[test]
    fn escape_is_one_character() {
        assert_eq!(escape_character("!").unwrap(), Some('!'));
        assert_eq!(escape_character("é").unwrap(), Some('é'));
        assert_eq!(escape_character("").unwrap(), None);
        assert!(escape_character("!!").is_err());
    }
}
