//! The SQL of a report. Each base is aggregated by itself; where there are several, or empty periods to show, their rows
//! are put together by the dimensions:
//!
//! ```text
//! SELECT d0 AS "date", coalesce(pageviews, 0) AS "pageviews", CAST(bounces AS DOUBLE) / nullif(sessions, 0) AS "bounce_rate", …
//! FROM (SELECT d0, max(pageviews) AS pageviews, max(bounces) AS bounces, max(sessions) AS sessions
//!       FROM (SELECT …, count(*) …, NULL, NULL FROM events   WHERE … GROUP BY 1
//!             UNION ALL
//!             SELECT …, NULL, count(*) … FROM sessions WHERE … GROUP BY 1) AS parts GROUP BY d0) AS report
//! ORDER BY … LIMIT …
//! ```

use chrono::SecondsFormat;

use super::column::Column;
use super::dates::{Bucket, Period};
use super::plan::{MAX_LIMIT, Report};
use super::request::Direction;
use crate::statement::{Statement, Value};
use crate::vocabulary::{Base, Measure, TimeUnit};

/// The column with the number of rows before the limit.
const TOTAL: &str = "total_rows";

impl Report {
    /// The page of rows that was asked for.
    pub(crate) fn rows_sql(&self) -> Statement {
        self.select(&self.dimensions, self.period, self.limit, self.offset)
    }

    /// One row, over all.
    pub(crate) fn totals_sql(&self, period: Period) -> Statement {
        self.select(&[], period, 1, 0)
    }

    /// As many rows as one report may have, of the compared range.
    pub(crate) fn compared_sql(&self, period: Period) -> Statement {
        self.select(&self.dimensions, period, MAX_LIMIT, 0)
    }

    fn select(&self, dimensions: &[Column], period: Period, limit: usize, offset: usize) -> Statement {
        let (measures, bases) = self.measures();
        let mut columns: Vec<String> = (0..dimensions.len())
            .map(|index| format!("d{index} AS \"{}\"", alias(&dimensions[index], index)))
            .collect();
        let named = columns.clone();
        columns.extend(
            self.metrics
                .iter()
                .map(|metric| format!("{} AS \"{}\"", metric.sql, metric.name)),
        );
        if !dimensions.is_empty() {
            columns.push(format!("count(*) OVER () AS \"{TOTAL}\""));
        }
        let mut parts: Vec<Statement> = bases
            .iter()
            .map(|base| self.part(*base, dimensions, &measures, period))
            .collect();
        if self.fill && !dimensions.is_empty() {
            parts.extend(self.empty_periods(&measures, period));
        }
        let mut keys: Vec<String> = (0..dimensions.len()).map(|index| format!("d{index}")).collect();
        keys.extend(self.sample.map(|_| "client_hash".to_owned()));
        let united = united(parts, &keys, &measures);
        let mut statement = match self.sample {
            Some(rate) => {
                let mut named = named;
                named.extend((!dimensions.is_empty()).then(|| format!("count(*) OVER () AS \"{TOTAL}\"")));
                self.estimates(rate, dimensions, named, united)
            }
            None => {
                let mut statement = Statement::new(format!("SELECT {}\nFROM (", columns.join(", ")));
                statement.append(united).sql(") AS report");
                statement
            }
        };
        if !dimensions.is_empty() {
            statement.sql(format!("\nORDER BY {}", self.order_by()));
            statement.sql("\nLIMIT ").bind(integer(limit));
            if offset > 0 {
                statement.sql(" OFFSET ").bind(integer(offset));
            }
        }
        statement
    }

    fn order_by(&self) -> String {
        let order = match self.sample {
            Some(_) => self.estimates_order(),
            None => self.order.clone(),
        };
        let keys = order.iter().map(|(index, direction)| match direction {
            Direction::Asc => format!("{} ASC NULLS LAST", index + 1),
            Direction::Desc => format!("{} DESC NULLS LAST", index + 1),
        });
        keys.collect::<Vec<_>>().join(", ")
    }

    /// The measures of one base; those of others are null.
    fn part(&self, base: Base, dimensions: &[Column], measures: &[&Measure], period: Period) -> Statement {
        let zone = self.zone.name();
        let mut statement = Statement::new("SELECT ");
        for (index, column) in dimensions.iter().enumerate() {
            statement.append(column.sql(base, zone)).sql(format!(" AS d{index}, "));
        }
        let columns = measures.iter().map(|measure| match measure.base == base {
            true => format!("{} AS {}", measure.sql, measure.name),
            false => format!("CAST(NULL AS {}) AS {}", measure.sql_type, measure.name),
        });
        let sampled = self.sample.is_some();
        statement.sql(if sampled { "client_hash, " } else { "" });
        statement.sql(columns.collect::<Vec<_>>().join(", "));
        let table = self.table(if base.of_events() { "events" } else { "sessions" });
        statement.sql(format!("\nFROM {table}"));
        if base == Base::Visitors {
            let table = self.table("events");
            statement.sql(format!(
                " LEFT JOIN (SELECT DISTINCT client_hash AS known FROM {table} WHERE tracking_id = "
            ));
            statement.bind(Value::Text(self.tracking_id.clone()));
            statement.sql(" AND event_timestamp < ").bind(Value::Time(period.from));
            statement.sql(") AS earlier ON client_hash = known");
        }
        let time = base.time_column();
        statement
            .sql("\nWHERE tracking_id = ")
            .bind(Value::Text(self.tracking_id.clone()));
        statement.sql(format!(" AND {time} >= ")).bind(Value::Time(period.from));
        statement.sql(format!(" AND {time} < ")).bind(Value::Time(period.to));
        if let Some(condition) = &self.condition {
            statement.sql(" AND ").append(condition.sql(base, zone));
        }
        let keys = dimensions.len() + usize::from(sampled);
        if keys > 0 {
            let positions = (1..=keys).map(|position| position.to_string());
            statement.sql(format!("\nGROUP BY {}", positions.collect::<Vec<_>>().join(", ")));
        }
        statement
    }

    /// A row for each period of the time dimension, with no numbers.
    fn empty_periods(&self, measures: &[&Measure], period: Period) -> Option<Statement> {
        let unit = self.dimensions.first()?.unit()?;
        let buckets = self.buckets(period)?;
        let (first, last) = (literal(*buckets.first()?), literal(*buckets.last()?));
        let step = match unit {
            TimeUnit::Quarter => "3 months".to_owned(),
            unit => format!("1 {}", unit.name()),
        };
        let start = if unit.is_days() {
            "CAST(value AS DATE)"
        } else {
            "value AT TIME ZONE 'UTC'"
        };
        let nulls = measures
            .iter()
            .map(|measure| format!(", CAST(NULL AS {})", measure.sql_type));
        let visitor = self.sample.map(|_| ", CAST(NULL AS BIGINT)".to_owned());
        let nulls: String = visitor.into_iter().chain(nulls).collect();
        Some(Statement::new(format!(
            "SELECT {start}{nulls}\nFROM generate_series({first}, {last}, INTERVAL '{step}')"
        )))
    }
}

/// The rows of all parts, those with the same dimensions as one.
fn united(mut parts: Vec<Statement>, keys: &[String], measures: &[&Measure]) -> Statement {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let values = measures.iter().map(|measure| format!("max({0}) AS {0}", measure.name));
    let columns: Vec<String> = keys.iter().cloned().chain(values).collect();
    let mut statement = Statement::new(format!("SELECT {}\nFROM (", columns.join(", ")));
    for (index, part) in parts.into_iter().enumerate() {
        statement.sql(if index > 0 { "\nUNION ALL\n" } else { "" }).append(part);
    }
    statement.sql(") AS parts");
    if !keys.is_empty() {
        statement.sql(format!("\nGROUP BY {}", keys.join(", ")));
    }
    statement
}

/// The name of a dimension's column. A property's key is the user's, so it has a name of ours.
fn alias(column: &Column, index: usize) -> String {
    match column {
        Column::Declared(dimension) => dimension.name.to_owned(),
        Column::Property(_) => format!("property_{index}"),
    }
}

fn literal(bucket: Bucket) -> String {
    match bucket {
        Bucket::Date(date) => format!("DATE '{date}'"),
        // Without a zone: the function has no others.
        Bucket::Time(time) => {
            let text = time.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("TIMESTAMP '{}'", text.trim_end_matches('Z'))
        }
    }
}

fn integer(number: usize) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
