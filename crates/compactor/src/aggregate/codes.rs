//! Codes for the values of dimensions: within a site, equal values have equal codes, so that group keys are tuples of
//! numbers and each text is looked up once for all rollups.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use footfall_model::schema;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The code of null.
const NULL: u32 = 0;

/// The dictionaries of one site, and the codes of the current rows.
#[derive(Debug, Default)]
pub(super) struct Codes {
    columns: Vec<DimensionColumn>,
}

#[derive(Debug)]
struct DimensionColumn {
    name: String,
    is_boolean: bool,
    dictionary: Dictionary,
    rows: Vec<u32>,
}

impl Codes {
    /// The index of a dimension, which is added if it is missing.
    pub(super) fn dimension(&mut self, name: &str) -> usize {
        if let Some(known) = self.columns.iter().position(|column| column.name == name) {
            return known;
        }
        let events = schema::event_file();
        let kind = events.field_with_name(name).map(arrow::datatypes::Field::data_type);
        self.columns.push(DimensionColumn {
            name: name.to_owned(),
            is_boolean: matches!(kind, Ok(DataType::Boolean)),
            dictionary: Dictionary::default(),
            rows: Vec::new(),
        });
        self.columns.len() - 1
    }

    /// Encodes the rows of `run`, which are of one site.
    pub(super) fn assign(&mut self, run: &RecordBatch) -> Result<(), ArrowError> {
        for column in &mut self.columns {
            let values = run.column_by_name(&column.name);
            column.assign(
                values.ok_or_else(|| ArrowError::SchemaError(format!("events without a column {}", column.name)))?,
            )?;
        }
        Ok(())
    }

    pub(super) fn of(&self, dimension: usize) -> &[u32] {
        &self.columns[dimension].rows
    }

    /// For each of the codes in `used`, at its index, its rank in the order of the dimension's values, nulls first.
    pub(super) fn ranks(&self, dimension: usize, used: impl Iterator<Item = u32>) -> Vec<u32> {
        self.columns[dimension].dictionary.ranks(used)
    }

    /// The values of these codes.
    pub(super) fn values(&self, dimension: usize, codes: impl Iterator<Item = u32>) -> ArrayRef {
        let column = &self.columns[dimension];
        let values = codes.map(|code| column.dictionary.value(code));
        if column.is_boolean {
            return Arc::new(
                values
                    .map(|value| value.map(|text| text == TRUE))
                    .collect::<BooleanArray>(),
            );
        }
        Arc::new(values.collect::<StringArray>())
    }

    pub(super) fn clear(&mut self) {
        for column in &mut self.columns {
            column.dictionary.clear();
        }
    }
}

const TRUE: &str = "true";
const FALSE: &str = "false";

impl DimensionColumn {
    fn assign(&mut self, values: &ArrayRef) -> Result<(), ArrowError> {
        let wrong = || ArrowError::SchemaError(format!("{} is of type {}", self.name, values.data_type()));
        self.rows.clear();
        if self.is_boolean {
            let values = values.as_boolean_opt().ok_or_else(wrong)?;
            let texts = values
                .iter()
                .map(|value| value.map(|value| if value { TRUE } else { FALSE }));
            self.rows.extend(texts.map(|text| self.dictionary.code(text)));
            return Ok(());
        }
        let values = values.as_string_opt::<i32>().ok_or_else(wrong)?;
        if values.null_count() == values.len() {
            self.rows.resize(values.len(), NULL);
            return Ok(());
        }
        self.rows.extend(values.iter().map(|text| self.dictionary.code(text)));
        Ok(())
    }
}

/// Texts in the order of their first appearance. A text's code is its index plus one; null's is 0.
#[derive(Debug, Default)]
struct Dictionary {
    codes: HashTable<u32>,
    texts: String,
    ends: Vec<usize>,
    /// The code of the previous row: a visitor's events mostly have the same values.
    last: u32,
}

impl Dictionary {
    fn code(&mut self, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NULL };
        if self.last != NULL && self.value(self.last) == Some(text) {
            return self.last;
        }
        let Self { codes, texts, ends, .. } = self;
        let hash = xxh3_64(text.as_bytes());
        let found = codes.find(hash, |code| value(texts, ends, *code) == Some(text));
        let code = found.copied().unwrap_or_else(|| {
            texts.push_str(text);
            ends.push(texts.len());
            let code = u32::try_from(ends.len()).unwrap_or(u32::MAX);
            let hash_of = |code: &u32| xxh3_64(value(texts, ends, *code).unwrap_or_default().as_bytes());
            codes.insert_unique(hash, code, hash_of);
            code
        });
        self.last = code;
        code
    }

    fn ranks(&self, used: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut is_used = vec![false; self.ends.len() + 1];
        for code in used {
            is_used[code as usize] = true;
        }
        let codes = (0..).zip(&is_used).filter_map(|(code, used)| used.then_some(code));
        let mut codes: Vec<u32> = codes.collect();
        codes.sort_unstable_by_key(|code| self.value(*code));
        let mut ranks = vec![0; is_used.len()];
        for (rank, code) in (0..).zip(codes) {
            ranks[code as usize] = rank;
        }
        ranks
    }

    fn value(&self, code: u32) -> Option<&str> {
        value(&self.texts, &self.ends, code)
    }

    fn clear(&mut self) {
        self.codes.clear();
        self.texts.clear();
        self.ends.clear();
        self.last = NULL;
    }
}

fn value<'a>(texts: &'a str, ends: &[usize], code: u32) -> Option<&'a str> {
    let index = code.checked_sub(1)? as usize;
    let start = index.checked_sub(1).map_or(0, |before| ends[before]);
    texts.get(start..*ends.get(index)?)
}
