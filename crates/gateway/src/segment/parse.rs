//! From JSON to a segment: `{"sessions": {"filters": {"converted": true}, "at_least": 3, "revenue": {"gt": 500}}}`, with
//! `and`, `or` and `not`.

use serde_json::{Map, Value as Json};

use super::{Formula, Scope, Segment, Test};
use crate::problem::{Problem, printable};
use crate::report::Condition;
use crate::vocabulary::Base;

const MAX_DEPTH: usize = 10;
const MAX_TESTS: usize = 20;
const MAX_COUNT: i64 = 1_000_000_000;

const KINDS: [&str; 5] = ["events", "sessions", "and", "or", "not"];
const TEST_KEYS: [&str; 6] = ["event_type", "filters", "at_least", "at_most", "revenue", "date_range"];
const SIGNS: [(&str, &str); 4] = [("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];

impl Segment {
    /// `scope`: of any site, to check the ranges of dates.
    pub(crate) fn parse(given: &Json, scope: Scope<'_>) -> Result<Self, Problem> {
        let Json::Object(filters) = given else {
            return Err(Problem::invalid(
                "filters",
                "expected an object: {\"events\": {\"event_type\": \"purchase\"}}",
            ));
        };
        let mut tests = Vec::new();
        let formula = all(filters, "filters", 0, &mut tests)?;
        for test in &tests {
            test.period(scope)?;
        }
        Ok(Self { formula, tests })
    }
}

/// All entries of an object hold.
fn all(filters: &Map<String, Json>, field: &str, depth: usize, tests: &mut Vec<Test>) -> Result<Formula, Problem> {
    if depth > MAX_DEPTH {
        let detail = format!("a segment nests at most {MAX_DEPTH} levels deep");
        return Err(Problem::invalid(field, detail));
    }
    let mut parts = Vec::new();
    for (key, value) in filters {
        let inner = format!("{field}.{}", printable(key));
        parts.push(match (key.as_str(), value) {
            ("and", Json::Array(list)) => Formula::All(several(list, &inner, depth, tests)?),
            ("or", Json::Array(list)) => Formula::Any(several(list, &inner, depth, tests)?),
            ("not", Json::Object(negated)) => Formula::Not(Box::new(all(negated, &inner, depth + 1, tests)?)),
            ("events", Json::Object(test)) => one(test, Base::Events, &inner, tests)?,
            ("sessions", Json::Object(test)) => one(test, Base::Sessions, &inner, tests)?,
            ("and" | "or", _) => return Err(Problem::invalid(inner, "expected a list of conditions")),
            ("not" | "events" | "sessions", _) => return Err(Problem::invalid(inner, "expected an object")),
            (other, _) => return Err(Problem::unknown(inner, "condition", other, KINDS)),
        });
    }
    match parts.len() {
        0 => Err(Problem::invalid(field, "the condition is empty")),
        1 => Ok(parts.remove(0)),
        _ => Ok(Formula::All(parts)),
    }
}

fn several(list: &[Json], field: &str, depth: usize, tests: &mut Vec<Test>) -> Result<Vec<Formula>, Problem> {
    if list.is_empty() {
        return Err(Problem::invalid(field, "the list is empty"));
    }
    let each = list.iter().enumerate().map(|(index, part)| {
        let field = format!("{field}[{index}]");
        match part {
            Json::Object(filters) => all(filters, &field, depth + 1, tests),
            _ => Err(Problem::invalid(field, "expected a condition: an object")),
        }
    });
    each.collect()
}

fn one(given: &Map<String, Json>, base: Base, field: &str, tests: &mut Vec<Test>) -> Result<Formula, Problem> {
    if tests.len() == MAX_TESTS {
        let detail = format!("a segment has at most {MAX_TESTS} conditions on events and sessions");
        return Err(Problem::invalid(field, detail));
    }
    let keys = &TEST_KEYS[usize::from(base == Base::Sessions)..];
    if let Some(other) = given.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(Problem::unknown(field, "key", other, keys.iter().copied()));
    }
    let at_most = count(given, "at_most", 0, field)?;
    let at_least = count(given, "at_least", 1, field)?;
    let at_least = at_least.unwrap_or(i64::from(at_most.is_none()));
    if at_most.is_some_and(|most| most < at_least) {
        let detail = "`at_most` is less than `at_least`: no visitor is in it";
        return Err(Problem::invalid(format!("{field}.at_most"), detail));
    }
    tests.push(Test {
        base,
        condition: condition(given, base, field)?,
        date_range: given.get("date_range").cloned(),
        at_least,
        at_most,
        revenue: revenue(given.get("revenue"), &format!("{field}.revenue"))?,
        field: field.to_owned(),
    });
    Ok(Formula::Test(tests.len() - 1))
}

fn count(given: &Map<String, Json>, key: &str, least: i64, field: &str) -> Result<Option<i64>, Problem> {
    let Some(value) = given.get(key) else {
        return Ok(None);
    };
    let count = value.as_i64().filter(|count| (least..=MAX_COUNT).contains(count));
    let wrong = || {
        Problem::invalid(
            format!("{field}.{key}"),
            format!("expected a whole number from {least} on"),
        )
    };
    count.map(Some).ok_or_else(wrong)
}

/// Which rows are counted.
fn condition(given: &Map<String, Json>, base: Base, field: &str) -> Result<Option<Condition>, Problem> {
    let mut filters = match given.get("filters") {
        Some(Json::Object(filters)) => filters.clone(),
        Some(_) => return Err(Problem::invalid(format!("{field}.filters"), "expected an object")),
        None => Map::new(),
    };
    if let Some(event_type) = given.get("event_type") {
        if filters.contains_key("event_type") {
            let detail = "`event_type` is given twice: here and among the filters";
            return Err(Problem::invalid(format!("{field}.event_type"), detail));
        }
        filters.insert("event_type".to_owned(), event_type.clone());
    }
    let condition = Condition::parse(&Json::Object(filters)).map_err(|problem| problem.within(field))?;
    for (column, inner) in condition.iter().flat_map(Condition::columns) {
        if !column.has(base) {
            let detail = format!("{} have no `{}`", base.counts(), column.name());
            return Err(Problem::invalid(format!("{field}.{inner}"), detail));
        }
    }
    if let Some((_, inner)) = condition.iter().flat_map(Condition::segments).next() {
        let detail = "a segment is not made of other segments";
        return Err(Problem::invalid(format!("{field}.{inner}"), detail));
    }
    Ok(condition)
}

fn revenue(given: Option<&Json>, field: &str) -> Result<Vec<(&'static str, f64)>, Problem> {
    let comparisons = match given {
        None => return Ok(Vec::new()),
        Some(Json::Object(comparisons)) if !comparisons.is_empty() => comparisons,
        Some(_) => return Err(Problem::invalid(field, "expected a comparison: {\"gte\": 500}")),
    };
    let each = comparisons.iter().map(|(name, value)| {
        let known = SIGNS.iter().find(|(known, _)| known == name);
        let (_, sign) = known.ok_or_else(|| {
            let names = SIGNS.iter().map(|(name, _)| *name);
            Problem::unknown(field, "operator", name, names)
        })?;
        let number = value.as_f64();
        let number = number.ok_or_else(|| Problem::invalid(format!("{field}.{name}"), "expected a number"))?;
        Ok((*sign, number))
    });
    each.collect()
}
