//! The clauses of a function call.

use std::collections::HashSet;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, NullTreatment, WindowFrame, WindowSpec, WindowType,
};

use super::{Checked, absent, refused};
use crate::functions;

static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = [
        SessionStateDefaults::default_aggregate_functions(),
        functions::aggregates(),
    ]
    .concat();
    names(functions.iter().map(|f| (f.name(), f.aliases())))
});

static WINDOW_FUNCTIONS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = SessionStateDefaults::default_window_functions();
    names(functions.iter().map(|f| (f.name(), f.aliases())))
});

/// Functions whose plan ignores the arguments' names.
static POSITIONAL: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = SessionStateDefaults::default_higher_order_functions();
    let mut all = names(functions.iter().map(|f| (f.name(), f.aliases())));
    all.extend(["map", "make_map", "unnest", "unnest_outer"].map(str::to_owned));
    all
});

fn names<'a>(functions: impl Iterator<Item = (&'a str, &'a [String])>) -> HashSet<String> {
    functions
        .flat_map(|(name, aliases)| [name.to_owned()].into_iter().chain(aliases.iter().cloned()))
        .collect()
}

/// Aggregates that ignore DISTINCT, though it makes a difference: prefixes of their names.
const NOT_DISTINCT: [&str; 5] = ["approx_percentile_cont", "corr", "covar", "nth_value", "regr_"];

/// Window functions that honour IGNORE NULLS.
const SKIP_NULLS: [&str; 6] = ["array_agg", "first_value", "lag", "last_value", "lead", "nth_value"];

#[derive(Clone, Copy, PartialEq)]
enum FunctionKind {
    Aggregate,
    /// With OVER, and known as a window function.
    Window,
    /// Everything else: computed for each row separately.
    Scalar,
}

impl FunctionKind {
    fn of(name: &str, over: bool) -> Self {
        // These three are aggregates too, but window functions with OVER.
        let both = ["first_value", "last_value", "nth_value"].contains(&name);
        if AGGREGATES.contains(name) && !(over && both) {
            Self::Aggregate
        } else if WINDOW_FUNCTIONS.contains(name) {
            Self::Window
        } else {
            Self::Scalar
        }
    }
}

/// What a call has in addition to its arguments.
#[derive(Default)]
struct Clauses {
    distinct: bool,
    order_by: bool,
    named: bool,
    nulls: Option<NullTreatment>,
}

pub(super) fn function(call: &Function) -> Checked {
    let Function {
        name,
        uses_odbc_syntax: _, // {fn abs(1)} is abs(1)
        parameters,
        args,
        filter,
        null_treatment,
        over,
        within_group,
    } = call;
    absent(
        !matches!(parameters, FunctionArguments::None),
        format!("{name}(…)(…)"),
        "write all arguments in one pair of parentheses",
    )?;
    let clauses = arguments(args, *null_treatment)?;
    let name = name.to_string().to_lowercase();
    if let Some(over) = over {
        match over {
            WindowType::WindowSpec(spec) => window(spec)?,
            WindowType::NamedWindow(_) => {}
        }
    }
    absent(
        clauses.named && POSITIONAL.contains(&name),
        format!("a named argument of {name}"),
        "write the arguments in their order, without names",
    )?;
    match FunctionKind::of(&name, over.is_some()) {
        FunctionKind::Scalar => scalar(
            &name,
            &[
                ("OVER", over.is_some()),
                ("FILTER", filter.is_some()),
                ("WITHIN GROUP", !within_group.is_empty()),
                ("DISTINCT", clauses.distinct),
                ("ORDER BY", clauses.order_by),
                ("IGNORE or RESPECT NULLS", clauses.nulls.is_some()),
            ],
        ),
        kind => {
            let unable = kind == FunctionKind::Window || NOT_DISTINCT.iter().any(|prefix| name.starts_with(prefix));
            absent(
                clauses.distinct && unable,
                format!("DISTINCT in {name}"),
                "select distinct rows in a subquery",
            )?;
            absent(
                clauses.nulls.is_some() && over.is_some() && !SKIP_NULLS.contains(&name.as_str()),
                format!("IGNORE or RESPECT NULLS of {name}"),
                "leave it out, or write FILTER (WHERE … IS NOT NULL)",
            )
        }
    }
}

fn scalar(name: &str, clauses: &[(&str, bool)]) -> Checked {
    match clauses.iter().find(|(_, present)| *present) {
        None => Ok(()),
        Some((clause, _)) => refused(
            format!("{clause} of {name}"),
            "only aggregates and window functions take it; write CASE, or the clause where its rows come from",
        ),
    }
}

fn arguments(args: &FunctionArguments, null_treatment: Option<NullTreatment>) -> Result<Clauses, crate::QueryError> {
    let mut found = Clauses {
        nulls: null_treatment,
        ..Clauses::default()
    };
    let list = match args {
        FunctionArguments::None => return Ok(found),
        FunctionArguments::Subquery(_) => {
            refused("a query as the only argument", "put it in parentheses of its own")?;
            return Ok(found);
        }
        FunctionArguments::List(list) => list,
    };
    let FunctionArgumentList {
        duplicate_treatment,
        args,
        clauses,
    } = list;
    found.distinct = match duplicate_treatment {
        Some(DuplicateTreatment::Distinct) => true,
        Some(DuplicateTreatment::All) | None => false,
    };
    for arg in args {
        let value = match arg {
            FunctionArg::Unnamed(value) => value,
            FunctionArg::Named {
                name: _,
                arg,
                operator: _,
            }
            | FunctionArg::ExprNamed {
                name: _,
                arg,
                operator: _,
            } => {
                found.named = true;
                arg
            }
        };
        match value {
            // The planner counts all rows, matched or not.
            FunctionArgExpr::QualifiedWildcard(table) => refused(
                format!("{table}.* as an argument"),
                "write * for all rows, or a column of the table for those where it is not null",
            )?,
            FunctionArgExpr::WildcardWithOptions(_) | FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard => {}
        }
    }
    for clause in clauses {
        match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(nulls) => found.nulls = Some(*nulls),
            FunctionArgumentClause::OrderBy(_) => found.order_by = true,
            // Refused by the planner.
            FunctionArgumentClause::Limit(_)
            | FunctionArgumentClause::OnOverflow(_)
            | FunctionArgumentClause::Having(_)
            | FunctionArgumentClause::Separator(_)
            | FunctionArgumentClause::JsonNullClause(_)
            | FunctionArgumentClause::JsonReturningClause(_) => {}
        }
    }
    Ok(found)
}

pub(super) fn window(spec: &WindowSpec) -> Checked {
    let WindowSpec {
        window_name,
        partition_by: _,
        order_by: _,
        window_frame,
    } = spec;
    if let Some(WindowFrame {
        units: _,
        start_bound: _,
        end_bound: _,
    }) = window_frame
    {}
    match window_name {
        None => Ok(()),
        Some(name) => refused(
            format!("a window that extends {name}"),
            "write PARTITION BY and ORDER BY of the whole window",
        ),
    }
}
