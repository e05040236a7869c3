//! Expressions over the columns of events, moved to the columns of a rollup's segments.

use std::sync::LazyLock;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use footfall_model::rollup::{Function, HashedId, Rollup, VISITOR_COLUMN};
use footfall_model::schema;
use footfall_model::table::SITE_COLUMN;

use super::buckets::{self, TIME};
use super::fit::type_is;
use crate::functions::id_hash;
use crate::semantics::product;

/// The segments of a rollup, as far as one aggregate may use them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) rollup: &'a Rollup,
    /// The value of `event_type` that alone counts, where the rollup has no such dimension but counts its events.
    pub(super) only: Option<&'a str>,
}

/// Why an expression has no equal over segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The rollup doesn't have this column.
    Column(String),
    /// The expression differs within a bucket.
    Time(String),
    /// The rollup is limited to some sites, and the statement is not.
    Sites,
    /// The aggregate has no equal over segments.
    Aggregate(String),
}

/// The type of times.
fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A column by its exact name.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The columns of events, without a table's name.
pub(super) fn event_columns() -> Result<&'static DFSchema> {
    static COLUMNS: LazyLock<Option<DFSchema>> =
        LazyLock::new(|| DFSchema::try_from(schema::events().as_ref().clone()).ok());
    COLUMNS
        .as_ref()
        .ok_or_else(|| datafusion::common::internal_datafusion_err!("the columns of events repeat a name"))
}

impl Segment<'_> {
    /// `expr`, which has one value for all events of a row, over the row's columns. Hashes of ids are columns of it too.
    pub(super) fn key(&self, expr: &Expr) -> Result<Expr, Unfit> {
        let tested_by_hash;
        let expr = if self.rollup.ids.is_empty() {
            expr
        } else {
            tested_by_hash = self.with_null_tests_of_hashes(expr.clone())?;
            &tested_by_hash
        };
        let mut names: Vec<&str> = expr.column_refs().into_iter().map(Column::name).collect();
        names.sort_unstable();
        for name in names {
            if name != TIME && !self.has(name) {
                return Err(Unfit::Column(name.to_owned()));
            }
        }
        if !buckets::is_constant(expr, self.rollup.grain) {
            return Err(Unfit::Time(expr.to_string()));
        }
        let moved = expr.clone().transform_up(|part| {
            Ok(match part {
                Expr::Column(column) if column.name() == TIME => Transformed::yes(self.bucket()),
                other => Transformed::no(other),
            })
        });
        moved
            .map(|moved| moved.data)
            .map_err(|error| Unfit::Column(error.to_string()))
    }

    fn has(&self, name: &str) -> bool {
        name == SITE_COLUMN
            || name == schema::PARTITION_COLUMN
            || (self.rollup.per_visitor && name == VISITOR_COLUMN)
            || self.rollup.ids.iter().any(|id| id.hash_column() == name)
            || self.rollup.dimensions.iter().any(|dimension| dimension == name)
    }

    /// The id that is in this column of events, if rows have its hash.
    pub(super) fn id(&self, name: &str) -> Option<HashedId> {
        self.rollup.ids.iter().copied().find(|id| id.column() == name)
    }

    /// `expr` with `session_hash IS NULL` for `session_id IS NULL`, and the like, where rows have the hash.
    fn with_null_tests_of_hashes(&self, expr: Expr) -> Result<Expr, Unfit> {
        let hash = |tested: &Expr| match tested {
            Expr::Column(name) => self.id(name.name()).map(|id| Box::new(column(id.hash_column()))),
            _ => None,
        };
        let replaced = expr.transform_up(|part| {
            let test = match &part {
                Expr::IsNull(tested) => hash(tested).map(Expr::IsNull),
                Expr::IsNotNull(tested) => hash(tested).map(Expr::IsNotNull),
                _ => None,
            };
            Ok(test.map_or_else(|| Transformed::no(part), Transformed::yes))
        });
        replaced
            .map(|replaced| replaced.data)
            .map_err(|error| Unfit::Column(error.to_string()))
    }

    /// The start of a row's bucket, as the time of its events.
    pub(super) fn bucket(&self) -> Expr {
        match self.rollup.grain.column() {
            Some(name) => column(name),
            None => cast(column(schema::PARTITION_COLUMN), utc()),
        }
    }

    /// The measure with this function, if rows have it for the events that count.
    pub(super) fn measure(&self, function: &Function) -> Option<Expr> {
        let function = match (self.only, function) {
            (None, function) => function.clone(),
            (Some(value), Function::Count) => of_type(value),
            (Some(_), _) => return None,
        };
        let mut measures = self.rollup.measures.iter();
        let found = measures.find(|measure| measure.function == function);
        found.map(|measure| column(&measure.name))
    }

    /// The number of a row's events.
    pub(super) fn weight(&self) -> Option<Expr> {
        self.measure(&Function::Count)
    }

    /// The number of a row's events for which `condition` holds, if that names a type of event which the rollup counts.
    pub(super) fn count_of_type(&self, condition: &Expr) -> Option<Expr> {
        let named = type_is(condition)?;
        match self.only {
            Some(only) if only == named => self.weight(),
            Some(_) => Some(lit(0_i64)),
            None => self.measure(&of_type(named)),
        }
    }

    /// The number of a row's events in which `expr` is not null.
    pub(super) fn count(&self, expr: &Expr) -> Option<Expr> {
        if never_null(expr) {
            return self.weight();
        }
        if let Ok(key) = self.key(expr) {
            return Some(if_then(key.is_not_null(), self.weight()?, lit(0_i64)));
        }
        match expr {
            Expr::Column(name) => match self.id(name.name()) {
                Some(id) => Some(if_then(
                    column(id.hash_column()).is_not_null(),
                    self.weight()?,
                    lit(0_i64),
                )),
                None => self.measure(&Function::CountOf(name.name.clone())),
            },
            Expr::Case(_) => self
                .case(expr, |value| self.count(value), lit(0_i64))
                .or_else(|| match if_else(expr)? {
                    (when, then, None) if never_null(then) => self.count_of_type(when),
                    _ => None,
                }),
            _ => None,
        }
    }

    /// The sum of `expr` over a row's events; null if it is null in all of them. Decimals are of the widest type.
    pub(super) fn sum(&self, expr: &Expr) -> Option<Expr> {
        let columns = event_columns().ok()?;
        let data_type = expr.get_type(columns).ok()?;
        if let Expr::Literal(value, _) = expr
            && (value.is_null() || is_zero(value))
        {
            return Some(cast(expr.clone(), widest(&data_type)?));
        }
        if let Ok(key) = self.key(expr) {
            return match data_type {
                DataType::Int64 => Some(product(key, self.weight()?)),
                _ => None,
            };
        }
        match expr {
            Expr::Column(column) => self.measure(&Function::Sum(column.name.clone())),
            // Nothing is rounded.
            Expr::Cast(to) if widens(&to.expr.get_type(columns).ok()?, &data_type) => {
                Some(cast(self.sum(&to.expr)?, widest(&data_type)?))
            }
            Expr::Case(_) => match or_zero(expr) {
                Some(value) => {
                    let sum = self.sum(value)?;
                    let zero = cast(lit(0_i64), widest(&data_type)?);
                    Some(if_then(sum.clone().is_not_null(), sum, zero))
                }
                None => {
                    let null = ScalarValue::try_from(&widest(&data_type)?).ok()?;
                    let sum = self.case(expr, |value| self.sum(value), lit(null));
                    sum.or_else(|| self.sum_of_type(expr))
                }
            },
            _ => None,
        }
    }

    /// The sum of `CASE WHEN event_type = 'pageview' THEN 1 ELSE 0 END`.
    fn sum_of_type(&self, expr: &Expr) -> Option<Expr> {
        match if_else(expr)? {
            (when, Expr::Literal(ScalarValue::Int64(Some(1)), _), Some(otherwise)) if is_literal_zero(otherwise) => {
                self.count_of_type(when)
            }
            _ => None,
        }
    }

    /// The extreme of `expr` over a row's events, where `function` is that of a column.
    pub(super) fn extreme(&self, expr: &Expr, function: fn(String) -> Function) -> Option<Expr> {
        if let Ok(key) = self.key(expr) {
            return Some(key);
        }
        match expr {
            Expr::Column(column) => self.measure(&function(column.name.clone())),
            Expr::Case(_) => {
                let data_type = expr.get_type(event_columns().ok()?).ok()?;
                let null = ScalarValue::try_from(&data_type).ok()?;
                self.case(expr, |value| self.extreme(value, function), lit(null))
            }
            _ => None,
        }
    }

    /// `CASE` whose conditions have one value on a row: `of` of the value that the row's events have.
    fn case(&self, expr: &Expr, of: impl Fn(&Expr) -> Option<Expr>, otherwise: Expr) -> Option<Expr> {
        let Expr::Case(case) = expr else { return None };
        if case.expr.is_some() {
            return None;
        }
        let branches = case.when_then_expr.iter().map(|(when, then)| {
            let when = self.key(when).ok()?;
            Some((Box::new(when), Box::new(of(then)?)))
        });
        let otherwise = match &case.else_expr {
            Some(value) => of(value)?,
            None => otherwise,
        };
        Some(Expr::Case(datafusion::logical_expr::Case::new(
            None,
            branches.collect::<Option<_>>()?,
            Some(Box::new(otherwise)),
        )))
    }
}

/// Counts events of this type.
pub(super) fn of_type(value: &str) -> Function {
    Function::CountWhere {
        column: "event_type".to_owned(),
        value: value.to_owned(),
    }
}

/// `expr` as the hash of what it gives, where that is an id or null: they are equal for the same events of one site. `hash`
/// is that of a column.
pub(super) fn hashed(expr: &Expr, hash: fn(&str) -> Option<Expr>) -> Option<Expr> {
    match expr {
        Expr::Column(name) => hash(name.name()),
        Expr::Literal(value, _) if value.is_null() => Some(lit(ScalarValue::Int64(None))),
        Expr::Case(case) if case.expr.is_none() => {
            let mut case = case.clone();
            for (_, then) in &mut case.when_then_expr {
                **then = hashed(then, hash)?;
            }
            case.else_expr = match case.else_expr {
                Some(value) => Some(Box::new(hashed(&value, hash)?)),
                None => None,
            };
            Some(Expr::Case(case))
        }
        _ => None,
    }
}

/// The hash of this id as segments have it.
pub(super) fn stored_hash(name: &str) -> Option<Expr> {
    let mut ids = HashedId::ALL.into_iter();
    let hash = ids.find(|id| id.column() == name).map(HashedId::hash_column);
    hash.or((name == CLIENT_ID).then_some(VISITOR_COLUMN)).map(column)
}

/// The same of an event.
pub(super) fn hash_of_event(name: &str) -> Option<Expr> {
    let is_id = HashedId::ALL.iter().any(|id| id.column() == name);
    match name {
        CLIENT_ID => Some(column(VISITOR_COLUMN)),
        name => is_id.then(|| id_hash(column(SITE_COLUMN), column(name))),
    }
}

/// The visitor's id, whose hash events have.
pub(super) const CLIENT_ID: &str = "client_id";

/// `x` of `CASE WHEN x IS NOT NULL THEN x ELSE 0 END`, which `coalesce(x, 0)` becomes.
fn or_zero(expr: &Expr) -> Option<&Expr> {
    let Expr::Case(case) = expr else { return None };
    let ([(when, then)], Some(otherwise)) = (case.when_then_expr.as_slice(), &case.else_expr) else {
        return None;
    };
    let zero = is_literal_zero(otherwise);
    let same = matches!(when.as_ref(), Expr::IsNotNull(tested) if tested == then);
    (case.expr.is_none() && zero && same).then_some(then.as_ref())
}

/// Condition, value and other value of a `CASE` with one branch; an absent and a null `ELSE` are `None`.
fn if_else(expr: &Expr) -> Option<(&Expr, &Expr, Option<&Expr>)> {
    let Expr::Case(case) = expr else { return None };
    let [(when, then)] = case.when_then_expr.as_slice() else {
        return None;
    };
    let otherwise = case.else_expr.as_deref();
    let otherwise = otherwise.filter(|value| !matches!(value, Expr::Literal(value, _) if value.is_null()));
    case.expr.is_none().then_some((when, then, otherwise))
}

/// Whether `expr` has a value in every event.
pub(super) fn never_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Column(_) => event_columns().is_ok_and(|columns| expr.nullable(columns).is_ok_and(|nullable| !nullable)),
        _ => false,
    }
}

fn is_literal_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if is_zero(value))
}

fn is_zero(value: &ScalarValue) -> bool {
    matches!(
        value,
        ScalarValue::Decimal128(Some(0), ..) | ScalarValue::Int64(Some(0))
    )
}

/// The type of a sum of sums.
pub(super) fn widest(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Int64 => Some(DataType::Int64),
        DataType::Decimal128(_, scale) => Some(DataType::Decimal128(38, *scale)),
        _ => None,
    }
}

fn widens(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Decimal128(p, s), DataType::Decimal128(to_p, to_s)) => {
            to_s >= s && i16::from(*to_p) - i16::from(*to_s) >= i16::from(*p) - i16::from(*s)
        }
        _ => false,
    }
}

pub(super) fn if_then(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Case(datafusion::logical_expr::Case::new(
        None,
        vec![(Box::new(condition), Box::new(then))],
        Some(Box::new(otherwise)),
    ))
}
