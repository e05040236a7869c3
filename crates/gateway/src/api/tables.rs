//! Replies of nested JSON as tables: a line for each cohort and later period, or for each step.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Date32Type;
use serde_json::{Value as Json, json};

use crate::problem::Problem;
use crate::report::dates;

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Date,
    Integer,
    Number,
}

/// The reply of `/api/v1/retention`: `cohort_date`, `cohort_users`, `days_after` (or weeks, or months), `users`,
/// `retention_rate`.
pub(super) fn retention(reply: &Json) -> Result<RecordBatch, Problem> {
    let after = format!("{}s_after", reply["cohort"].as_str().unwrap_or("day"));
    let columns = [
        ("cohort_date", Kind::Date),
        ("cohort_users", Kind::Integer),
        (after.as_str(), Kind::Integer),
        ("users", Kind::Integer),
        ("retention_rate", Kind::Number),
    ];
    let rows = list(&reply["cohorts"]).iter().flat_map(|cohort| {
        let cells = list(&cohort["retention"]).iter();
        cells.map(|cell| {
            let first = [cohort["cohort_date"].clone(), cohort["users"].clone()];
            let rest = [&cell[after.as_str()], &cell["users"], &cell["retention_rate"]];
            first.into_iter().chain(rest.into_iter().cloned()).collect()
        })
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

/// The reply of a funnel's analysis: the value of `breakdown` if it has one, then `step`, `name`, `users`,
/// `conversion_rate`, `drop_off_rate`.
pub(super) fn funnel(reply: &Json, breakdown: Option<&str>) -> Result<RecordBatch, Problem> {
    let steps = [
        ("step", Kind::Integer),
        ("name", Kind::Text),
        ("users", Kind::Integer),
        ("conversion_rate", Kind::Number),
        ("drop_off_rate", Kind::Number),
    ];
    let columns: Vec<_> = breakdown
        .map(|name| (name, Kind::Text))
        .into_iter()
        .chain(steps)
        .collect();
    let groups: Vec<&Json> = match breakdown {
        Some(_) => list(&reply["breakdown"]).iter().collect(),
        None => vec![reply],
    };
    let rows = groups.into_iter().flat_map(|group| {
        let steps = list(&group["steps"]).iter().enumerate();
        steps.map(move |(index, step)| {
            let value = breakdown.map(|_| group["value"].clone());
            let fields = ["name", "users", "conversion_rate", "drop_off_rate"].map(|name| step[name].clone());
            value.into_iter().chain([json!(index + 1)]).chain(fields).collect()
        })
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

fn list(of: &Json) -> &[Json] {
    of.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn table(columns: &[(&str, Kind)], rows: &[Vec<Json>]) -> Result<RecordBatch, Problem> {
    let columns = columns.iter().enumerate().map(|(index, (name, kind))| {
        let values = || rows.iter().map(|row| &row[index]);
        let array: ArrayRef = match kind {
            Kind::Text => Arc::new(values().map(Json::as_str).collect::<StringArray>()),
            Kind::Integer => Arc::new(values().map(Json::as_i64).collect::<Int64Array>()),
            Kind::Number => Arc::new(values().map(Json::as_f64).collect::<Float64Array>()),
            Kind::Date => {
                let dates = values().map(|value| value.as_str().and_then(dates::date));
                Arc::new(
                    dates
                        .map(|date| date.map(Date32Type::from_naive_date))
                        .collect::<Date32Array>(),
                )
            }
        };
        (*name, array, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Problem::internal(&error))
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use super::*;

    fn shown(batch: RecordBatch) -> String {
        pretty_format_batches(&[batch]).unwrap().to_string()
    }

    #[test]
    fn cohorts_are_lines() {
        let reply = json!({"cohort": "week", "cohorts": [{"cohort_date": "2026-11-02", "users": 2, "retention": [
            {"weeks_after": 1, "users": 1, "retention_rate": 0.5},
            {"weeks_after": 2, "users": null, "retention_rate": null},
        ]}]});
        let expected = "\
+-------------+--------------+-------------+-------+----------------+
| cohort_date | cohort_users | weeks_after | users | retention_rate |
+-------------+--------------+-------------+-------+----------------+
| 2026-11-02  | 2            | 1           | 1     | 0.5            |
| 2026-11-02  | 2            | 2           |       |                |
+-------------+--------------+-------------+-------+----------------+";
        assert_eq!(shown(retention(&reply).unwrap()), expected);
    }

    #[test]
    fn steps_are_lines() {
        let steps = json!([{"name": "View", "users": 4, "conversion_rate": 1.0, "drop_off_rate": 0.0}]);
        let reply =
            json!({"steps": steps, "breakdown": [{"value": "DE", "steps": steps}, {"value": null, "steps": steps}]});
        let expected = "\
+---------+------+------+-------+-----------------+---------------+
| country | step | name | users | conversion_rate | drop_off_rate |
+---------+------+------+-------+-----------------+---------------+
| DE      | 1    | View | 4     | 1.0             | 0.0           |
|         | 1    | View | 4     | 1.0             | 0.0           |
+---------+------+------+-------+-----------------+---------------+";
        assert_eq!(shown(funnel(&reply, Some("country")).unwrap()), expected);
        let overall = funnel(&reply, None).unwrap();
        assert_eq!((overall.num_rows(), overall.num_columns()), (1, 5));
    }
}
