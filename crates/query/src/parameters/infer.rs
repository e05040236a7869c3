//! Infers the types of parameters from the expressions that they are part of.
//!
//! DataFusion infers them beside comparisons. JDBC can bind nothing to a parameter without a type, so other contexts
//! are searched too: casts, arguments, CASE, LIMIT, and `? IS NULL` beside a comparison with another parameter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::expr::{Case, Placeholder};
use datafusion::logical_expr::type_coercion::functions::{UDFCoercionExt, fields_with_udf};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, WindowFunctionDefinition};

use super::number;
use crate::QueryError;

/// What is known of the parameters, by number.
#[derive(Debug, Default)]
pub(super) struct Types {
    /// `Null` while it is unknown.
    pub(super) types: BTreeMap<usize, DataType>,
    /// Parameters whose type is only the likely one, because others would be accepted as well.
    pub(super) likely: BTreeSet<usize>,
}

/// A parameter's type may determine another's: it takes a few rounds until all are known.
const ROUNDS: usize = 4;

/// Functions whose arguments and result are of one type.
const SAME_TYPE: [&str; 6] = ["coalesce", "greatest", "ifnull", "least", "nullif", "nvl"];

pub(super) fn types(plan: &LogicalPlan) -> std::result::Result<Types, QueryError> {
    let mut found = Types::default();
    each_placeholder(plan, |placeholder| {
        let known = found
            .types
            .entry(number(&placeholder.id).map_err(|error| DataFusionError::External(Box::new(error)))?)
            .or_insert(DataType::Null);
        if let (DataType::Null, Some(field)) = (&known, &placeholder.field) {
            *known = plain(field.data_type());
        }
        Ok(())
    })?;
    for _ in 0..ROUNDS {
        let before = unknown(&found);
        if before == 0 {
            break;
        }
        plan.apply_with_subqueries(|node| {
            search(node, &mut found)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if unknown(&found) == before {
            break;
        }
    }
    Ok(found)
}

fn unknown(found: &Types) -> usize {
    found.types.values().filter(|known| known.is_null()).count()
}

fn each_placeholder(plan: &LogicalPlan, mut see: impl FnMut(&Placeholder) -> Result<()>) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(placeholder) = expr {
                    see(placeholder)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn search(node: &LogicalPlan, found: &mut Types) -> Result<()> {
    let mut schema = DFSchema::empty();
    for input in node.inputs() {
        schema.merge(input.schema());
    }
    let wanted = match node {
        LogicalPlan::Filter(_) => DataType::Boolean,
        LogicalPlan::Limit(_) => DataType::Int64,
        _ => DataType::Null,
    };
    let mut search = Search { schema: &schema, found };
    node.apply_expressions(|expr| {
        if has_placeholder(expr)? {
            search.expect(expr, &wanted)?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn has_placeholder(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))
}

/// The search within the expressions over one schema.
struct Search<'a> {
    schema: &'a DFSchema,
    found: &'a mut Types,
}

impl Search<'_> {
    /// Learns from `expr`, which its context expects to be of type `wanted`, or `Null`.
    fn expect(&mut self, expr: &Expr, wanted: &DataType) -> Result<()> {
        const ANY: DataType = DataType::Null;
        match expr {
            Expr::Placeholder(placeholder) => self.learn(placeholder, wanted),
            Expr::Alias(alias) => self.expect(&alias.expr, wanted)?,
            Expr::Negative(inner) => self.expect(inner, wanted)?,
            Expr::Cast(cast) => self.expect(&cast.expr, cast.field.data_type())?,
            Expr::TryCast(cast) => self.expect(&cast.expr, cast.field.data_type())?,
            Expr::BinaryExpr(binary) => self.binary(binary, wanted)?,
            Expr::Not(inner)
            | Expr::IsTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsNotUnknown(inner) => self.expect(inner, &DataType::Boolean)?,
            Expr::Between(between) => self.alike(&[&between.expr, &between.low, &between.high], &ANY)?,
            Expr::InList(list) => {
                let all: Vec<_> = [list.expr.as_ref()].into_iter().chain(&list.list).collect();
                self.alike(&all, &ANY)?;
            }
            Expr::Like(like) | Expr::SimilarTo(like) => self.alike(&[&like.expr, &like.pattern], &DataType::Utf8)?,
            Expr::Case(case) => self.case(case, wanted)?,
            Expr::ScalarFunction(call) if call.name() == "arrow_cast" => {
                let to = self.type_of(expr)?;
                for arg in &call.args {
                    self.expect(arg, &to)?;
                }
            }
            Expr::ScalarFunction(call) => self.arguments(call.func.as_ref(), &call.args, wanted)?,
            Expr::AggregateFunction(call) => {
                self.arguments(call.func.as_ref(), &call.params.args, &ANY)?;
                if let Some(filter) = &call.params.filter {
                    self.expect(filter, &DataType::Boolean)?;
                }
                for key in &call.params.order_by {
                    self.expect(&key.expr, &ANY)?;
                }
            }
            Expr::WindowFunction(call) => match &call.fun {
                WindowFunctionDefinition::AggregateUDF(udf) => {
                    self.arguments(udf.as_ref(), &call.params.args, &ANY)?;
                }
                WindowFunctionDefinition::WindowUDF(udf) => self.arguments(udf.as_ref(), &call.params.args, &ANY)?,
            },
            Expr::InSubquery(within) => {
                let column = first_column(&within.subquery.subquery);
                self.expect(&within.expr, &column)?;
            }
            Expr::SetComparison(comparison) => {
                let column = first_column(&comparison.subquery.subquery);
                self.expect(&comparison.expr, &column)?;
            }
            other => {
                other.apply_children(|child| {
                    self.expect(child, &ANY)?;
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(())
    }

    fn learn(&mut self, placeholder: &Placeholder, wanted: &DataType) {
        if let Ok(number) = number(&placeholder.id)
            && let Some(known) = self.found.types.get_mut(&number)
            && known.is_null()
        {
            *known = plain(wanted);
        }
    }

    /// As [`Self::expect`], where another type would be accepted too.
    fn guess(&mut self, placeholder: &Placeholder, likely: &DataType) {
        if let Ok(number) = number(&placeholder.id)
            && !likely.is_null()
            && self.found.types.get(&number).is_some_and(DataType::is_null)
        {
            self.found.types.insert(number, plain(likely));
            self.found.likely.insert(number);
        }
    }

    fn binary(&mut self, BinaryExpr { left, op, right }: &BinaryExpr, wanted: &DataType) -> Result<()> {
        match op {
            Operator::And | Operator::Or => {
                self.expect(left, &DataType::Boolean)?;
                self.expect(right, &DataType::Boolean)?;
                if *op == Operator::Or {
                    self.null_check(left, right)?;
                    self.null_check(right, left)?;
                }
                Ok(())
            }
            Operator::Plus | Operator::Minus if self.type_of(left)?.is_temporal() && is_placeholder(right) => {
                let other = match op {
                    Operator::Plus => DataType::Interval(IntervalUnit::MonthDayNano),
                    _ => self.type_of(left)?,
                };
                self.expect(left, &DataType::Null)?;
                self.expect(right, &other)
            }
            _ if op.is_numerical_operators() => self.alike(&[left, right], wanted),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => self.alike(&[left, right], &DataType::Null),
            _ => self.alike(&[left, right], &DataType::Utf8),
        }
    }

    /// `? IS NULL OR city = ?`: an optional filter. Both parameters get the same value.
    fn null_check(&mut self, check: &Expr, beside: &Expr) -> Result<()> {
        let Expr::IsNull(inner) = check else {
            return Ok(());
        };
        let Expr::Placeholder(checked) = inner.as_ref() else {
            return Ok(());
        };
        let mut other = DataType::Null;
        beside.apply(|expr| {
            if let Expr::Placeholder(_) = expr
                && other.is_null()
            {
                other = self.type_of(expr)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        self.guess(checked, &other);
        Ok(())
    }

    fn case(&mut self, case: &Case, wanted: &DataType) -> Result<()> {
        let whens: Vec<_> = case.when_then_expr.iter().map(|(when, _)| when.as_ref()).collect();
        match &case.expr {
            Some(operand) => {
                let all: Vec<_> = [operand.as_ref()].into_iter().chain(whens).collect();
                self.alike(&all, &DataType::Null)?;
            }
            None => {
                for when in whens {
                    self.expect(when, &DataType::Boolean)?;
                }
            }
        }
        let thens = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
        let results: Vec<_> = thens.chain(case.else_expr.as_deref()).collect();
        self.alike(&results, wanted)
    }

    /// Expressions of one type: that of the first one with a known type, else `wanted`.
    fn alike(&mut self, exprs: &[&Expr], wanted: &DataType) -> Result<()> {
        let mut common = wanted.clone();
        for expr in exprs {
            let known = self.type_of(expr)?;
            if !known.is_null() {
                common = known;
                break;
            }
        }
        for expr in exprs {
            self.expect(expr, &common)?;
        }
        Ok(())
    }

    /// The types that a call's NULLs would be cast to are those of its parameters.
    fn arguments<F: UDFCoercionExt>(&mut self, function: &F, args: &[Expr], wanted: &DataType) -> Result<()> {
        if SAME_TYPE.contains(&function.name()) {
            return self.alike(&args.iter().collect::<Vec<_>>(), wanted);
        }
        let given = args.iter().map(|arg| self.type_of(arg)).collect::<Result<Vec<_>>>()?;
        let taken = coerced(function, &given);
        for (index, arg) in args.iter().enumerate() {
            let expected = match (function.name(), index) {
                // Their default has the type of their result.
                ("lag" | "lead", 2) => given[0].clone(),
                _ => match taken.as_ref().and_then(|taken| taken.get(index)) {
                    Some(known) if !known.is_null() => known.clone(),
                    _ if is_placeholder(arg) && given[index].is_null() => accepted(function, &given, index),
                    _ => DataType::Null,
                },
            };
            match arg {
                Expr::Placeholder(placeholder) => self.guess(placeholder, &expected),
                other => self.expect(other, &expected)?,
            }
        }
        Ok(())
    }

    /// `Null` if it depends on a parameter of unknown type.
    fn type_of(&self, expr: &Expr) -> Result<DataType> {
        let typed = if has_placeholder(expr)? {
            expr.clone().transform(|expr| Ok(self.typed(expr)))?.data
        } else {
            return Ok(expr.get_type(self.schema).unwrap_or(DataType::Null));
        };
        Ok(typed.get_type(self.schema).unwrap_or(DataType::Null))
    }

    fn typed(&self, expr: Expr) -> Transformed<Expr> {
        let Expr::Placeholder(Placeholder { id, .. }) = &expr else {
            return Transformed::no(expr);
        };
        let known = number(id).ok().and_then(|number| self.found.types.get(&number));
        let field = known.map(|known| Arc::new(Field::new("", known.clone(), true)));
        Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(id.clone(), field)))
    }
}

/// The types that `function` casts its arguments to; `None` if it does not accept them.
fn coerced<F: UDFCoercionExt>(function: &F, given: &[DataType]) -> Option<Vec<DataType>> {
    let fields = given
        .iter()
        .map(|given| Arc::new(Field::new("", given.clone(), true)) as FieldRef);
    let taken = fields_with_udf(&fields.collect::<Vec<_>>(), function).ok()?;
    Some(taken.iter().map(|field| field.data_type().clone()).collect())
}

/// The first type that `function` accepts without a cast.
fn accepted<F: UDFCoercionExt>(function: &F, given: &[DataType], index: usize) -> DataType {
    let candidates = [
        DataType::Utf8,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Float64,
        DataType::Int64,
    ];
    let taken = candidates.into_iter().find(|candidate| {
        let mut given = given.to_vec();
        given[index] = candidate.clone();
        coerced(function, &given).is_some_and(|taken| taken.get(index) == Some(candidate))
    });
    taken.unwrap_or(DataType::Null)
}

/// Without dictionaries and views, which only say how values are stored.
fn plain(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        other => other.clone(),
    }
}

fn is_placeholder(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(_))
}

fn first_column(plan: &LogicalPlan) -> DataType {
    let fields = plan.schema().fields();
    fields.first().map_or(DataType::Null, |field| field.data_type().clone())
}
