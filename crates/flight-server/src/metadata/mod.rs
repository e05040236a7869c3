//! Metadata of the server and its tables: each command is answered by one small batch.

mod keys;
mod sql_info;
mod tables;
mod xdbc;

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::Command;
use footfall_query::TableInfo;
use tonic::Status;

use crate::client::ClientKind;
use crate::status;

/// A pattern may be as long as a statement: pandas sends its SQL as one, to learn whether it is a table's name.
const MAX_PATTERN_BYTES: usize = 1 << 16;

/// The answer to a metadata command; `None` if it is another command.
///
/// # Errors
/// INVALID_ARGUMENT for a pattern that is too long.
pub(crate) fn answer(
    command: &Command,
    tables: &[TableInfo],
    client: ClientKind,
) -> Result<Option<RecordBatch>, Status> {
    if let Some(pattern) = patterns(command).find(|pattern| pattern.len() > MAX_PATTERN_BYTES) {
        return Err(Status::invalid_argument(format!(
            "a name pattern of {} bytes; {MAX_PATTERN_BYTES} are allowed",
            pattern.len()
        )));
    }
    let batch = match command {
        Command::CommandGetCatalogs(_) => tables::catalogs(tables),
        Command::CommandGetDbSchemas(query) => tables::schemas(query.clone(), tables),
        Command::CommandGetTables(query) => tables::tables(query.clone(), tables, client),
        Command::CommandGetTableTypes(_) => tables::table_types(),
        Command::CommandGetSqlInfo(query) => sql_info::answer(&query.info, client),
        Command::CommandGetXdbcTypeInfo(query) => xdbc::answer(query.data_type),
        Command::CommandGetPrimaryKeys(_) => Ok(keys::no_primary_keys()),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(keys::no_foreign_keys()),
        _ => return Ok(None),
    };
    batch.map(Some).map_err(|error| match error {
        FlightError::Arrow(error) => Status::invalid_argument(error.to_string()),
        error => status::internal(error),
    })
}

fn patterns(command: &Command) -> impl Iterator<Item = &str> {
    let (schema, table) = match command {
        Command::CommandGetDbSchemas(query) => (query.db_schema_filter_pattern.as_deref(), None),
        Command::CommandGetTables(query) => (
            query.db_schema_filter_pattern.as_deref(),
            query.table_name_filter_pattern.as_deref(),
        ),
        _ => (None, None),
    };
    schema.into_iter().chain(table)
}

#[cfg(test)]
mod tests;
