//! The visitors of a segment in SQL. Each visitor's rows are counted once for each test, of events and of sessions; the
//! formula decides over the counts:
//!
//! ```text
//! SELECT client_hash FROM (
//!   SELECT client_hash, sum(n0) AS n0, … FROM (
//!     SELECT client_hash, count(*) FILTER (WHERE …) AS n0, … FROM events   WHERE … GROUP BY client_hash
//!     UNION ALL
//!     SELECT client_hash, 0 AS n0, …                         FROM sessions WHERE … GROUP BY client_hash) AS parts
//!   GROUP BY client_hash) AS visitors
//! WHERE n0 >= 3 AND …
//! ```

use super::{Formula, Scope, Segment, Test};
use crate::problem::Problem;
use crate::statement::{Statement, Value};
use crate::vocabulary::Base;

const BASES: [Base; 2] = [Base::Events, Base::Sessions];

impl Segment {
    /// One row for each visitor: `client_hash`.
    pub(crate) fn visitors(&self, scope: Scope<'_>) -> Result<Statement, Problem> {
        let rows = self.tests.iter().map(|test| test.rows(scope));
        let rows = rows.collect::<Result<Vec<Option<Statement>>, Problem>>()?;
        let all = self.holds_without_rows();
        // Everybody has events, so that nobody is missing whom the formula holds for without any.
        let needed = |base: &Base| self.tests.iter().any(|test| test.base == *base) || (all && *base == Base::Events);
        let bases: Vec<Base> = BASES.into_iter().filter(needed).collect();
        let mut statement = Statement::new("SELECT client_hash FROM (");
        if let [base] = bases[..] {
            statement.append(self.counts(base, &rows, all, scope));
        } else {
            let sums =
                (0..self.tests.len()).map(|index| format!(", sum(n{index}) AS n{index}, sum(r{index}) AS r{index}"));
            statement.sql(format!("SELECT client_hash{} FROM (", sums.collect::<String>()));
            for (index, base) in bases.into_iter().enumerate() {
                statement.sql(if index > 0 { "\nUNION ALL\n" } else { "" });
                statement.append(self.counts(base, &rows, all, scope));
            }
            statement.sql(") AS parts GROUP BY client_hash");
        }
        statement
            .sql(") AS visitors WHERE ")
            .append(self.decision(&self.formula));
        Ok(statement)
    }

    /// A row for each visitor, with the counts of the tests of `base`.
    fn counts(&self, base: Base, rows: &[Option<Statement>], all: bool, scope: Scope<'_>) -> Statement {
        let mut statement = Statement::new("SELECT client_hash");
        for (index, (test, rows)) in self.tests.iter().zip(rows).enumerate() {
            if test.base != base {
                statement.sql(format!(", 0 AS n{index}, CAST(NULL AS DECIMAL(38, 4)) AS r{index}"));
                continue;
            }
            for (function, name) in [("count(*)", "n"), ("sum(revenue)", "r")] {
                if name == "r" && test.revenue.is_empty() {
                    statement.sql(format!(", CAST(NULL AS DECIMAL(38, 4)) AS r{index}"));
                    continue;
                }
                statement.sql(format!(", {function}"));
                if let Some(rows) = rows {
                    statement.sql(" FILTER (WHERE ").append(rows.clone()).sql(")");
                }
                statement.sql(format!(" AS {name}{index}"));
            }
        }
        let table = if base == Base::Events { "events" } else { "sessions" };
        statement.sql(format!(" FROM {table} WHERE tracking_id = "));
        statement.bind(Value::Text(scope.tracking_id.to_owned()));
        let of_base = self.tests.iter().zip(rows).filter(|(test, _)| test.base == base);
        let of_base: Option<Vec<&Statement>> = of_base.map(|(_, rows)| rows.as_ref()).collect();
        // Visitors without any such row are not in it: the others are not read.
        if let (false, Some(of_base)) = (all, of_base) {
            for (index, rows) in of_base.iter().enumerate() {
                statement
                    .sql(if index == 0 { " AND (" } else { " OR " })
                    .append((*rows).clone());
            }
            statement.sql(")");
        }
        statement.sql(" GROUP BY client_hash");
        statement
    }

    fn decision(&self, formula: &Formula) -> Statement {
        let joined = |parts: &[Formula], by: &str| {
            let mut statement = Statement::new("(");
            for (index, part) in parts.iter().enumerate() {
                statement
                    .sql(if index > 0 { by } else { "" })
                    .append(self.decision(part));
            }
            statement.sql(")");
            statement
        };
        match formula {
            Formula::All(parts) => joined(parts, " AND "),
            Formula::Any(parts) => joined(parts, " OR "),
            Formula::Not(part) => {
                let mut statement = Statement::new("NOT (");
                statement.append(self.decision(part)).sql(")");
                statement
            }
            Formula::Test(index) => match self.tests.get(*index) {
                Some(test) => test.decision(*index),
                None => Statement::new("FALSE"),
            },
        }
    }
}

impl Test {
    /// Which rows are counted; `None`: all.
    fn rows(&self, scope: Scope<'_>) -> Result<Option<Statement>, Problem> {
        let mut parts = Vec::new();
        if let Some(period) = self.period(scope)? {
            let time = self.base.time_column();
            let mut within = Statement::new(format!("{time} >= "));
            within.bind(Value::Time(period.from)).sql(format!(" AND {time} < "));
            within.bind(Value::Time(period.to));
            parts.push(within);
        }
        if let Some(condition) = &self.condition {
            parts.push(condition.sql(self.base, scope.zone.name()));
        }
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else {
            return Ok(None);
        };
        let mut rows = Statement::new("(");
        rows.append(first);
        for part in parts {
            rows.sql(" AND ").append(part);
        }
        rows.sql(")");
        Ok(Some(rows))
    }

    fn decision(&self, index: usize) -> Statement {
        let mut statement = Statement::new(format!("(n{index} >= "));
        statement.bind(Value::Integer(self.at_least));
        if let Some(most) = self.at_most {
            statement.sql(format!(" AND n{index} <= ")).bind(Value::Integer(most));
        }
        for (sign, limit) in &self.revenue {
            statement.sql(format!(" AND coalesce(r{index}, 0) {sign} "));
            statement.bind(Value::Number(*limit));
        }
        statement.sql(")");
        statement
    }
}
