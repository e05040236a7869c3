//! SQL in the making: text of ours, and values of the user's that are never part of the text.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::json;

/// A value that is bound to a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Time(DateTime<Utc>),
    Date(NaiveDate),
}

impl Value {
    fn array(&self) -> ArrayRef {
        match self {
            Self::Text(text) => Arc::new(StringArray::from(vec![text.as_str()])),
            Self::Integer(integer) => Arc::new(Int64Array::from(vec![*integer])),
            Self::Number(number) => Arc::new(Float64Array::from(vec![*number])),
            Self::Boolean(boolean) => Arc::new(BooleanArray::from(vec![*boolean])),
            Self::Time(time) => {
                Arc::new(TimestampMicrosecondArray::from(vec![time.timestamp_micros()]).with_timezone("UTC"))
            }
            Self::Date(date) => Arc::new(Date32Array::from(vec![days_since_1970(*date)])),
        }
    }

    /// As it would be written into SQL, for people to read and paste.
    pub(crate) fn literal(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Integer(integer) => integer.to_string(),
            Self::Number(number) => format!("{number:?}"),
            Self::Boolean(boolean) => boolean.to_string().to_uppercase(),
            Self::Time(time) => format!("TIMESTAMP '{}'", time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Date(date) => format!("DATE '{date}'"),
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Integer(integer) => json!(integer),
            Self::Number(number) => json!(number),
            Self::Boolean(boolean) => json!(boolean),
            Self::Time(time) => json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Date(date) => json!(date.to_string()),
        }
    }
}

fn days_since_1970(date: NaiveDate) -> i32 {
    // chrono's dates reach 262,000 years, which is 96 million days.
    i32::try_from((date - NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

/// A text literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Sql(String),
    /// An index of `values`.
    Parameter(usize),
}

/// A statement, or a piece of one. Equal values share a parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Statement {
    parts: Vec<Part>,
    values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        let mut statement = Self::default();
        statement.sql(sql);
        statement
    }

    /// A user's own statement, whose parameters are numbered already.
    pub(crate) fn with_values(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Self {
            parts: vec![Part::Sql(sql.into())],
            values,
        }
    }

    /// Appends text, which must be ours.
    pub(crate) fn sql(&mut self, sql: impl Into<String>) -> &mut Self {
        match self.parts.last_mut() {
            Some(Part::Sql(text)) => text.push_str(&sql.into()),
            _ => self.parts.push(Part::Sql(sql.into())),
        }
        self
    }

    /// Appends a parameter.
    pub(crate) fn bind(&mut self, value: Value) -> &mut Self {
        let known = self.values.iter().position(|known| *known == value);
        let index = known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        self.parts.push(Part::Parameter(index));
        self
    }

    /// Appends a text where SQL takes no parameter.
    pub(crate) fn quote(&mut self, text: &str) -> &mut Self {
        self.sql(quoted(text))
    }

    pub(crate) fn append(&mut self, other: Self) -> &mut Self {
        for part in other.parts {
            match part {
                Part::Sql(text) => self.sql(text),
                Part::Parameter(index) => self.bind(other.values[index].clone()),
            };
        }
        self
    }

    /// The text with `$1`, `$2`, …
    pub(crate) fn text(&self) -> String {
        self.rendered(|index, text| {
            // Writing to a String can't fail.
            let _ = write!(text, "${}", index + 1);
        })
    }

    /// The text with the values as literals: the same statement, to be read and pasted.
    pub(crate) fn literal(&self) -> String {
        self.rendered(|index, text| text.push_str(&self.values[index].literal()))
    }

    fn rendered(&self, mut parameter: impl FnMut(usize, &mut String)) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Sql(sql) => text.push_str(sql),
                Part::Parameter(index) => parameter(*index, &mut text),
            }
        }
        text
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values as one row; `None` if there is none.
    pub(crate) fn parameters(&self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.values.is_empty() {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = self.values.iter().map(Value::array).collect();
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| Field::new(format!("${}", index + 1), DataType::clone(column.data_type()), true))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_in_the_text() {
        let mut filter = Statement::new("country = ");
        filter
            .bind(Value::Text("D'E".into()))
            .sql(" OR city = ")
            .bind(Value::Text("D'E".into()));
        let mut statement = Statement::new("SELECT 1 FROM events WHERE n = ");
        statement.bind(Value::Integer(5)).sql(" AND (").append(filter).sql(")");
        assert_eq!(
            statement.text(),
            "SELECT 1 FROM events WHERE n = $1 AND (country = $2 OR city = $2)"
        );
        assert_eq!(
            statement.literal(),
            "SELECT 1 FROM events WHERE n = 5 AND (country = 'D''E' OR city = 'D''E')"
        );
        assert_eq!(statement.values(), [Value::Integer(5), Value::Text("D'E".into())]);
        assert_eq!(statement.parameters().unwrap().unwrap().num_columns(), 2);
    }
}
