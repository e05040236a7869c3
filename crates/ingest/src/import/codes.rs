//! Text that repeats, as numbers while it waits: a number is a third of the memory, and far cheaper to bring into
//! order. Each column has one dictionary for the whole import; a column of too many different texts stays text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Builder, RecordBatch, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use footfall_model::schema::{SORT_COLUMNS, event_file};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

/// A dictionary never has more texts than this,
const TEXTS: usize = 64 * 1_024;

/// nor more bytes of them.
const BYTES: usize = 1_024 * 1_024;

/// The dictionaries of all columns.
#[derive(Debug)]
pub(super) struct Codes {
    /// By the place of the column. `None`: it stays as it is.
    columns: Vec<Option<Dictionary>>,
    /// Of the columns that were given up: what came before is still in their words.
    full: Vec<Option<Dictionary>>,
}

impl Default for Codes {
    fn default() -> Self {
        let schema = event_file();
        let coded =
            |field: &Field| *field.data_type() == DataType::Utf8 && !SORT_COLUMNS.contains(&field.name().as_str());
        let dictionary = |field: &Arc<Field>| coded(field).then(Dictionary::default);
        Self {
            columns: schema.fields().iter().map(dictionary).collect(),
            full: schema.fields().iter().map(|_| None).collect(),
        }
    }
}

impl Codes {
    /// The rows of all the batches, with numbers for text where that pays.
    pub(super) fn encode(&mut self, batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        let schema = batches.first().map_or_else(event_file, RecordBatch::schema);
        for (index, field) in schema.fields().iter().enumerate() {
            let values: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
            let coded = self.columns[index].as_mut().map(|words| words.codes(&values));
            if let Some(None) = coded {
                self.full[index] = self.columns[index].take();
            }
            match coded.flatten() {
                Some(codes) => {
                    fields.push(Arc::new(Field::new(field.name(), DataType::Int32, field.is_nullable())));
                    columns.push(codes);
                }
                None => {
                    fields.push(Arc::clone(field));
                    columns.push(concat(&values)?);
                }
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    /// What the numbers stand for: of each column that has or had a dictionary its texts, of the others `None`.
    pub(super) fn texts(&mut self) -> Result<Vec<Option<ArrayRef>>, ArrowError> {
        let columns = self.columns.iter_mut().zip(&mut self.full);
        let dictionaries = columns.map(|(column, full)| column.as_mut().or(full.as_mut()));
        dictionaries
            .map(|words| words.map(Dictionary::texts).transpose())
            .collect()
    }
}

#[derive(Debug)]
struct Dictionary {
    indices: HashTable<u32>,
    ends: Vec<i32>,
    bytes: Vec<u8>,
    /// All texts, until there are more.
    texts: Option<ArrayRef>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            indices: HashTable::new(),
            ends: vec![0],
            bytes: Vec::new(),
            texts: None,
        }
    }
}

impl Dictionary {
    /// `None`: there are too many texts.
    fn codes(&mut self, columns: &[&dyn Array]) -> Option<ArrayRef> {
        let mut codes = Int32Builder::with_capacity(columns.iter().map(|column| column.len()).sum());
        for column in columns {
            let mut last: Option<(&str, i32)> = None;
            for text in column.as_string_opt::<i32>()? {
                let Some(text) = text else {
                    codes.append_null();
                    continue;
                };
                let code = match last {
                    Some((same, code)) if same == text => code,
                    _ => self.code(text)?,
                };
                last = Some((text, code));
                codes.append_value(code);
            }
        }
        Some(Arc::new(codes.finish()))
    }

    fn code(&mut self, text: &str) -> Option<i32> {
        let (ends, bytes) = (&mut self.ends, &mut self.bytes);
        let known = |code: u32| {
            let code = code as usize;
            let range = (*ends.get(code)? as usize)..(*ends.get(code + 1)? as usize);
            bytes.get(range)
        };
        let is_it = |code: &u32| known(*code) == Some(text.as_bytes());
        let hash = |code: &u32| xxh3_64(known(*code).unwrap_or_default());
        match self.indices.entry(xxh3_64(text.as_bytes()), is_it, hash) {
            Entry::Occupied(index) => i32::try_from(*index.get()).ok(),
            Entry::Vacant(free) => {
                if ends.len() > TEXTS || bytes.len() + text.len() > BYTES {
                    return None;
                }
                let code = ends.len() - 1;
                free.insert(u32::try_from(code).ok()?);
                bytes.extend_from_slice(text.as_bytes());
                ends.push(i32::try_from(bytes.len()).ok()?);
                self.texts = None;
                i32::try_from(code).ok()
            }
        }
    }

    fn texts(&mut self) -> Result<ArrayRef, ArrowError> {
        if let Some(texts) = &self.texts {
            return Ok(Arc::clone(texts));
        }
        let ends = OffsetBuffer::new(self.ends.clone().into());
        let texts: ArrayRef = Arc::new(StringArray::try_new(ends, Buffer::from_vec(self.bytes.clone()), None)?);
        self.texts = Some(Arc::clone(&texts));
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::new_null_array;
    use arrow::compute::{concat_batches, take};

    use super::*;

    /// Rows of `events` with these cities and these ids; what is left is empty.
    fn rows(cities: &[Option<&str>], ids: impl Iterator<Item = String>) -> RecordBatch {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(ids));
        let cities: ArrayRef = Arc::new(StringArray::from_iter(cities.iter().cycle().take(ids.len())));
        let schema = event_file();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "city" => Arc::clone(&cities),
            "event_id" => Arc::clone(&ids),
            _ => new_null_array(field.data_type(), ids.len()),
        });
        let nullable = schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true));
        let nullable = Schema::new(nullable.collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(nullable), columns.collect()).unwrap()
    }

    fn ids(from: usize, count: usize) -> impl Iterator<Item = String> {
        (from..from + count).map(|id| id.to_string())
    }

    fn decoded(codes: &mut Codes, batch: &RecordBatch, name: &str) -> ArrayRef {
        let index = event_file().index_of(name).unwrap();
        take(
            codes.texts().unwrap()[index].as_ref().unwrap(),
            batch.column(index),
            None,
        )
        .unwrap()
    }

    #[test]
    fn text_becomes_numbers_and_back() {
        let given = rows(
            &[Some("Berlin"), None, Some("Köln"), Some("Köln"), Some("")],
            ids(0, 10),
        );
        let twice = concat_batches(given.schema_ref(), [&given, &given]).unwrap();
        let mut codes = Codes::default();
        let coded = codes.encode(&[given.clone(), given]).unwrap();
        let city = coded.column_by_name("city").unwrap();
        assert_eq!((city.data_type(), city.null_count()), (&DataType::Int32, 4));
        for name in ["city", "event_id"] {
            assert_eq!(&decoded(&mut codes, &coded, name), twice.column_by_name(name).unwrap());
        }
        for name in SORT_COLUMNS {
            assert_eq!(coded.column_by_name(name), twice.column_by_name(name));
        }
    }

    #[test]
    fn a_column_of_too_many_texts_stays_text_and_what_was_coded_before_is_still_known() {
        let mut codes = Codes::default();
        let few = rows(&[Some("Berlin")], ids(0, 1_000));
        let many = rows(&[Some("Paris")], ids(500, TEXTS));
        let before = codes.encode(std::slice::from_ref(&few)).unwrap();
        let after = codes.encode(std::slice::from_ref(&many)).unwrap();
        assert_eq!(after.column_by_name("event_id"), many.column_by_name("event_id"));
        assert_eq!(
            &decoded(&mut codes, &before, "event_id"),
            few.column_by_name("event_id").unwrap()
        );
        assert_eq!(
            &decoded(&mut codes, &after, "city"),
            many.column_by_name("city").unwrap()
        );
    }

    #[test]
    fn a_few_long_texts_are_too_many_too() {
        let mut codes = Codes::default();
        let long = rows(&[None], (0..100).map(|id| format!("{id}{}", "x".repeat(BYTES / 99))));
        let coded = codes.encode(std::slice::from_ref(&long)).unwrap();
        assert_eq!(coded.column_by_name("event_id"), long.column_by_name("event_id"));
    }
}
