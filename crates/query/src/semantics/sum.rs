//! `sum` that fails where DataFusion's wraps around.
//!
//! Parts are added up in 128 bits, and only the whole has to fit into its type: the order of rows never decides.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, PrimitiveArray};
use arrow::compute::{and, is_not_null, nullif};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, DecimalType, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};
use datafusion::physical_expr::NullState;

use crate::QueryError;

/// DataFusion's `sum`, checked where its result is an integer or a decimal of 128 bits.
pub(super) fn checked(sum: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(CheckedSum { sum }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedSum {
    sum: Arc<AggregateUDF>,
}

/// What the parts of a sum of this type are kept in; `None` if it is left to DataFusion.
fn state_type(result: &DataType) -> Option<DataType> {
    match result {
        DataType::Int64 | DataType::UInt64 => Some(DataType::Decimal128(38, 0)),
        DataType::Decimal128(_, scale) => Some(DataType::Decimal128(38, *scale)),
        _ => None,
    }
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.sum.name()
    }

    fn aliases(&self) -> &[String] {
        self.sum.aliases()
    }

    fn signature(&self) -> &Signature {
        self.sum.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.sum.return_type(arguments)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let result = args.return_type().clone();
        if args.is_distinct && state_type(&result).is_some() {
            let values = self.sum.accumulator(args)?;
            return Ok(Box::new(DistinctSum { values, result }));
        }
        match result {
            DataType::Int64 => Ok(Box::new(Sum::<Int64Type>::new(result))),
            DataType::UInt64 => Ok(Box::new(Sum::<UInt64Type>::new(result))),
            DataType::Decimal128(..) => Ok(Box::new(Sum::<Decimal128Type>::new(result))),
            _ => self.sum.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match state_type(args.return_type()) {
            Some(state) if !args.is_distinct => Ok(vec![Arc::new(Field::new(
                format_state_name(args.name, "sum"),
                state,
                true,
            ))]),
            _ => self.sum.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let result = args.return_type().clone();
        match result {
            DataType::Int64 => Ok(Box::new(Sums::<Int64Type>::new(result))),
            DataType::UInt64 => Ok(Box::new(Sums::<UInt64Type>::new(result))),
            DataType::Decimal128(..) => Ok(Box::new(Sums::<Decimal128Type>::new(result))),
            _ => self.sum.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match state_type(args.return_type()) {
            Some(_) if !args.is_distinct => self.accumulator(args),
            _ => self.sum.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.sum.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.sum.documentation()
    }
}

fn too_large(result: &DataType) -> DataFusionError {
    let instead = match result {
        DataType::Decimal128(..) => "sum fewer rows, or sum(CAST(x AS DOUBLE))",
        _ => "write sum(CAST(x AS DECIMAL(38, 0)))",
    };
    DataFusionError::External(Box::new(QueryError::Invalid(format!(
        "the sum does not fit into {result}; {instead}"
    ))))
}

/// `sum` as a value of `result`.
fn fit(sum: i128, result: &DataType) -> Result<ScalarValue> {
    let value = match result {
        DataType::Int64 => i64::try_from(sum).ok().map(ScalarValue::from),
        DataType::UInt64 => u64::try_from(sum).ok().map(ScalarValue::from),
        DataType::Decimal128(precision, scale) => Decimal128Type::is_valid_decimal_precision(sum, *precision)
            .then_some(ScalarValue::Decimal128(Some(sum), *precision, *scale)),
        other => return internal_err!("a checked sum of {other}"),
    };
    value.ok_or_else(|| too_large(result))
}

fn add(sum: &mut i128, value: i128, overflowed: &mut bool) {
    let (added, over) = sum.overflowing_add(value);
    *sum = added;
    *overflowed |= over;
}

/// One sum.
struct Sum<T> {
    sum: i128,
    /// Of values that are not null.
    count: u64,
    result: DataType,
    of: PhantomData<T>,
}

impl<T> fmt::Debug for Sum<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({})", self.result)
    }
}

impl<T> Sum<T> {
    fn new(result: DataType) -> Self {
        Self {
            sum: 0,
            count: 0,
            result,
            of: PhantomData,
        }
    }

    fn total<S>(&self, array: &ArrayRef) -> Result<(i128, u64)>
    where
        S: ArrowPrimitiveType,
        S::Native: Into<i128>,
    {
        let values = array.as_primitive::<S>();
        let (mut sum, mut overflowed) = (0, false);
        if values.null_count() == 0 {
            for value in values.values() {
                add(&mut sum, (*value).into(), &mut overflowed);
            }
        } else {
            for value in values.iter().flatten() {
                add(&mut sum, value.into(), &mut overflowed);
            }
        }
        match overflowed {
            true => Err(too_large(&self.result)),
            false => Ok((sum, (values.len() - values.null_count()) as u64)),
        }
    }

    fn add(&mut self, (sum, count): (i128, u64)) -> Result<()> {
        self.sum = self.sum.checked_add(sum).ok_or_else(|| too_large(&self.result))?;
        self.count += count;
        Ok(())
    }
}

impl<T> Accumulator for Sum<T>
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: Into<i128>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [values] => self.add(self.total::<T>(values)?),
            _ => internal_err!("sum has one argument"),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        match states {
            [states] => self.add(self.total::<Decimal128Type>(states)?),
            _ => internal_err!("sum has one state"),
        }
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values] = values else {
            return internal_err!("sum has one argument");
        };
        let (sum, count) = self.total::<T>(values)?;
        self.sum = self.sum.checked_sub(sum).ok_or_else(|| too_large(&self.result))?;
        self.count -= count;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let scale = scale_of(&self.result);
        Ok(vec![ScalarValue::Decimal128(
            (self.count > 0).then_some(self.sum),
            38,
            scale,
        )])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.count {
            0 => ScalarValue::try_from(&self.result),
            _ => fit(self.sum, &self.result),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

fn scale_of(result: &DataType) -> i8 {
    match result {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

/// A sum for each group.
struct Sums<T> {
    sums: Vec<i128>,
    nulls: NullState,
    overflowed: bool,
    result: DataType,
    of: PhantomData<T>,
}

impl<T> Sums<T> {
    fn new(result: DataType) -> Self {
        Self {
            sums: Vec::new(),
            nulls: NullState::new(),
            overflowed: false,
            result,
            of: PhantomData,
        }
    }

    fn add<S>(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()>
    where
        S: ArrowPrimitiveType + Send,
        S::Native: Into<i128>,
    {
        let [values] = values else {
            return internal_err!("sum has one argument");
        };
        self.sums.resize(total_groups, 0);
        let (sums, overflowed) = (&mut self.sums, &mut self.overflowed);
        let values = values.as_primitive::<S>();
        self.nulls
            .accumulate(groups, values, filter, total_groups, |group, value| {
                if let Some(sum) = sums.get_mut(group) {
                    add(sum, value.into(), overflowed);
                }
            });
        match self.overflowed {
            true => Err(too_large(&self.result)),
            false => Ok(()),
        }
    }
}

impl<T> GroupsAccumulator for Sums<T>
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: Into<i128>,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> Result<()> {
        self.add::<T>(values, groups, filter, total_groups)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.add::<Decimal128Type>(states, groups, None, total_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.nulls.build(emit_to);
        fn narrowed<R>(sums: &[i128], result: &DataType) -> Result<Vec<R::Native>>
        where
            R: ArrowPrimitiveType,
            R::Native: TryFrom<i128>,
        {
            let narrow = |sum: &i128| R::Native::try_from(*sum).map_err(|_| too_large(result));
            sums.iter().map(narrow).collect()
        }
        Ok(match &self.result {
            DataType::Int64 => {
                let sums = narrowed::<Int64Type>(&sums, &self.result)?;
                Arc::new(PrimitiveArray::<Int64Type>::new(sums.into(), nulls))
            }
            DataType::UInt64 => {
                let sums = narrowed::<UInt64Type>(&sums, &self.result)?;
                Arc::new(PrimitiveArray::<UInt64Type>::new(sums.into(), nulls))
            }
            DataType::Decimal128(precision, scale) => {
                let fits = |sum: &i128| Decimal128Type::is_valid_decimal_precision(*sum, *precision);
                if !sums.iter().all(fits) {
                    return Err(too_large(&self.result));
                }
                let sums = Decimal128Array::new(sums.into(), nulls);
                Arc::new(sums.with_precision_and_scale(*precision, *scale)?)
            }
            other => return internal_err!("a checked sum of {other}"),
        })
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = emit_to.take_needed(&mut self.sums);
        let nulls = self.nulls.build(emit_to);
        let sums = Decimal128Array::new(sums.into(), nulls);
        Ok(vec![Arc::new(
            sums.with_precision_and_scale(38, scale_of(&self.result))?,
        )])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let [values] = values else {
            return internal_err!("sum has one argument");
        };
        let wide: Decimal128Array = values.as_primitive::<T>().unary(Into::into);
        let wide: ArrayRef = Arc::new(wide.with_precision_and_scale(38, scale_of(&self.result))?);
        let Some(filter) = filter else {
            return Ok(vec![wide]);
        };
        let kept = and(&is_not_null(filter)?, &BooleanArray::new(filter.values().clone(), None))?;
        Ok(vec![nullif(&wide, &arrow::compute::not(&kept)?)?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.nulls.size()
    }
}

/// The sum of distinct values, which DataFusion collects.
#[derive(Debug)]
struct DistinctSum {
    values: Box<dyn Accumulator>,
    result: DataType,
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = self.values.state()?;
        let [ScalarValue::List(lists)] = state.as_slice() else {
            return internal_err!("the state of a distinct sum is a list");
        };
        let values = lists.values();
        let mut sum: Box<dyn Accumulator> = match self.result {
            DataType::Int64 => Box::new(Sum::<Int64Type>::new(self.result.clone())),
            DataType::UInt64 => Box::new(Sum::<UInt64Type>::new(self.result.clone())),
            _ => Box::new(Sum::<Decimal128Type>::new(self.result.clone())),
        };
        sum.update_batch(&[Arc::clone(values)])?;
        sum.evaluate()
    }

    fn size(&self) -> usize {
        self.values.size()
    }
}
