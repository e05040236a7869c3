//! The values of a condition: as many as its operator takes, each of its column's type.

use serde_json::Value as Json;

use super::super::column::Column;
use super::super::dates;
use super::Operator;
use crate::problem::Problem;
use crate::statement::Value;
use crate::vocabulary::Kind;

/// Those that `given` has for the operator, of the column's type.
pub(super) fn of(
    column: &Column,
    operator: Operator,
    name: &str,
    given: &Json,
    field: &str,
) -> Result<Vec<Option<Value>>, Problem> {
    let list = match given {
        Json::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let wrong = |detail: String| Err(Problem::invalid(field, detail));
    match operator {
        Operator::IsNull => return Ok(Vec::new()),
        Operator::In if list.is_empty() => return wrong(format!("`{name}` needs at least one value")),
        Operator::In => {}
        Operator::Between if list.len() != 2 => return wrong(format!("`{name}` needs a list of two values")),
        Operator::Between => {}
        _ if list.len() != 1 => return wrong(format!("`{name}` needs one value")),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith | Operator::Matches => {
            if column.kind() != Kind::Text {
                return wrong(format!("`{name}` is for text, which `{}` is not", column.name()));
            }
        }
        Operator::Compare(_) => {}
    }
    let kind = match operator {
        Operator::Compare(_) | Operator::Between => column.number_kind(),
        _ => Some(column.kind()),
    };
    let Some(kind) = kind else {
        return wrong(format!(
            "`{name}` is for numbers and times, which `{}` is not",
            column.name()
        ));
    };
    let null_allowed = operator == Operator::In;
    list.iter()
        .map(|value| typed(value, kind, null_allowed, column, field))
        .collect()
}

fn typed(given: &Json, kind: Kind, null: bool, column: &Column, field: &str) -> Result<Option<Value>, Problem> {
    let value = match (kind, given) {
        (_, Json::Null) if null => return Ok(None),
        (Kind::Text, Json::String(text)) => Some(Value::Text(text.clone())),
        (Kind::Text, Json::Number(number)) => Some(Value::Text(number.to_string())),
        (Kind::Text, Json::Bool(boolean)) => Some(Value::Text(boolean.to_string())),
        (Kind::Boolean, Json::Bool(boolean)) => Some(Value::Boolean(*boolean)),
        (Kind::Integer, Json::Number(number)) => number.as_i64().map(Value::Integer),
        (Kind::Number, Json::Number(number)) => number.as_f64().map(Value::Number),
        (Kind::Date, Json::String(text)) => dates::date(text).map(Value::Date),
        (Kind::Time, Json::String(text)) => dates::time(text).map(Value::Time),
        _ => None,
    };
    let expected = match kind {
        Kind::Text => "text",
        Kind::Boolean => "true or false",
        Kind::Integer => "a whole number",
        Kind::Number => "a number",
        Kind::Date => "a date such as \"2026-01-31\"",
        Kind::Time => "a time such as \"2026-01-31T10:00:00Z\"",
    };
    let wrong = || Problem::invalid(field, format!("`{}` is compared with {expected}", column.name()));
    value.map(Some).ok_or_else(wrong)
}
