//! The clauses around a SELECT: WITH, ORDER BY, LIMIT and what follows them.

use datafusion::sql::sqlparser::ast::{
    Cte, ExprWithAliasAndOrderBy, LimitClause, Offset, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, PipeOperator,
    Query, SetExpr, SetQuantifier, Values, With,
};

use super::select::{item, join, no_named_window};
use super::table::alias as table_alias;
use super::{Checked, absent, refused};

pub(in super::super) fn query(query: &Query) -> Checked {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks: _, // refused as a write
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    absent(fetch.is_some(), "FETCH", "write LIMIT and the number of rows")?;
    if let Some(clause) = for_clause {
        return refused(clause, "leave it out; results are Arrow");
    }
    absent(settings.is_some(), "SETTINGS", "leave it out")?;
    if let Some(clause) = format_clause {
        return refused(clause, "leave it out; results are Arrow");
    }
    if let Some(with) = with {
        ctes(with)?;
    }
    set_operand(body)?;
    if let Some(order_by) = order_by {
        sorting(order_by, body)?;
    }
    if let Some(limit) = limit_clause {
        limits(limit)?;
    }
    pipe_operators.iter().try_for_each(pipe)
}

fn ctes(with: &With) -> Checked {
    let With {
        with_token: _,
        recursive,
        cte_tables,
    } = with;
    for cte in cte_tables {
        let Cte {
            alias,
            query,
            from,
            materialized,
            closing_paren_token: _,
        } = cte;
        table_alias(alias)?;
        absent(from.is_some(), "FROM after a query of WITH", "select from its name")?;
        absent(
            materialized.is_some(),
            "MATERIALIZED",
            "leave it out; a name of WITH stands for its query wherever it is used",
        )?;
        if *recursive {
            recursive_term(query)?;
        }
    }
    Ok(())
}

/// The planner uses only the two sides of a recursive query's UNION.
fn recursive_term(query: &Query) -> Checked {
    let SetExpr::SetOperation { set_quantifier, .. } = query.body.as_ref() else {
        return Ok(());
    };
    absent(
        query.with.is_some()
            || query.order_by.is_some()
            || query.limit_clause.is_some()
            || !query.pipe_operators.is_empty(),
        "WITH, ORDER BY, LIMIT or a pipe operator inside a recursive query",
        "write it in the query that reads the recursive one",
    )?;
    absent(
        matches!(
            set_quantifier,
            SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
        ),
        "BY NAME in a recursive query",
        "give both sides the same order of columns",
    )
}

fn set_operand(body: &SetExpr) -> Checked {
    match body {
        SetExpr::SetOperation {
            left,
            op: _,
            set_quantifier: _,
            right,
        } => {
            set_operand(left)?;
            set_operand(right)
        }
        SetExpr::Values(Values {
            explicit_row: _, // VALUES ROW(1) is VALUES (1)
            value_keyword: _,
            rows: _,
        })
        // These are visited themselves.
        | SetExpr::Select(_)
        | SetExpr::Query(_)
        // The planner refuses TABLE; the others are refused as writes.
        | SetExpr::Table(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_) => Ok(()),
    }
}

fn sorting(order_by: &OrderBy, body: &SetExpr) -> Checked {
    let OrderBy { kind, interpolate } = order_by;
    absent(interpolate.is_some(), "INTERPOLATE", "leave it out")?;
    match kind {
        OrderByKind::All(OrderByOptions { asc: _, nulls_first: _ }) => absent(
            !matches!(body, SetExpr::Select(_)),
            "ORDER BY ALL after a set operation or VALUES",
            "name the columns",
        ),
        OrderByKind::Expressions(keys) => keys.iter().try_for_each(sort_key),
    }
}

pub(super) fn sort_key(key: &OrderByExpr) -> Checked {
    let OrderByExpr {
        expr,
        options: OrderByOptions { asc: _, nulls_first: _ },
        with_fill,
    } = key;
    absent(
        with_fill.is_some(),
        "WITH FILL",
        "join with generate_series, which has a row for every step",
    )?;
    no_named_window(expr)
}

fn limits(limit: &LimitClause) -> Checked {
    match limit {
        LimitClause::LimitOffset {
            limit: _,
            offset,
            limit_by,
        } => {
            if let Some(Offset { value: _, rows: _ }) = offset {}
            absent(
                !limit_by.is_empty(),
                "LIMIT … BY",
                "number the rows by row_number() OVER (PARTITION BY …) and keep the first with QUALIFY",
            )
        }
        LimitClause::OffsetCommaLimit { offset: _, limit: _ } => Ok(()),
    }
}

/// The pipe operators that the planner knows.
fn pipe(operator: &PipeOperator) -> Checked {
    match operator {
        PipeOperator::Aggregate {
            full_table_exprs,
            group_by_expr,
        } => full_table_exprs.iter().chain(group_by_expr).try_for_each(|each| {
            let ExprWithAliasAndOrderBy { expr: _, order_by } = each;
            let OrderByOptions { asc, nulls_first } = order_by;
            absent(
                asc.is_some() || nulls_first.is_some(),
                "an order inside |> AGGREGATE",
                "write |> ORDER BY after it",
            )
        }),
        PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } => exprs.iter().try_for_each(item),
        PipeOperator::OrderBy { exprs } => exprs.iter().try_for_each(sort_key),
        PipeOperator::Join(each) => join(each),
        _ => Ok(()),
    }
}
