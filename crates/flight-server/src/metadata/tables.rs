//! Catalogs, schemas, tables and their types.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow_flight::error::Result;
use arrow_flight::sql::metadata::{GetCatalogsBuilder, GetTablesBuilder};
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use footfall_query::TableInfo;

use crate::client::ClientKind;

const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

pub(super) fn catalogs(tables: &[TableInfo]) -> Result<RecordBatch> {
    let mut builder = GetCatalogsBuilder::new();
    for catalog in tables.iter().map(|table| &table.catalog).collect::<BTreeSet<_>>() {
        builder.append(catalog);
    }
    builder.build()
}

pub(super) fn schemas(query: CommandGetDbSchemas, tables: &[TableInfo]) -> Result<RecordBatch> {
    let mut builder = query.into_builder();
    let schemas = tables.iter().map(|table| (&table.catalog, &table.schema));
    for (catalog, schema) in schemas.collect::<BTreeSet<_>>() {
        builder.append(catalog, schema);
    }
    builder.build()
}

pub(super) fn tables(query: CommandGetTables, tables: &[TableInfo], client: ClientKind) -> Result<RecordBatch> {
    let wanted: Option<BTreeSet<&str>> =
        (!query.table_types.is_empty()).then(|| query.table_types.iter().filter_map(|name| kind(name)).collect());
    let mut builder = GetTablesBuilder::new(
        query.catalog,
        query.db_schema_filter_pattern,
        query.table_name_filter_pattern,
        None::<String>, // filtered here, because a type has more than one name
        query.include_schema,
    );
    for table in tables {
        if wanted.as_ref().is_none_or(|wanted| wanted.contains(table.kind)) {
            let columns = client.schema(&table.columns);
            builder.append(&table.catalog, &table.schema, &table.name, table.kind, &columns)?;
        }
    }
    builder.build()
}

/// The type that a client means. Excel and Power BI ask for `TABLE`, Grafana for `BASE TABLE` and `table`.
fn kind(name: &str) -> Option<&'static str> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is(TABLE) || is("BASE TABLE") {
        Some(TABLE)
    } else if is(VIEW) {
        Some(VIEW)
    } else {
        None
    }
}

pub(super) fn table_types() -> Result<RecordBatch> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    builder.append(TABLE);
    builder.append(VIEW);
    builder.build()
}
