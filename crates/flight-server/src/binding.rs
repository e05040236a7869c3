//! The values that a client binds to a statement: Arrow messages of a DoPut, read into rows.
//!
//! Pure and total. Arrow's own reader trusts that a message fits its schema and its body, so each message is checked
//! first: a hostile one is refused as [`Malformed`], and never makes the reader panic or reserve memory.

use std::collections::HashMap;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::ipc;
use arrow_flight::FlightData;
use arrow_flight::utils::flight_data_to_arrow_batch;
use footfall_query::ScalarValue;

use crate::handle::{MAX_HANDLE_BYTES, MAX_ROWS, MAX_VALUES, Malformed, too_many_values};

/// Maximum number of parameters of a statement.
const MAX_COLUMNS: usize = 1000;

/// Collects the rows of one binding.
#[derive(Debug, Default)]
pub(crate) struct Binding {
    schema: Option<SchemaRef>,
    rows: Vec<Vec<ScalarValue>>,
    bytes: usize,
}

impl Binding {
    /// Adds the next message.
    pub(crate) fn push(&mut self, data: &FlightData) -> Result<(), Malformed> {
        self.bytes += data.data_body.len() + data.data_header.len();
        if self.bytes > MAX_HANDLE_BYTES {
            return Err(Malformed(format!(
                "the parameters take more than {MAX_HANDLE_BYTES} bytes"
            )));
        }
        if data.data_header.is_empty() {
            return Ok(()); // a descriptor alone
        }
        let message = ipc::root_as_message(&data.data_header)
            .map_err(|error| Malformed(format!("the parameters are not an Arrow message: {error}")))?;
        match message.header_type() {
            ipc::MessageHeader::NONE => Ok(()),
            ipc::MessageHeader::Schema => {
                if self.schema.is_some() {
                    return Err(Malformed::new("the parameters have two schemas"));
                }
                let fields = message.header_as_schema().map(judge_schema);
                fields.ok_or_else(|| Malformed::new("the parameters' schema is missing"))??;
                let schema = Schema::try_from(data).map_err(|error| Malformed(error.to_string()))?;
                self.schema = Some(schema.into());
                Ok(())
            }
            ipc::MessageHeader::RecordBatch => {
                let schema = self
                    .schema
                    .clone()
                    .ok_or_else(|| Malformed::new("the parameters have no schema"))?;
                let header = message
                    .header_as_record_batch()
                    .ok_or_else(|| Malformed::new("the parameters' batch has no header"))?;
                judge_batch(&schema, &header, data.data_body.len())?;
                let batch = flight_data_to_arrow_batch(data, schema, &HashMap::new())
                    .map_err(|error| Malformed(format!("the parameters are damaged: {error}")))?;
                self.append(&batch)
            }
            other => Err(Malformed(format!(
                "the parameters hold a {} message; send schema and record batches, no dictionaries",
                other.variant_name().unwrap_or("strange")
            ))),
        }
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<(), Malformed> {
        if self.rows.len() + batch.num_rows() > MAX_ROWS {
            return Err(Malformed(format!("more than {MAX_ROWS} rows of parameters")));
        }
        // Nulls take no bytes, so the size of the message does not bound them.
        if (self.rows.len() + batch.num_rows()) * batch.num_columns() > MAX_VALUES {
            return Err(too_many_values());
        }
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| value(column, row));
            self.rows.push(values.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// The rows, each with a value for every column; none if the client bound no columns.
    pub(crate) fn finish(self) -> Result<Vec<Vec<ScalarValue>>, Malformed> {
        let columns = self.schema.map_or(0, |schema| schema.fields().len());
        if columns == 0 {
            return Ok(Vec::new());
        }
        if self.rows.is_empty() {
            return Err(Malformed(format!(
                "{columns} parameters were announced, but no row of values was sent"
            )));
        }
        Ok(self.rows)
    }
}

fn value(column: &dyn Array, row: usize) -> Result<ScalarValue, Malformed> {
    ScalarValue::try_from_array(column, row).map_err(|error| Malformed(error.to_string()))
}

/// Only types that a parameter can have and that Arrow's reader knows.
fn judge_schema(schema: ipc::Schema<'_>) -> Result<(), Malformed> {
    if schema.endianness() != ipc::Endianness::Little {
        return Err(Malformed::new("the parameters are big-endian; send them little-endian"));
    }
    let fields = schema
        .fields()
        .ok_or_else(|| Malformed::new("the parameters' schema has no fields"))?;
    if fields.len() > MAX_COLUMNS {
        return Err(Malformed(format!(
            "{} parameters; {MAX_COLUMNS} are allowed",
            fields.len()
        )));
    }
    for (index, field) in fields.iter().enumerate() {
        if field.dictionary().is_some() || !is_scalar(field) {
            return Err(Malformed(format!(
                "parameter {} is of type {}; parameters are booleans, numbers, text, binaries, dates and times, not \
                 dictionary-encoded",
                index + 1,
                field.type_type().variant_name().unwrap_or("unknown")
            )));
        }
    }
    Ok(())
}

fn is_scalar(field: ipc::Field<'_>) -> bool {
    use ipc::{DateUnit, Precision, TimeUnit, Type};
    match field.type_type() {
        Type::Null
        | Type::Bool
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View
        | Type::Binary
        | Type::LargeBinary
        | Type::BinaryView => true,
        Type::Int => field
            .type_as_int()
            .is_some_and(|int| matches!(int.bitWidth(), 8 | 16 | 32 | 64)),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|float| matches!(float.precision(), Precision::SINGLE | Precision::DOUBLE)),
        Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
            decimal.bitWidth() == 128
                && (1..=38).contains(&decimal.precision())
                && (-38..=decimal.precision()).contains(&decimal.scale())
        }),
        Type::Date => field
            .type_as_date()
            .is_some_and(|date| matches!(date.unit(), DateUnit::DAY | DateUnit::MILLISECOND)),
        Type::Time => field.type_as_time().is_some_and(|time| {
            matches!(
                (time.bitWidth(), time.unit()),
                (32, TimeUnit::SECOND | TimeUnit::MILLISECOND) | (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
            )
        }),
        Type::Timestamp => field.type_as_timestamp().is_some_and(|timestamp| {
            matches!(
                timestamp.unit(),
                TimeUnit::SECOND | TimeUnit::MILLISECOND | TimeUnit::MICROSECOND | TimeUnit::NANOSECOND
            )
        }),
        _ => false,
    }
}

/// Checks that the batch's header fits the schema and the `body` bytes that came with it.
fn judge_batch(schema: &Schema, batch: &ipc::RecordBatch<'_>, body: usize) -> Result<(), Malformed> {
    let damaged = |what: &str| Malformed(format!("the parameters are damaged: {what}"));
    // A compressed buffer states its own size, which would be reserved before it is read.
    if batch.compression().is_some() {
        return Err(Malformed::new("the parameters are compressed; send them uncompressed"));
    }
    let rows = usize::try_from(batch.length()).map_err(|_| damaged("a negative number of rows"))?;
    if rows > MAX_ROWS {
        return Err(Malformed(format!("{rows} rows of parameters; {MAX_ROWS} are allowed")));
    }
    let mut nodes = batch.nodes().into_iter().flatten();
    let mut buffers = batch.buffers().into_iter().flatten();
    let mut variadic = batch.variadicBufferCounts().into_iter().flatten();
    for field in schema.fields() {
        let node = nodes.next().ok_or_else(|| damaged("a column is missing"))?;
        let nulls = usize::try_from(node.null_count()).map_err(|_| damaged("a negative number of nulls"))?;
        if usize::try_from(node.length()) != Ok(rows) || nulls > rows {
            return Err(damaged("a column is longer or shorter than the batch"));
        }
        let count = match field.data_type() {
            DataType::Null => 0,
            DataType::Utf8View | DataType::BinaryView => {
                let data = variadic.next().and_then(|count| usize::try_from(count).ok());
                data.and_then(|count| count.checked_add(2))
                    .ok_or_else(|| damaged("a view column without its number of buffers"))?
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
            _ => 2,
        };
        for index in 0..count {
            let buffer = buffers.next().ok_or_else(|| damaged("a buffer is missing"))?;
            let length = length_within(buffer, body).ok_or_else(|| damaged("a buffer outside of the body"))?;
            let validity = index == 0;
            if validity && nulls > 0 && length < rows.div_ceil(8) {
                return Err(damaged("the validity of a column is too short"));
            }
            // Arrow's reader panics on a truncated value.
            if index == 1 && length % element_bytes(field.data_type()) != 0 {
                return Err(damaged("a buffer ends inside of a value"));
            }
        }
    }
    if nodes.next().is_some() || buffers.next().is_some() || variadic.next().is_some() {
        return Err(damaged("it describes more columns than the schema"));
    }
    Ok(())
}

/// Of the values, offsets or views that a column's second buffer holds; 1 where any length will do.
fn element_bytes(data_type: &DataType) -> usize {
    match data_type {
        DataType::Utf8 | DataType::Binary => size_of::<i32>(),
        DataType::LargeUtf8 | DataType::LargeBinary => size_of::<i64>(),
        DataType::Utf8View | DataType::BinaryView => size_of::<u128>(),
        other => other.primitive_width().unwrap_or(1),
    }
}

fn length_within(buffer: &ipc::Buffer, body: usize) -> Option<usize> {
    let offset = usize::try_from(buffer.offset()).ok()?;
    let length = usize::try_from(buffer.length()).ok()?;
    (offset.checked_add(length)? <= body).then_some(length)
}

#[cfg(test)]
mod tests;
