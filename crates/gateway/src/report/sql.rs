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

use chrono::{DateTime, Datelike, NaiveTime, SecondsFormat, Utc};

use super::buckets::{Bucket, Run};
use super::column::Column;
use super::dates::Period;
use super::plan::Report;
use super::request::Direction;
use super::sampling::estimate_names;
use crate::statement::{Statement, Value};
use crate::vocabulary::{Base, Measure, TimeUnit};

/// The column with the number of rows before the limit.
const TOTAL: &str = "total_rows";

/// Where a row of [`Report::statement`] belongs.
pub(crate) const PART: &str = "part";
pub(crate) const ROWS: i64 = 0;
pub(crate) const TOTALS: i64 = 1;

/// Before the names of the metrics of the compared range.
const COMPARED: &str = "compare_";

impl Report {
    /// The page of rows that was asked for. With `compare`, each row has the metrics of the other range, too, and the
    /// last column is the number of rows before the limit.
    pub(crate) fn rows_sql(&self) -> Statement {
        self.page(Some(self.limit), self.offset, true)
    }

    /// All rows, or the first `limit`.
    pub(crate) fn export_sql(&self, limit: Option<usize>) -> Statement {
        self.page(limit, 0, false)
    }

    /// The names of its columns.
    pub(crate) fn export_names(&self) -> Vec<String> {
        let metrics = self.metric_columns();
        let compared = self
            .compared
            .map(|_| metrics.iter().map(|name| format!("{COMPARED}{name}")));
        let compared: Vec<String> = compared.into_iter().flatten().collect();
        let dimensions = self.dimensions.iter().map(Column::name);
        dimensions.chain(metrics).chain(compared).collect()
    }

    /// The names of the columns that the metrics are in.
    pub(crate) fn metric_columns(&self) -> Vec<String> {
        let metrics = self.metrics.iter();
        match self.sample {
            Some(_) => metrics.flat_map(|metric| estimate_names(metric)).collect(),
            None => metrics.map(|metric| metric.name.to_owned()).collect(),
        }
    }

    /// One row, over all.
    pub(crate) fn totals_sql(&self) -> Statement {
        let totals = self.aggregated(&[], self.period, false);
        match self.compared {
            Some(period) => self.joined(totals, &[], period, false),
            None => totals,
        }
    }

    /// The rows and the totals in one statement, so that they come from one snapshot.
    pub(crate) fn statement(&self) -> Statement {
        if !self.totals {
            return self.rows_sql();
        }
        let keys = self.dimensions.iter().enumerate();
        let keys = keys.map(|(index, column)| format!("NULL AS \"{}\", ", alias(column, index)));
        let keys: String = keys.collect();
        let mut statement = Statement::new(format!("SELECT * FROM (\nSELECT {ROWS} AS {PART}, page.*\nFROM ("));
        statement.append(self.rows_sql());
        statement.sql(format!(
            ") AS page\nUNION ALL\nSELECT {TOTALS}, {keys}totals.*, NULL AS \"{TOTAL}\"\nFROM ("
        ));
        statement.append(self.totals_sql());
        let order = self.order_by(1);
        statement.sql(format!(") AS totals) AS answer\nORDER BY 1, {order}"));
        statement
    }

    fn page(&self, limit: Option<usize>, offset: usize, counted: bool) -> Statement {
        let dimensions = &self.dimensions;
        let counted = counted && !dimensions.is_empty();
        let mut page = self.aggregated(dimensions, self.period, counted);
        if !dimensions.is_empty() {
            page.sql(format!("\nORDER BY {}", self.order_by(0)));
            if let Some(limit) = limit {
                page.sql("\nLIMIT ").bind(integer(limit));
            }
            if offset > 0 {
                page.sql(" OFFSET ").bind(integer(offset));
            }
        }
        match self.compared {
            Some(period) => self.joined(page, dimensions, period, counted),
            None => page,
        }
    }

    /// The rows of `page`, each with the metrics of the same dimensions in another range. A period of time is compared
    /// with the one of the same number.
    fn joined(&self, page: Statement, dimensions: &[Column], other: Period, counted: bool) -> Statement {
        let names: Vec<String> = dimensions
            .iter()
            .enumerate()
            .map(|(i, column)| alias(column, i))
            .collect();
        let mut columns: Vec<String> = names.iter().map(|name| format!("page.\"{name}\"")).collect();
        let metrics = self.metric_columns();
        columns.extend(metrics.iter().map(|name| format!("page.\"{name}\"")));
        columns.extend(
            metrics
                .iter()
                .map(|name| format!("other.\"{name}\" AS \"{COMPARED}{name}\"")),
        );
        if counted {
            columns.push(format!("page.\"{TOTAL}\""));
        }
        let mut statement = Statement::new(format!("SELECT {}\nFROM (", columns.join(", ")));
        statement.append(page);
        statement.sql(match dimensions.is_empty() {
            true => ") AS page\nCROSS JOIN (",
            false => ") AS page\nLEFT JOIN (",
        });
        statement
            .append(self.aggregated(dimensions, other, false))
            .sql(") AS other");
        for (index, (column, name)) in dimensions.iter().zip(&names).enumerate() {
            let key = |table: &str, period: Period| match column.unit() {
                Some(unit) => numbered(&format!("{table}.\"{name}\""), unit, &period.runs(unit, self.zone)),
                None => format!("{table}.\"{name}\""),
            };
            let word = if index == 0 { "\nON" } else { " AND" };
            statement.sql(format!(
                "{word} ({} IS NOT DISTINCT FROM {})",
                key("page", self.period),
                key("other", other)
            ));
        }
        if !dimensions.is_empty() {
            statement.sql(format!("\nORDER BY {}", self.order_by(0)));
        }
        statement
    }

    /// One row for each combination of the dimensions, in no order.
    fn aggregated(&self, dimensions: &[Column], period: Period, counted: bool) -> Statement {
        let (measures, bases) = self.measures();
        let mut columns: Vec<String> = (0..dimensions.len())
            .map(|index| format!("d{index} AS \"{}\"", alias(&dimensions[index], index)))
            .collect();
        let total = counted.then(|| format!("count(*) OVER () AS \"{TOTAL}\""));
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
        if let Some(rate) = self.sample {
            return self.estimates(rate, columns, total, united);
        }
        let metrics = self.metrics.iter();
        columns.extend(metrics.map(|metric| format!("{} AS \"{}\"", metric.sql, metric.name)));
        columns.extend(total);
        let mut statement = Statement::new(format!("SELECT {}\nFROM (", columns.join(", ")));
        statement.append(united).sql(") AS report");
        statement
    }

    /// By the positions of the columns, of which `before` come before the report's own.
    fn order_by(&self, before: usize) -> String {
        let order = match self.sample {
            Some(_) => self.estimates_order(),
            None => self.order.clone(),
        };
        let keys = order.iter().map(|(index, direction)| match direction {
            Direction::Asc => format!("{} ASC NULLS LAST", before + index + 1),
            Direction::Desc => format!("{} DESC NULLS LAST", before + index + 1),
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
    fn empty_periods(&self, measures: &[&Measure], period: Period) -> Vec<Statement> {
        let Some(unit) = self.dimensions.first().and_then(Column::unit) else {
            return Vec::new();
        };
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
        let series = period.runs(unit, self.zone).into_iter().map(|run| {
            let (first, last) = (literal(run.first), literal(run.last));
            Statement::new(format!(
                "SELECT {start}{nulls}\nFROM generate_series({first}, {last}, INTERVAL '{step}')"
            ))
        });
        series.collect()
    }
}

/// The number of a period, from the start of a range whose periods are `runs`.
fn numbered(start: &str, unit: TimeUnit, runs: &[Run]) -> String {
    let Some(first) = runs.first() else {
        return "NULL".to_owned();
    };
    let part = |part: &str| format!("CAST(date_part('{part}', {start}) AS BIGINT)");
    let year_and = |name: &str, each: i64| format!("{} * {each} + {}", part("year"), part(name));
    match (unit, first.first) {
        (TimeUnit::Year, Bucket::Date(date)) => format!("{} - {}", part("year"), date.year()),
        (TimeUnit::Quarter, Bucket::Date(date)) => {
            let number = i64::from(date.year()) * 4 + i64::from(date.month0() / 3) + 1;
            format!("{} - {number}", year_and("quarter", 4))
        }
        (TimeUnit::Month, Bucket::Date(date)) => {
            let number = i64::from(date.year()) * 12 + i64::from(date.month());
            format!("{} - {number}", year_and("month", 12))
        }
        (unit, Bucket::Date(date)) => {
            let days = if unit == TimeUnit::Week { 7 } else { 1 };
            let first = date.and_time(NaiveTime::MIN).and_utc().timestamp();
            format!("({} - {first}) / {}", part("epoch"), days * 86_400)
        }
        (unit, Bucket::Time(_)) => {
            let seconds = if unit == TimeUnit::Minute { 60 } else { 3_600 };
            numbered_time(start, &part("epoch"), seconds, runs)
        }
    }
}

fn numbered_time(start: &str, epoch: &str, seconds: i64, runs: &[Run]) -> String {
    let times = runs.iter().filter_map(|run| match run.first {
        Bucket::Time(first) => Some((first, run.number)),
        Bucket::Date(_) => None,
    });
    let number =
        |(first, number): (DateTime<Utc>, usize)| format!("({epoch} - {}) / {seconds} + {number}", first.timestamp());
    let mut cases: Vec<_> = times.collect();
    if let [only] = cases[..] {
        return number(only);
    }
    cases.reverse();
    let cases = cases.into_iter().map(|case| {
        let first = Value::Time(case.0).literal();
        format!(" WHEN {start} >= {first} THEN {}", number(case))
    });
    format!("CASE{} END", cases.collect::<String>())
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
