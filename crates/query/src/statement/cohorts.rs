//! `FROM retention_cohorts('shop', '2026-11-01', '2026-11-30')` becomes a subquery over `events`: it reads what its caller
//! may read, and is routed like any other statement.
//!
//! ```text
//! visits:   visitor, period in which it came      -> cohort: its first one
//! counts:   cohort, periods after it, visitors    x  every period since the oldest cohort
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, TableAlias, TableFactor, TableFunctionArgs, Value,
    ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::dialect;
use crate::QueryError;

const NAME: &str = "retention_cohorts";

/// Events are kept for months; so many days are years.
const MOST_PERIODS: u32 = 4_000;

/// The length of a cohort's period, and of those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
}

/// Replaces a call; other tables stay as they are.
pub(super) fn rewrite(table: &mut TableFactor) -> Result<(), QueryError> {
    let TableFactor::Table {
        name,
        alias,
        args: Some(TableFunctionArgs { args, settings: None }),
        sample: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        index_hints,
    } = table
    else {
        return Ok(());
    };
    if !is_named(name) || !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
        return Ok(());
    }
    let call = Call::of(args)?;
    let alias = alias.clone().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new(NAME),
        columns: Vec::new(),
        at: None,
    });
    *table = TableFactor::Derived {
        lateral: false,
        subquery: call.query()?,
        alias: Some(alias),
        sample: None,
    };
    Ok(())
}

fn is_named(name: &ObjectName) -> bool {
    let [part] = name.0.as_slice() else { return false };
    part.as_ident().is_some_and(|ident| match ident.quote_style {
        Some(_) => ident.value == NAME,
        None => ident.value.eq_ignore_ascii_case(NAME),
    })
}

/// The arguments of a call.
struct Call {
    /// Site, first and last day, time zone: `$1` to `$4` of the template.
    values: [Expr; 4],
    unit: Unit,
    unbounded: bool,
}

impl Call {
    fn of(args: &[FunctionArg]) -> Result<Self, QueryError> {
        let args: Option<Vec<&Expr>> = args.iter().map(unnamed).collect();
        let args = args.ok_or_else(usage)?;
        let (needed, options) = args.split_at_checked(3).ok_or_else(usage)?;
        let [site, from, to] = needed else { return Err(usage()) };
        if options.len() > 3 {
            return Err(usage());
        }
        for value in needed {
            if let ControlFlow::Break(what) = value.visit(&mut Constant) {
                return Err(QueryError::Invalid(format!(
                    "{NAME} takes constants and parameters, not {what}"
                )));
            }
        }
        let mut options = options.iter().map(|option| text(option));
        let mut option = || options.next().transpose();
        let (unit, mode, zone) = (option()?, option()?, option()?);
        Ok(Self {
            unit: Unit::named(unit.as_deref().unwrap_or("day"))?,
            unbounded: is_unbounded(mode.as_deref().unwrap_or("on"))?,
            values: [
                (*site).clone(),
                (*from).clone(),
                (*to).clone(),
                literal(zone.unwrap_or_else(|| "UTC".to_owned())),
            ],
        })
    }

    fn query(self) -> Result<Box<Query>, QueryError> {
        let sql = self.template();
        let mut query = Parser::new(&dialect::Sql)
            .try_with_sql(&sql)
            .and_then(|mut parser| parser.parse_query())
            .map_err(|error| QueryError::Internal(format!("{NAME} can't be written: {error}")))?;
        let _ = VisitMut::visit(&mut query, &mut Fill(self.values));
        Ok(query)
    }

    fn template(&self) -> String {
        let unit = self.unit.name();
        let start = |of: &str| format!("CAST(date_trunc('{unit}', {of}) AS DATE)");
        let seen = start("event_timestamp AT TIME ZONE $4");
        let today = start("(now() AT TIME ZONE $4)");
        let from = start("CAST($2 AS DATE)");
        let between = |first: &str, later: &str| self.unit.between(first, later);
        // A visitor's row for each period, or one for its last.
        let (cohorts, counted) = if self.unbounded {
            (
                // A client's clock may be ahead.
                format!(
                    "SELECT min(seen) AS cohort, least(max(seen), {today}) AS seen FROM visits GROUP BY client_hash"
                ),
                ">=",
            )
        } else {
            (
                "SELECT min(seen) OVER (PARTITION BY client_hash) AS cohort, seen FROM visits".to_owned(),
                "=",
            )
        };
        let size = if self.unbounded {
            "sum(n) OVER (PARTITION BY cohort)"
        } else {
            // The first period is the cohort's own.
            "first_value(n) OVER (PARTITION BY cohort ORDER BY later)"
        };
        format!(
            "WITH visits AS (SELECT client_hash, {seen} AS seen FROM footfall.public.events WHERE tracking_id = $1 GROUP BY 1, 2), \
             cohorts AS ({cohorts}), \
             counts AS (SELECT cohort, {later} AS later, count(*) AS n FROM cohorts \
             WHERE cohort >= {from} AND cohort <= CAST($3 AS DATE) GROUP BY 1, 2), \
             sized AS (SELECT cohort, later, n, {size} AS visitors, {age} AS age, max({age}) OVER () AS oldest, \
             row_number() OVER (PARTITION BY cohort ORDER BY later) AS nth FROM counts), \
             periods AS (SELECT value AS period FROM generate_series(0, {MOST_PERIODS}) WHERE value <= {since}), \
             cells AS (SELECT cohort, period, visitors, period = 0 OR period < age AS is_over, \
             coalesce(sum(n) FILTER (WHERE later {counted} period), 0) AS retained \
             FROM sized CROSS JOIN periods WHERE period <= oldest AND (nth = 1 OR later {counted} period) \
             GROUP BY cohort, period, visitors, age) \
             SELECT cohort, period, visitors, CASE WHEN is_over THEN retained END AS retained, \
             CASE WHEN is_over THEN CAST(retained AS DOUBLE) / CAST(visitors AS DOUBLE) END AS retention_rate FROM cells",
            later = between("cohort", "seen"),
            age = between("cohort", &today),
            since = between(&from, &today),
        )
    }
}

impl Unit {
    fn named(name: &str) -> Result<Self, QueryError> {
        match name {
            "day" => Ok(Self::Day),
            "week" => Ok(Self::Week),
            "month" => Ok(Self::Month),
            other => Err(QueryError::Invalid(format!(
                "the cohorts of {NAME} are of a 'day', 'week' or 'month', not {other:?}"
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// How many periods lie between the starts of two.
    fn between(self, first: &str, later: &str) -> String {
        let days = |days: u32| {
            let seconds = format!("(extract(epoch FROM {later}) - extract(epoch FROM {first}))");
            format!("CAST({seconds} / {}.0 AS BIGINT)", days * 86_400)
        };
        let months = |date: &str| format!("extract(year FROM {date}) * 12 + extract(month FROM {date})");
        match self {
            Self::Day => days(1),
            Self::Week => days(7),
            Self::Month => format!("CAST({} - ({}) AS BIGINT)", months(later), months(first)),
        }
    }
}

fn is_unbounded(mode: &str) -> Result<bool, QueryError> {
    match mode {
        "on" => Ok(false),
        "unbounded" => Ok(true),
        other => Err(QueryError::Invalid(format!(
            "{NAME} counts visitors seen 'on' a period, or, 'unbounded', on it or later; not {other:?}"
        ))),
    }
}

fn unnamed(arg: &FunctionArg) -> Option<&Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

fn text(expr: &Expr) -> Result<String, QueryError> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            ..
        }) => Ok(text.clone()),
        other => Err(QueryError::Invalid(format!(
            "unit, mode and time zone of {NAME} are texts such as 'week', not {other}"
        ))),
    }
}

fn literal(text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).into())
}

fn usage() -> QueryError {
    QueryError::Invalid(format!(
        "{NAME} takes a site, the first and the last day of cohorts, and optionally unit, mode and time zone: \
         {NAME}('shop', '2026-11-01', '2026-11-30', 'week', 'unbounded', 'Europe/Brussels')"
    ))
}

/// Stops at what is no constant.
struct Constant;

impl Visitor for Constant {
    type Break = String;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
        ControlFlow::Break("a subquery".to_owned())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(format!("the column {expr}")),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => ControlFlow::Break(expr.to_string()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Puts the arguments in place of `$1`, `$2`….
struct Fill([Expr; 4]);

impl VisitorMut for Fill {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(ValueWithSpan {
            value: Value::Placeholder(id),
            ..
        }) = expr
            && let Some(value) = id.strip_prefix('$').and_then(|id| id.parse::<usize>().ok())
            && let Some(value) = self.0.get(value.wrapping_sub(1))
        {
            *expr = value.clone();
        }
        ControlFlow::Continue(())
    }
}
