//! `avg` of integers that does not depend on the order of rows: DataFusion's adds them up as floating-point numbers, so
//! that the same statement differs in its last digits from run to run.
//!
//! Sums are kept in 128 bits, which 2^63 values of 64 bits can't overflow, and rounded once, when they are divided.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, PrimitiveArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::types::{NativeType, logical_int64, logical_uint64};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    Signature, TypeSignature, TypeSignatureClass,
};

/// Integers are summed as these; `None` if `argument` is left to DataFusion.
fn is_integer(argument: &DataType) -> bool {
    matches!(argument, DataType::Int64 | DataType::UInt64)
}

/// DataFusion's `avg`, exact over integers.
pub(super) fn exact(avg: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    let integer = |coercion| TypeSignature::Coercible(vec![coercion]);
    let unsigned = Coercion::new_exact(TypeSignatureClass::Native(logical_uint64()));
    let signed = Coercion::new_implicit(
        TypeSignatureClass::Native(logical_int64()),
        vec![TypeSignatureClass::Integer],
        NativeType::Int64,
    );
    let others = match &avg.signature().type_signature {
        TypeSignature::OneOf(others) => others.clone(),
        other => vec![other.clone()],
    };
    let signatures = [integer(unsigned), integer(signed)].into_iter().chain(others);
    let signature = Signature::one_of(signatures.collect(), avg.signature().volatility);
    Arc::new(AggregateUDF::new_from_impl(ExactAvg { avg, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactAvg {
    avg: Arc<AggregateUDF>,
    signature: Signature,
}

impl ExactAvg {
    /// Distinct integers are left to DataFusion, as the floating-point numbers that it takes.
    fn distinct(&self, args: &AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let field: FieldRef = Arc::new(Field::new("argument", DataType::Float64, true));
        let values = self.avg.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&args.return_field),
            schema: args.schema,
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys,
            is_reversed: args.is_reversed,
            name: args.name,
            is_distinct: args.is_distinct,
            exprs: args.exprs,
            expr_fields: &[field],
        })?;
        Ok(Box::new(OfFloats { values }))
    }
}

fn argument(fields: &[FieldRef]) -> &DataType {
    fields.first().map_or(&DataType::Null, |field| field.data_type())
}

impl AggregateUDFImpl for ExactAvg {
    fn name(&self) -> &str {
        self.avg.name()
    }

    fn aliases(&self) -> &[String] {
        self.avg.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.avg.return_type(arguments)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match argument(args.expr_fields) {
            of if is_integer(of) && args.is_distinct => self.distinct(&args),
            DataType::Int64 => Ok(Box::<Average<Int64Type>>::default()),
            DataType::UInt64 => Ok(Box::<Average<UInt64Type>>::default()),
            _ => self.avg.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let named = |name, of| Arc::new(Field::new(format_state_name(args.name, name), of, true));
        match is_integer(argument(args.input_fields)) {
            true if args.is_distinct => {
                let list = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
                Ok(vec![named("avg distinct", list)])
            }
            true => Ok(vec![
                named("count", DataType::UInt64),
                named("sum", DataType::Decimal128(38, 0)),
            ]),
            false => self.avg.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match is_integer(argument(args.expr_fields)) {
            true => !args.is_distinct,
            false => self.avg.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match argument(args.expr_fields) {
            DataType::Int64 => Ok(Box::<Averages<Int64Type>>::default()),
            DataType::UInt64 => Ok(Box::<Averages<UInt64Type>>::default()),
            _ => self.avg.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match is_integer(argument(args.expr_fields)) {
            true => self.accumulator(args),
            false => self.avg.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.avg.documentation()
    }
}

/// Of distinct values.
#[derive(Debug)]
struct OfFloats {
    values: Box<dyn Accumulator>,
}

impl Accumulator for OfFloats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let floats = values.iter().map(|values| cast(values, &DataType::Float64));
        self.values.update_batch(&floats.collect::<Result<Vec<_>, _>>()?)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.values.evaluate()
    }

    fn size(&self) -> usize {
        self.values.size()
    }
}

fn quotient(sum: i128, count: u64) -> Option<f64> {
    (count > 0).then(|| sum as f64 / count as f64)
}

/// The counts and the sums of states.
fn states(states: &[ArrayRef]) -> Result<(&UInt64Array, &Decimal128Array)> {
    match states {
        [counts, sums] => Ok((counts.as_primitive(), sums.as_primitive())),
        _ => internal_err!("avg has two states"),
    }
}

fn sums_array(sums: Vec<i128>) -> Result<ArrayRef> {
    let sums = Decimal128Array::from(sums);
    Ok(Arc::new(sums.with_precision_and_scale(38, 0)?))
}

/// One average.
struct Average<T> {
    sum: i128,
    count: u64,
    of: PhantomData<T>,
}

impl<T> Default for Average<T> {
    fn default() -> Self {
        Self {
            sum: 0,
            count: 0,
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Average<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Average({} / {})", self.sum, self.count)
    }
}

fn total<T>(values: &[ArrayRef]) -> Result<(i128, u64)>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128>,
{
    let [values] = values else {
        return internal_err!("avg has one argument");
    };
    let values = values.as_primitive::<T>();
    let count = (values.len() - values.null_count()) as u64;
    Ok((values.iter().flatten().map(Into::into).sum(), count))
}

impl<T> Accumulator for Average<T>
where
    T: ArrowPrimitiveType + Send + Sync,
    T::Native: Into<i128>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, count) = total::<T>(values)?;
        self.sum += sum;
        self.count += count;
        Ok(())
    }

    fn merge_batch(&mut self, of: &[ArrayRef]) -> Result<()> {
        let (counts, sums) = states(of)?;
        self.sum += sums.iter().flatten().sum::<i128>();
        self.count += counts.iter().flatten().sum::<u64>();
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (sum, count) = total::<T>(values)?;
        self.sum -= sum;
        self.count -= count;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::from(self.count),
            ScalarValue::Decimal128(Some(self.sum), 38, 0),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(quotient(self.sum, self.count)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// An average for each group.
struct Averages<T> {
    sums: Vec<i128>,
    counts: Vec<u64>,
    of: PhantomData<T>,
}

impl<T> Default for Averages<T> {
    fn default() -> Self {
        Self {
            sums: Vec::new(),
            counts: Vec::new(),
            of: PhantomData,
        }
    }
}

impl<T> Averages<T> {
    fn add(&mut self, group: usize, sum: i128, count: u64) {
        if let (Some(sums), Some(counts)) = (self.sums.get_mut(group), self.counts.get_mut(group)) {
            *sums += sum;
            *counts += count;
        }
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
    }
}

impl<T> GroupsAccumulator for Averages<T>
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
        let [values] = values else {
            return internal_err!("avg has one argument");
        };
        self.resize(total_groups);
        let values = values.as_primitive::<T>();
        for (row, (value, group)) in values.iter().zip(groups).enumerate() {
            if let Some(value) = value
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
            {
                self.add(*group, value.into(), 1);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, of: &[ArrayRef], groups: &[usize], total_groups: usize) -> Result<()> {
        self.resize(total_groups);
        let (counts, sums) = states(of)?;
        for (group, (count, sum)) in groups.iter().zip(counts.iter().zip(sums)) {
            if let (Some(count), Some(sum)) = (count, sum) {
                self.add(*group, sum, count);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let counts = emit_to.take_needed(&mut self.counts);
        let averages = sums.into_iter().zip(counts).map(|(sum, count)| quotient(sum, count));
        Ok(Arc::new(averages.collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let counts = emit_to.take_needed(&mut self.counts);
        let sums = emit_to.take_needed(&mut self.sums);
        Ok(vec![Arc::new(UInt64Array::from(counts)), sums_array(sums)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let [values] = values else {
            return internal_err!("avg has one argument");
        };
        let values: &PrimitiveArray<T> = values.as_primitive();
        let counted = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let (counts, sums): (Vec<u64>, Vec<i128>) = values
            .iter()
            .enumerate()
            .map(|(row, value)| match value {
                Some(value) if counted(row) => (1, value.into()),
                _ => (0, 0),
            })
            .unzip();
        Ok(vec![Arc::new(UInt64Array::from(counts)), sums_array(sums)?])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.counts.capacity() * size_of::<u64>()
    }
}
