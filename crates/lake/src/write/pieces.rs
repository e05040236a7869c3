//! A day's rows, received in pieces, in file order without a sorted copy: each column is concatenated and reordered
//! when it is encoded.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Int32Type};
use footfall_model::schema::event_file;

use super::sort::{encode_error, order};
use crate::LakeError;

/// The rows of one day and their order by [`footfall_model::schema::SORT_COLUMNS`]. Rows that are equal in all of them
/// keep their order of arrival.
#[derive(Debug)]
pub struct SortedPieces {
    pub(super) pieces: Vec<RecordBatch>,
    columns: Vec<PieceColumn>,
    /// Row indices into the concatenated pieces.
    order: UInt32Array,
}

/// The values of a column.
#[derive(Debug)]
enum PieceColumn {
    /// One array per piece.
    Values(Vec<ArrayRef>),
    /// One array per piece, of indices into the texts.
    Codes(Vec<ArrayRef>, ArrayRef),
    /// In order.
    Ordered(ArrayRef),
}

impl SortedPieces {
    /// Sorts rows of one day, given in their order of arrival. They are of the schema
    /// [`footfall_model::schema::event_file`], but text may be given as codes (Int32), which are indices into the
    /// column's `texts`.
    ///
    /// # Errors
    /// They are not of the schema.
    pub fn new(pieces: Vec<RecordBatch>, texts: &[Option<ArrayRef>]) -> Result<Self, LakeError> {
        let order = order(&pieces)?;
        let schema = event_file();
        let indices = schema.fields().iter().enumerate();
        let columns = indices.map(|(index, field)| {
            let parts = pieces.iter().map(|piece| Arc::clone(piece.column(index)));
            PieceColumn::of(field, parts.collect(), texts.get(index).and_then(Option::as_ref))
        });
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
            pieces,
            order,
        })
    }

    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// A whole column, in order; text that was given as codes is a dictionary array.
    ///
    /// # Errors
    /// There is no column of this name.
    pub fn column(&self, name: &str) -> Result<ArrayRef, LakeError> {
        self.values(index(name)?)?.rows(0..self.rows())
    }

    /// Replaces the values of one column, given in order.
    ///
    /// # Errors
    /// There is no such column, or another number of values.
    pub fn with_column(mut self, name: &str, values: ArrayRef) -> Result<Self, LakeError> {
        if values.len() != self.rows() {
            let (given, rows) = (values.len(), self.rows());
            return Err(LakeError::Encode(format!("{given} values of {name} for {rows} rows")));
        }
        self.columns[index(name)?] = PieceColumn::Ordered(values);
        Ok(self)
    }

    /// The column at `index`.
    pub(super) fn values(&self, index: usize) -> Result<Values<'_>, LakeError> {
        let all = |parts: &[ArrayRef]| match parts {
            [part] => Ok(Arc::clone(part)),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).map_err(encode_error),
        };
        let (values, texts, order) = match &self.columns[index] {
            PieceColumn::Values(parts) => (all(parts)?, None, Some(&self.order)),
            PieceColumn::Codes(parts, texts) => (all(parts)?, Some(texts), Some(&self.order)),
            PieceColumn::Ordered(values) => (Arc::clone(values), None, None),
        };
        Ok(Values { values, texts, order })
    }
}

/// The values of one column, concatenated only while it is encoded.
pub(super) struct Values<'a> {
    values: ArrayRef,
    texts: Option<&'a ArrayRef>,
    order: Option<&'a UInt32Array>,
}

impl Values<'_> {
    /// The values of some rows, in order.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<ArrayRef, LakeError> {
        let values = match self.order {
            None => self.values.slice(rows.start, rows.len()),
            Some(order) => take(&self.values, &order.slice(rows.start, rows.len()), None).map_err(encode_error)?,
        };
        let Some(texts) = self.texts else {
            return Ok(values);
        };
        let codes = values.as_primitive::<Int32Type>().clone();
        let values = DictionaryArray::try_new(codes, Arc::clone(texts)).map_err(encode_error)?;
        Ok(Arc::new(values))
    }
}

impl PieceColumn {
    /// Codes if all pieces have them; if only some do, those are decoded to text.
    fn of(field: &Field, parts: Vec<ArrayRef>, texts: Option<&ArrayRef>) -> Result<Self, LakeError> {
        let is_coded = |part: &ArrayRef| part.data_type() != field.data_type();
        let wrong = || LakeError::Encode(format!("the column {} is not a {}", field.name(), field.data_type()));
        if !parts.iter().any(is_coded) {
            return Ok(Self::Values(parts));
        }
        let texts = texts.ok_or_else(wrong)?;
        let fits = |part: &ArrayRef| !is_coded(part) || part.data_type() == &DataType::Int32;
        if texts.data_type() != field.data_type() || !parts.iter().all(fits) {
            return Err(wrong());
        }
        if parts.iter().all(is_coded) {
            return Ok(Self::Codes(parts, Arc::clone(texts)));
        }
        let decoded = parts.into_iter().map(|part| match is_coded(&part) {
            true => take(texts, &part, None).map_err(encode_error),
            false => Ok(part),
        });
        Ok(Self::Values(decoded.collect::<Result<_, _>>()?))
    }
}

fn index(name: &str) -> Result<usize, LakeError> {
    event_file().index_of(name).map_err(encode_error)
}
