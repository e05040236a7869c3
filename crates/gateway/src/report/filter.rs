//! Filters: the short form (`{"country": "US", "device": ["desktop", "mobile"]}`), operators
//! (`{"page_path": {"starts_with": "/blog"}}`) and nesting (`{"or": [{…}, {"not": {…}}]}`).

mod values;

use serde_json::{Map, Value as Json};

use super::column::Column;
use crate::problem::{Problem, printable};
use crate::segment::{Scope, Segments};
use crate::statement::{Statement, Value};
use crate::vocabulary::Base;

/// Limits of one filter: the planner's work grows with them.
const MAX_CONDITIONS: usize = 100;
const MAX_VALUES: usize = 1_000;
const MAX_DEPTH: usize = 10;
/// Each is a subquery over all events of the site.
const MAX_SEGMENTS: usize = 10;

/// The key beside those of dimensions.
const SEGMENT: &str = "segment";

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

/// All operators: name, title for people, and whether the name negates.
pub(crate) const OPERATORS: [(&str, &str, Operator, bool); 20] = [
    ("is", "is", Operator::In, false),
    ("is_not", "is not", Operator::In, true),
    ("in", "is one of", Operator::In, false),
    ("not_in", "is none of", Operator::In, true),
    ("contains", "contains", Operator::Contains, false),
    ("not_contains", "does not contain", Operator::Contains, true),
    ("starts_with", "starts with", Operator::StartsWith, false),
    ("not_starts_with", "does not start with", Operator::StartsWith, true),
    ("ends_with", "ends with", Operator::EndsWith, false),
    ("not_ends_with", "does not end with", Operator::EndsWith, true),
    ("matches", "matches the regular expression", Operator::Matches, false),
    (
        "not_matches",
        "does not match the regular expression",
        Operator::Matches,
        true,
    ),
    ("gt", "is greater than", Operator::Compare(">"), false),
    ("gte", "is at least", Operator::Compare(">="), false),
    ("lt", "is less than", Operator::Compare("<"), false),
    ("lte", "is at most", Operator::Compare("<="), false),
    ("between", "is between", Operator::Between, false),
    ("not_between", "is not between", Operator::Between, true),
    ("is_null", "has no value", Operator::IsNull, false),
    ("is_not_null", "has a value", Operator::IsNull, true),
];

impl Operator {
    /// What it is given, in a word.
    pub(crate) fn takes(self) -> &'static str {
        match self {
            Self::In => "values",
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches => "text",
            Self::Compare(_) => "value",
            Self::Between => "two_values",
            Self::IsNull => "boolean",
        }
    }
}

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
    /// The row's visitor is one of the segment.
    Segment {
        name: String,
        field: String,
        /// `SELECT client_hash …`; none until [`Condition::resolved`].
        visitors: Statement,
    },
}

/// Counts what is parsed.
#[derive(Default)]
struct Size {
    conditions: usize,
    segments: usize,
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
            Self::Segment { .. } => Vec::new(),
        }
    }

    /// That the visitor is in all of these segments, too.
    pub(crate) fn and_segments(condition: Option<Self>, names: &[String]) -> Result<Option<Self>, Problem> {
        if names.len() > MAX_SEGMENTS {
            let detail = format!("a request names at most {MAX_SEGMENTS} segments");
            return Err(Problem::invalid("segments", detail));
        }
        let segments = names
            .iter()
            .enumerate()
            .map(|(index, name)| Self::segment(name, &format!("segments[{index}]")));
        let mut parts: Vec<Self> = condition.into_iter().chain(segments).collect();
        Ok(match parts.len() {
            0 | 1 => parts.pop(),
            _ => Some(Self::All(parts)),
        })
    }

    fn segment(name: &str, field: &str) -> Self {
        Self::Segment {
            name: name.to_owned(),
            field: field.to_owned(),
            visitors: Statement::new("SELECT client_hash FROM events WHERE FALSE"),
        }
    }

    /// The segments that it names, and where.
    pub(crate) fn segments(&self) -> Vec<(&str, &str)> {
        match self {
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::segments).collect(),
            Self::Not(inner) => inner.segments(),
            Self::Test { .. } => Vec::new(),
            Self::Segment { name, field, .. } => vec![(name, field)],
        }
    }

    /// With the visitors of its segments.
    pub(crate) fn resolved(self, segments: &Segments, scope: Scope<'_>) -> Result<Self, Problem> {
        let each = |inner: Vec<Self>| {
            let parts = inner.into_iter().map(|part| part.resolved(segments, scope));
            parts.collect::<Result<Vec<Self>, Problem>>()
        };
        Ok(match self {
            Self::All(inner) => Self::All(each(inner)?),
            Self::Any(inner) => Self::Any(each(inner)?),
            Self::Not(inner) => Self::Not(Box::new(inner.resolved(segments, scope)?)),
            Self::Segment { name, field, .. } => Self::Segment {
                visitors: segments.visitors(&name, &field, scope)?,
                name,
                field,
            },
            test @ Self::Test { .. } => test,
        })
    }

    /// Over the rows of `base`.
    pub(crate) fn sql(&self, base: Base, zone: &str) -> Statement {
        match self {
            Self::All(inner) => joined(inner, " AND ", base, zone),
            Self::Any(inner) => joined(inner, " OR ", base, zone),
            Self::Not(inner) => {
                // Not `IS NOT TRUE`: DataFusion plans it as nullable in one place and not in another, and refuses its own plan.
                let mut statement = Statement::new("NOT coalesce(");
                statement.append(inner.sql(base, zone)).sql(", FALSE)");
                statement
            }
            Self::Test {
                column,
                operator,
                values,
                ..
            } => test(column, *operator, values, base, zone),
            Self::Segment { visitors, .. } => {
                let mut statement = Statement::new("client_hash IN (");
                statement.append(visitors.clone()).sql(")");
                statement
            }
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
            (SEGMENT, value) => of_segments(value, &inner, size)?,
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

/// One of the segments.
fn of_segments(given: &Json, field: &str, size: &mut Size) -> Result<Condition, Problem> {
    let list = match given {
        Json::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    size.segments += list.len();
    if list.is_empty() || size.segments > MAX_SEGMENTS {
        let detail = format!("expected 1 to {MAX_SEGMENTS} names of segments");
        return Err(Problem::invalid(field, detail));
    }
    let each = list.iter().map(|name| match name {
        Json::String(name) => Ok(Condition::segment(name, field)),
        _ => Err(Problem::invalid(
            field,
            "expected the name of a segment, or a list of names",
        )),
    });
    let mut each = each.collect::<Result<Vec<_>, _>>()?;
    Ok(match each.len() {
        1 => each.remove(0),
        _ => Condition::Any(each),
    })
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
    let Some((_, _, operator, negated)) = known else {
        return Err(Problem::unknown(
            field,
            "operator",
            name,
            OPERATORS.iter().map(|(name, ..)| *name),
        ));
    };
    let values = values::of(column, *operator, name, given, field)?;
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

#[cfg(test)]
mod tests;
