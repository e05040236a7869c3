//! How far visitors get: the statement, and the numbers of its rows.

use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::super::rows::Record;
use crate::FunnelSteps;
use crate::report::dates::Period;
use crate::statement::{Statement, Value};

/// Groups of a breakdown that are shown, those with most visitors.
const MAX_GROUPS: usize = 100;

/// The column that is 1 in rows over all values of a breakdown.
const OVERALL: &str = "overall";

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Progress {
    pub(super) total_users: u64,
    pub(super) steps: Vec<Step>,
    pub(super) overall_conversion_rate: f64,
    /// `2h 34m`; null if nobody took all steps.
    pub(super) avg_time_to_convert: Option<String>,
    pub(super) avg_seconds_to_convert: Option<f64>,
    pub(super) median_seconds_to_convert: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Group {
    pub(super) value: Json,
    #[serde(flatten)]
    pub(super) progress: Progress,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Step {
    pub(super) name: String,
    pub(super) users: u64,
    pub(super) conversion_rate: f64,
    pub(super) drop_off_rate: f64,
}

/// Where a funnel's entries are.
pub(super) enum Source {
    /// Its id.
    Saved(String),
    /// The funnel in JSON.
    Unsaved(String),
}

/// What is analysed.
pub(super) struct Asked {
    pub(super) source: Source,
    pub(super) funnel: FunnelSteps,
    pub(super) period: Period,
    /// Which visitors count.
    pub(super) condition: Option<Statement>,
}

impl Asked {
    /// Visitors by the depth that they reached: the deepest of their attempts that began in the period. With a breakdown,
    /// over all, and for each of its values.
    pub(super) fn statement(&self, breakdown: Option<&str>) -> Statement {
        // Of each visitor, and of each visitor in each group: a visitor may be in several.
        let (keys, of_keys, sets) = match breakdown {
            Some(column) => (
                format!("{OVERALL}, {column}, "),
                format!("grouping({column}) AS {OVERALL}, {column}, "),
                format!("GROUPING SETS ((client_id), ({column}, client_id))"),
            ),
            None => (String::new(), String::new(), "client_id".to_owned()),
        };
        let mut statement = Statement::new(format!(
            "SELECT {keys}depth, count(*) AS users, avg(seconds) AS avg_seconds, median(seconds) AS median_seconds\n\
             FROM (SELECT {of_keys}client_id, max(steps_completed) AS depth, \
             CAST(min(time_to_convert) AS DOUBLE) AS seconds\nFROM "
        ));
        match &self.source {
            Source::Saved(_) => statement.sql("funnel_progress"),
            Source::Unsaved(json) => statement.sql("funnel_progress_of(").quote(json).sql(")"),
        };
        statement
            .sql("\nWHERE tracking_id = ")
            .bind(Value::Text(self.funnel.tracking_id.clone()));
        if let Source::Saved(id) = &self.source {
            statement.sql(" AND funnel_id = ").bind(Value::Text(id.clone()));
        }
        statement.sql(" AND entered_at >= ").bind(Value::Time(self.period.from));
        statement.sql(" AND entered_at < ").bind(Value::Time(self.period.to));
        if let Some(condition) = &self.condition {
            statement.sql(" AND ").append(condition.clone());
        }
        statement.sql(format!(
            "\nGROUP BY {sets}) AS visitors\nGROUP BY {keys}depth ORDER BY {keys}depth"
        ));
        statement
    }

    fn progress(&self, rows: &[Record]) -> Progress {
        let steps = self.funnel.steps.len();
        let reached = |step: usize| {
            let deep = rows.iter().filter(|row| row.number("depth") > step as u64);
            deep.map(|row| row.number("users")).sum::<u64>()
        };
        let users: Vec<u64> = (0..steps).map(reached).collect();
        let each = self
            .funnel
            .steps
            .iter()
            .zip(&users)
            .enumerate()
            .map(|(index, (name, count))| {
                let conversion_rate = match index.checked_sub(1) {
                    Some(before) => ratio(*count, users[before]),
                    None => 1.0,
                };
                Step {
                    name: name.clone(),
                    users: *count,
                    conversion_rate,
                    drop_off_rate: 1.0 - conversion_rate,
                }
            });
        let converted = rows.iter().find(|row| row.number("depth") == steps as u64);
        let seconds = converted.and_then(|row| row.float("avg_seconds"));
        Progress {
            total_users: users.first().copied().unwrap_or_default(),
            overall_conversion_rate: ratio(
                users.last().copied().unwrap_or_default(),
                users.first().copied().unwrap_or_default(),
            ),
            steps: each.collect(),
            avg_time_to_convert: seconds.map(spoken),
            avg_seconds_to_convert: seconds,
            median_seconds_to_convert: converted.and_then(|row| row.float("median_seconds")),
        }
    }

    /// The rows of the statement: over all, and by the values of the breakdown, those with most visitors first.
    pub(super) fn read(&self, rows: Vec<Record>, breakdown: Option<&str>) -> (Progress, Option<Vec<Group>>) {
        let Some(column) = breakdown else {
            return (self.progress(&rows), None);
        };
        let (overall, grouped): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.number(OVERALL) == 1);
        (self.progress(&overall), Some(self.groups(grouped, column)))
    }

    fn groups(&self, rows: Vec<Record>, column: &str) -> Vec<Group> {
        let mut groups: Vec<(Json, Vec<Record>)> = Vec::new();
        for row in rows {
            let value = row.value(column);
            match groups.last_mut() {
                Some((known, rows)) if *known == value => rows.push(row),
                _ => groups.push((value, vec![row])),
            }
        }
        let progress = groups.into_iter().map(|(value, rows)| Group {
            value,
            progress: self.progress(&rows),
        });
        let mut groups: Vec<Group> = progress.collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.progress.total_users));
        groups.truncate(MAX_GROUPS);
        groups
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    // Counts of visitors are far below 2^53.
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The two largest units: `2h 34m`.
fn spoken(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = units[first..]
        .iter()
        .take(2)
        .filter(|(count, _)| *count > 0 || seconds == 0);
    shown
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (59.4, "59s"),
            (60.0, "1m"),
            (9_240.0, "2h 34m"),
            (9_245.0, "2h 34m"),
            (90_000.0, "1d 1h"),
            (86_460.0, "1d"),
        ] {
            assert_eq!(spoken(seconds), expected);
        }
    }
}
