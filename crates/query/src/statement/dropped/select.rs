//! The clauses of one SELECT, and joins.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, GroupByWithModifier, Join, JoinConstraint, JoinOperator,
    NamedWindowDefinition, NamedWindowExpr, Select, SelectFlavor, SelectItem, TableWithJoins,
    WildcardAdditionalOptions, WindowType, visit_expressions,
};

use super::function::window;
use super::{Checked, absent, refused};

pub(in super::super) fn select(select: &Select) -> Checked {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into: _, // refused as a write
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    if let Some(hint) = optimizer_hints.first() {
        return refused(format!("the hint {hint}"), "leave it out; the planner takes no hints");
    }
    if let Some(modifiers) = select_modifiers {
        return refused(modifiers, "leave it out");
    }
    let clauses = [
        (top.is_some(), "TOP", "write LIMIT after the query"),
        (
            exclude.is_some(),
            "EXCLUDE after the columns",
            "write SELECT * EXCLUDE (…)",
        ),
        (
            !lateral_views.is_empty(),
            "LATERAL VIEW",
            "write unnest(…) among the columns",
        ),
        (
            prewhere.is_some(),
            "PREWHERE",
            "write WHERE; what can be decided early is",
        ),
        (!connect_by.is_empty(), "CONNECT BY", "write WITH RECURSIVE"),
        (!cluster_by.is_empty(), "CLUSTER BY", "write ORDER BY"),
        (!distribute_by.is_empty(), "DISTRIBUTE BY", "leave it out"),
        (!sort_by.is_empty(), "SORT BY", "write ORDER BY"),
        (
            value_table_mode.is_some(),
            "SELECT AS STRUCT or AS VALUE",
            "write struct(…) among the columns",
        ),
        (
            *flavor == SelectFlavor::FromFirstNoSelect,
            "FROM without SELECT",
            "write SELECT * FROM",
        ),
    ];
    for (present, clause, instead) in clauses {
        absent(present, clause, instead)?;
    }
    projection.iter().try_for_each(item)?;
    grouping(group_by)?;
    from.iter().try_for_each(joins)?;
    windows(named_window)?;
    // The planner resolves the names of WINDOW only in the select list.
    let elsewhere = [selection, having, qualify].into_iter().flatten();
    elsewhere
        .chain(distinct_on(distinct.as_ref()))
        .try_for_each(no_named_window)
}

pub(super) fn item(item: &SelectItem) -> Checked {
    let options = match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => options,
        SelectItem::UnnamedExpr(_)
        | SelectItem::ExprWithAlias { expr: _, alias: _ }
        | SelectItem::ExprWithAliases { expr: _, aliases: _ } => return Ok(()),
    };
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude: _,
        opt_except: _,
        opt_replace: _,
        opt_rename: _, // refused by the planner, as the next
        opt_alias: _,
    } = options;
    absent(
        opt_ilike.is_some(),
        "ILIKE after *",
        "name the columns; information_schema.columns lists them",
    )
}

fn grouping(group_by: &GroupByExpr) -> Checked {
    let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = group_by;
    match modifiers.first() {
        None => Ok(()),
        Some(modifier @ (GroupByWithModifier::Rollup | GroupByWithModifier::Cube)) => {
            refused(modifier, "write GROUP BY ROLLUP (…) or CUBE (…)")
        }
        Some(modifier @ (GroupByWithModifier::Totals | GroupByWithModifier::GroupingSets(_))) => {
            refused(modifier, "write GROUP BY GROUPING SETS ((…), ())")
        }
    }
}

fn distinct_on(distinct: Option<&Distinct>) -> &[Expr] {
    match distinct {
        Some(Distinct::On(keys)) => keys,
        Some(Distinct::All | Distinct::Distinct) | None => &[],
    }
}

fn windows(named: &[NamedWindowDefinition]) -> Checked {
    named
        .iter()
        .try_for_each(|NamedWindowDefinition(_, definition)| match definition {
            NamedWindowExpr::WindowSpec(spec) => window(spec),
            NamedWindowExpr::NamedWindow(name) => refused(
                format!("WINDOW … AS {name}"),
                "write the window's definition in parentheses",
            ),
        })
}

pub(super) fn no_named_window(within: &Expr) -> Checked {
    let found = visit_expressions(within, |expr| match expr {
        Expr::Function(Function {
            over: Some(WindowType::NamedWindow(name)),
            ..
        }) => ControlFlow::Break(name.clone()),
        _ => ControlFlow::Continue(()),
    });
    match found {
        ControlFlow::Break(name) => refused(
            format!("OVER {name} outside of the columns"),
            "name a column with this window and use its name, or write the definition in parentheses",
        ),
        ControlFlow::Continue(()) => Ok(()),
    }
}

pub(super) fn joins(table: &TableWithJoins) -> Checked {
    let TableWithJoins { relation: _, joins } = table;
    joins.iter().try_for_each(join)
}

pub(super) fn join(each: &Join) -> Checked {
    let Join {
        relation: _,
        global,
        join_operator,
    } = each;
    absent(*global, "GLOBAL JOIN", "write JOIN")?;
    // Without a common column, the planner makes a cross join of every kind.
    let outer = match join_operator {
        JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => constraint,
        // Inner joins, and those that the planner refuses.
        JoinOperator::Join(_)
        | JoinOperator::Inner(_)
        | JoinOperator::CrossJoin(_)
        | JoinOperator::Semi(_)
        | JoinOperator::Anti(_)
        | JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::AsOf {
            match_condition: _,
            constraint: _,
        }
        | JoinOperator::StraightJoin(_)
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => return Ok(()),
    };
    match outer {
        JoinConstraint::Natural => refused(
            "NATURAL with an outer, semi or anti join",
            "write USING and the columns in common",
        ),
        JoinConstraint::On(_) | JoinConstraint::Using(_) | JoinConstraint::None => Ok(()),
    }
}
