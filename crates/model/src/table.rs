//! Declarations of the lake's tables. Everything else (files, statistics, pruning, SQL) follows from them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::field::EventField;
use crate::schema;

/// The column with a row's site. Every table has it, it is never null, and every file is sorted by it first: the site
/// filter relies on that.
pub const SITE_COLUMN: &str = "tracking_id";

/// The metadata key of a column's comment, in Arrow as in Delta.
pub const COMMENT: &str = "comment";

/// A table of the lake.
///
/// ```
/// let events = footfall_model::table::events();
/// assert_eq!(events.name(), "events");
/// assert_eq!(events.sort_columns().next(), Some(footfall_model::table::SITE_COLUMN));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    name: String,
    folder: String,
    version: u32,
    file_schema: SchemaRef,
    table_schema: SchemaRef,
    commented_schema: SchemaRef,
    sort: Vec<usize>,
    statistics: Vec<usize>,
}

/// The declaration of a [`TableSpec`].
#[derive(Debug, Clone)]
pub struct TableColumns<'a> {
    /// Every column of a file, in the order of the file. A comment is metadata with the key [`COMMENT`].
    pub file: Vec<Field>,
    /// The partition column, a `Date32`: its value names the table's folders. It is not in the files.
    pub partition: Field,
    /// The columns that files are sorted by, ascending, nulls first.
    pub sort: &'a [&'a str],
    /// The columns of which every commit records minimum, maximum and number of nulls for each file.
    pub statistics: &'a [&'a str],
}

/// Why a declaration is not a valid table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError(String);

impl SpecError {
    /// `reason`: for the author of the declaration.
    pub fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}

impl TableSpec {
    /// A table named `name` in SQL, whose files lie in `folder` below the shard's root. `version` counts the changes of
    /// its columns.
    ///
    /// # Errors
    /// A column that is declared twice or missing, a partition column that is not a date, statistics of a type that has
    /// none, or files not sorted by [`SITE_COLUMN`] first.
    pub fn new(name: &str, folder: &str, version: u32, columns: TableColumns<'_>) -> Result<Self, SpecError> {
        let wrong = |reason: &str| SpecError(format!("table {name}: {reason}"));
        let TableColumns {
            file,
            partition,
            sort,
            statistics,
        } = columns;
        if partition.data_type() != &DataType::Date32 || partition.is_nullable() {
            return Err(wrong("the partition column must be a date that is never null"));
        }
        let mut commented = file;
        commented.push(partition);
        // Queries and files use the columns without comments: clients compare metadata.
        let all: Vec<Field> = commented.iter().cloned().map(without_metadata).collect();
        let file = all[..all.len() - 1].to_vec();
        for (index, field) in all.iter().enumerate() {
            if all[..index].iter().any(|other| other.name() == field.name()) {
                return Err(wrong(&format!("column {} is declared twice", field.name())));
            }
        }
        let indices = |names: &[&str]| {
            names
                .iter()
                .map(|column| {
                    let found = file.iter().position(|field| field.name() == column);
                    found.ok_or_else(|| wrong(&format!("it has no column {column}")))
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let (sort, statistics) = (indices(sort)?, indices(statistics)?);
        if let Some(column) = statistics
            .iter()
            .map(|index| &file[*index])
            .find(|column| !has_statistics(column.data_type()))
        {
            let reason = format!("there are no statistics of {}, a {}", column.name(), column.data_type());
            return Err(wrong(&reason));
        }
        let first = sort.first().map(|first| &file[*first]);
        if !first.is_some_and(|site| {
            site.name() == SITE_COLUMN && site.data_type() == &DataType::Utf8 && !site.is_nullable()
        }) {
            return Err(wrong("its files must be sorted by tracking_id first"));
        }
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            version,
            file_schema: Arc::new(Schema::new(file)),
            table_schema: Arc::new(Schema::new(all)),
            commented_schema: Arc::new(Schema::new(commented)),
            sort,
            statistics,
        })
    }

    /// The table's name in SQL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder below the shard's root, such as `events` or `rollups/events_daily`.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The version of its columns: how often they have changed.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The columns of a file.
    pub fn file_schema(&self) -> &SchemaRef {
        &self.file_schema
    }

    /// The columns of a row: [`TableSpec::file_schema`], then the partition column.
    pub fn table_schema(&self) -> &SchemaRef {
        &self.table_schema
    }

    /// [`TableSpec::table_schema`] with the columns' comments, as the table is created.
    pub fn commented_schema(&self) -> &SchemaRef {
        &self.commented_schema
    }

    /// The column that the table is partitioned by.
    pub fn partition(&self) -> &Field {
        self.table_schema.field(self.file_schema.fields().len())
    }

    /// The columns that every file is sorted by, ascending, nulls first.
    pub fn sort_columns(&self) -> impl Iterator<Item = &str> {
        self.names(&self.sort)
    }

    /// Their indices in [`TableSpec::file_schema`].
    pub fn sort_indices(&self) -> &[usize] {
        &self.sort
    }

    /// The columns of which every commit records minimum, maximum and number of nulls for each file. They are of types
    /// for which [`has_statistics`] holds.
    pub fn statistics_columns(&self) -> impl Iterator<Item = &str> {
        self.names(&self.statistics)
    }

    /// Their indices in [`TableSpec::file_schema`].
    pub fn statistics_indices(&self) -> &[usize] {
        &self.statistics
    }

    fn names<'a>(&'a self, indices: &'a [usize]) -> impl Iterator<Item = &'a str> {
        indices
            .iter()
            .map(|index| self.file_schema.field(*index).name().as_str())
    }
}

/// Whether the Delta log can hold minimum and maximum of a column of this type.
pub fn has_statistics(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8
        | DataType::Boolean
        | DataType::Int32
        | DataType::Int64
        | DataType::Float64
        | DataType::Date32
        | DataType::Decimal128(..) => true,
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.as_deref() == Some("UTC"),
        _ => false,
    }
}

fn without_metadata(field: Field) -> Field {
    field.with_metadata(HashMap::new())
}

/// The table of events.
#[expect(clippy::expect_used, reason = "a constant, and a test makes it")]
pub fn events() -> &'static Arc<TableSpec> {
    static EVENTS: LazyLock<Arc<TableSpec>> = LazyLock::new(|| {
        let spec = TableSpec::new(
            "events",
            "events",
            schema::VERSION,
            TableColumns {
                file: schema::file_columns().map(schema::commented).collect(),
                partition: schema::commented(EventField::EventDate),
                sort: &schema::SORT_COLUMNS,
                statistics: &schema::STATISTICS_COLUMNS,
            },
        );
        Arc::new(spec.expect("events is declared right"))
    });
    &EVENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns<'a>(sort: &'a [&'a str], statistics: &'a [&'a str]) -> TableColumns<'a> {
        TableColumns {
            file: vec![
                Field::new(SITE_COLUMN, DataType::Utf8, false),
                Field::new("n", DataType::Int64, true),
                Field::new("raw", DataType::Binary, true),
            ],
            partition: Field::new("day", DataType::Date32, false),
            sort,
            statistics,
        }
    }

    #[test]
    fn table_schema_ends_with_partition() {
        let spec = TableSpec::new("t", "rollups/t", 3, columns(&[SITE_COLUMN, "n"], &["n"])).unwrap();
        assert_eq!(spec.partition().name(), "day");
        assert_eq!(spec.sort_columns().collect::<Vec<_>>(), [SITE_COLUMN, "n"]);
        assert_eq!(spec.statistics_indices(), [1]);
        assert_eq!(spec.table_schema().fields().len(), 4);
    }

    #[test]
    fn invalid_declarations_are_refused() {
        let refused = |columns| TableSpec::new("t", "t", 1, columns).unwrap_err().to_string();
        assert!(refused(columns(&["n"], &[])).contains("sorted by tracking_id first"));
        assert!(refused(columns(&[SITE_COLUMN, "m"], &[])).contains("no column m"));
        assert!(refused(columns(&[SITE_COLUMN], &["raw"])).contains("no statistics of raw"));
        let twice = TableColumns {
            partition: Field::new("n", DataType::Date32, false),
            ..columns(&[SITE_COLUMN], &[])
        };
        assert!(refused(twice).contains("column n is declared twice"));
        let nullable = TableColumns {
            partition: Field::new("day", DataType::Date32, true),
            ..columns(&[SITE_COLUMN], &[])
        };
        assert!(refused(nullable).contains("never null"));
    }

    #[test]
    fn events_declaration_is_valid() {
        let events = events();
        assert_eq!(events.table_schema(), &schema::events());
        assert_eq!(events.file_schema(), &schema::event_file());
        let comment = |name: &str| events.commented_schema().field_with_name(name).unwrap().metadata()[COMMENT].clone();
        assert_eq!(comment("page_path"), EventField::PagePath.spec().description);
        assert_eq!(comment("event_date"), EventField::EventDate.spec().description);
    }
}
