//! Filters: the short form (`{"country": "US", "device": ["desktop", "mobile"]}`), operators
//! (`{"page_path": {"starts_with": "/blog"}}`) and nesting (`{"or": [{…}, {"not": {…}}]}`).

use serde_json::{Map, Value as Json};

use super::column::Column;
use super::dates;
use crate::problem::{Problem, printable};
use crate::statement::{Statement, Value};
use crate::vocabulary::{Base, Kind};

/// Limits of one filter: the planner's work grows with them.
const MAX_CONDITIONS: usize = 100;
const MAX_VALUES: usize = 1_000;
const MAX_DEPTH: usize = 10;

/// What a column is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    In,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Compare(&'static str),
    Between,
    IsNull,
}

/// All operators by name, and whether the name negates.
pub(crate) const OPERATORS: [(&str, Operator, bool); 20] = [
    ("is", Operator::In, false),
    ("is_not", Operator::In, true),
    ("in", Operator::In, false),
    ("not_in", Operator::In, true),
    ("contains", Operator::Contains, false),
    ("not_contains", Operator::Contains, true),
    ("starts_with", Operator::StartsWith, false),
    ("not_starts_with", Operator::StartsWith, true),
    ("ends_with", Operator::EndsWith, false),
    ("not_ends_with", Operator::EndsWith, true),
    ("matches", Operator::Matches, false),
    ("not_matches", Operator::Matches, true),
    ("gt", Operator::Compare(">"), false),
    ("gte", Operator::Compare(">="), false),
    ("lt", Operator::Compare("<"), false),
    ("lte", Operator::Compare("<="), false),
    ("between", Operator::Between, false),
    ("not_between", Operator::Between, true),
    ("is_null", Operator::IsNull, false),
    ("is_not_null", Operator::IsNull, true),
];

/// Which rows count.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// Also true where the inner one is unknown, for lack of a value.
    Not(Box<Condition>),
    Test {
        column: Column,
        operator: Operator,
        /// `None` is null.
        values: Vec<Option<Value>>,
        /// Where in the request it stands.
        field: String,
    },
}

/// Counts what is parsed.
#[derive(Default)]
struct Size {
    conditions: usize,
    values: usize,
}

impl Condition {
    /// `None` if everything counts.
    pub(crate) fn parse(given: &Json) -> Result<Option<Self>, Problem> {
        let Json::Object(filters) = given else {
            return Err(Problem::invalid("filters", "expected an object: {\"country\": \"US\"}"));
        };
        if filters.is_empty() {
            return Ok(None);
        }
        all(filters, "filters", 0, &mut Size::default()).map(Some)
    }

    /// The columns that it names, and where.
    pub(crate) fn columns(&self) -> Vec<(&Column, &str)> {
        match self {
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::columns).collect(),
            Self::Not(inner) => inner.columns(),
            Self::Test { column, field, .. } => vec![(column, field)],
        }
    }

    /// Over the rows of `base`.
    pub(crate) fn sql(&self, base: Base, zone: &str) -> Statement {
        match self {
            Self::All(inner) => joined(inner, " AND ", base, zone),
            Self::Any(inner) => joined(inner, " OR ", base, zone),
            Self::Not(inner) => {
                let mut statement = Statement::new("(");
                statement.append(inner.sql(base, zone)).sql(") IS NOT TRUE");
                statement
            }
            Self::Test {
                column,
                operator,
                values,
                ..
            } => test(column, *operator, values, base, zone),
        }
    }
}

fn joined(conditions: &[Condition], by: &str, base: Base, zone: &str) -> Statement {
    let mut statement = Statement::new("(");
    for (index, condition) in conditions.iter().enumerate() {
        if index > 0 {
            statement.sql(by);
        }
        statement.append(condition.sql(base, zone));
    }
    statement.sql(")");
    statement
}

fn test(column: &Column, operator: Operator, values: &[Option<Value>], base: Base, zone: &str) -> Statement {
    let numeric = matches!(operator, Operator::Compare(_) | Operator::Between);
    let subject = if numeric {
        column.number_sql(base, zone)
    } else {
        column.sql(base, zone)
    };
    let bound: Vec<&Value> = values.iter().flatten().collect();
    let call = |name: &str| {
        let mut statement = Statement::new(format!("{name}("));
        statement.append(subject.clone()).sql(", ");
        for value in &bound {
            statement.bind((*value).clone());
        }
        statement.sql(")");
        statement
    };
    let infix = |operators: &[&str]| {
        let mut statement = subject.clone();
        for (operator, value) in operators.iter().zip(&bound) {
            statement.sql(format!(" {operator} ")).bind((*value).clone());
        }
        statement
    };
    match operator {
        Operator::In => one_of(&subject, &bound, values.contains(&None)),
        Operator::Contains => call("contains"),
        Operator::StartsWith => call("starts_with"),
        Operator::EndsWith => call("ends_with"),
        Operator::Matches => infix(&["~"]),
        Operator::Compare(sign) => infix(&[sign]),
        Operator::Between => infix(&["BETWEEN", "AND"]),
        Operator::IsNull => one_of(&subject, &[], true),
    }
}

fn one_of(subject: &Statement, values: &[&Value], or_null: bool) -> Statement {
    let mut statement = Statement::new("(");
    match values {
        [] => {}
        [value] => {
            statement.append(subject.clone()).sql(" = ").bind((*value).clone());
        }
        values => {
            statement.append(subject.clone()).sql(" IN (");
            for (index, value) in values.iter().enumerate() {
                statement.sql(if index > 0 { ", " } else { "" }).bind((*value).clone());
            }
            statement.sql(")");
        }
    }
    if or_null {
        statement.sql(if values.is_empty() { "" } else { " OR " });
        statement.append(subject.clone()).sql(" IS NULL");
    }
    statement.sql(")");
    statement
}

/// All entries of an object hold.
fn all(filters: &Map<String, Json>, field: &str, depth: usize, size: &mut Size) -> Result<Condition, Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem::invalid(
            field,
            format!("filters nest more than {MAX_DEPTH} levels deep"),
        ));
    }
    if let (Some(Json::String(name)), Some(Json::String(operator))) = (filters.get("field"), filters.get("operator")) {
        if let Some(other) = filters
            .keys()
            .find(|key| !["field", "operator", "value"].contains(&key.as_str()))
        {
            return Err(Problem::unknown(field, "key", other, ["field", "operator", "value"]));
        }
        let column = Column::parse(name, &format!("{field}.field"))?;
        return operation(
            &column,
            operator,
            filters.get("value").unwrap_or(&Json::Null),
            field,
            size,
        );
    }
    let mut conditions = Vec::new();
    for (key, value) in filters {
        let inner = format!("{field}.{}", printable(key));
        conditions.push(match (key.as_str(), value) {
            ("and", Json::Array(list)) => Condition::All(several(list, &inner, depth, size)?),
            ("or", Json::Array(list)) => Condition::Any(several(list, &inner, depth, size)?),
            ("not", Json::Object(negated)) => Condition::Not(Box::new(all(negated, &inner, depth + 1, size)?)),
            ("and" | "or", _) => return Err(Problem::invalid(inner, "expected a list of filters")),
            ("not", _) => return Err(Problem::invalid(inner, "expected a filter: an object")),
            (name, value) => entry(&Column::parse(name, &inner)?, value, &inner, size)?,
        });
    }
    match conditions.len() {
        0 => Err(Problem::invalid(field, "the filter is empty")),
        1 => Ok(conditions.remove(0)),
        _ => Ok(Condition::All(conditions)),
    }
}

fn several(list: &[Json], field: &str, depth: usize, size: &mut Size) -> Result<Vec<Condition>, Problem> {
    if list.is_empty() {
        return Err(Problem::invalid(field, "the list is empty"));
    }
    let each = list.iter().enumerate().map(|(index, filter)| {
        let field = format!("{field}[{index}]");
        match filter {
            Json::Object(filters) => all(filters, &field, depth + 1, size),
            _ => Err(Problem::invalid(field, "expected a filter: an object")),
        }
    });
    each.collect()
}

/// A column's value, values, or operators with theirs.
fn entry(column: &Column, given: &Json, field: &str, size: &mut Size) -> Result<Condition, Problem> {
    match given {
        Json::Object(operators) if !operators.is_empty() => {
            let each = operators
                .iter()
                .map(|(name, value)| operation(column, name, value, field, size));
            let mut conditions = each.collect::<Result<Vec<_>, _>>()?;
            Ok(match conditions.len() {
                1 => conditions.remove(0),
                _ => Condition::All(conditions),
            })
        }
        Json::Object(_) => Err(Problem::invalid(
            field,
            "expected a value, a list of values, or {OPERATOR: VALUE}",
        )),
        value => operation(column, "is", value, field, size),
    }
}

fn operation(column: &Column, name: &str, given: &Json, field: &str, size: &mut Size) -> Result<Condition, Problem> {
    let known = OPERATORS.iter().find(|(known, ..)| *known == name);
    let Some((_, operator, negated)) = known else {
        return Err(Problem::unknown(
            field,
            "operator",
            name,
            OPERATORS.iter().map(|(name, ..)| *name),
        ));
    };
    let values = values(column, *operator, name, given, field)?;
    size.conditions += 1;
    size.values += values.len();
    if size.conditions > MAX_CONDITIONS || size.values > MAX_VALUES {
        let most = format!("the filter has more than {MAX_CONDITIONS} conditions or {MAX_VALUES} values");
        return Err(Problem::invalid(field, most));
    }
    // `{"is_null": false}` says the opposite.
    let opposite = *operator == Operator::IsNull && *given == Json::Bool(false);
    let test = Condition::Test {
        column: column.clone(),
        operator: *operator,
        values,
        field: field.to_owned(),
    };
    Ok(match *negated != opposite {
        true => Condition::Not(Box::new(test)),
        false => test,
    })
}

fn values(
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

#[cfg(test)]
mod tests;
