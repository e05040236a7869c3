use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_flight::{IpcMessage, SchemaResult};

use super::*;

fn table(schema: &str, name: &str, kind: &'static str) -> TableInfo {
    TableInfo {
        catalog: "footfall".into(),
        schema: schema.into(),
        name: name.into(),
        kind,
        columns: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)])),
    }
}

fn ask(command: &Command) -> RecordBatch {
    let tables = [
        table("public", "events", "TABLE"),
        table("public", "sessions", "VIEW"),
        table("system", "queries", "VIEW"),
    ];
    answer(command, &tables, ClientKind::Other).unwrap().unwrap()
}

fn texts(batch: &RecordBatch, column: usize) -> Vec<&str> {
    batch.column(column).as_string::<i32>().iter().flatten().collect()
}

fn names(query: CommandGetTables) -> Vec<String> {
    let batch = ask(&Command::CommandGetTables(query));
    texts(&batch, 2).into_iter().map(str::to_owned).collect()
}

#[test]
fn catalogs_and_schemas_are_listed_once() {
    let catalogs = ask(&Command::CommandGetCatalogs(CommandGetCatalogs {}));
    assert_eq!(texts(&catalogs, 0), ["footfall"]);
    let schemas = ask(&Command::CommandGetDbSchemas(CommandGetDbSchemas::default()));
    assert_eq!(texts(&schemas, 1), ["public", "system"]);
    let some = ask(&Command::CommandGetDbSchemas(CommandGetDbSchemas {
        catalog: Some("footfall".into()),
        db_schema_filter_pattern: Some("sys%".into()),
    }));
    assert_eq!(texts(&some, 1), ["system"]);
}

#[test]
fn tables_are_found_by_patterns() {
    let by = |pattern: &str| {
        names(CommandGetTables {
            table_name_filter_pattern: Some(pattern.into()),
            ..CommandGetTables::default()
        })
    };
    assert_eq!(by("%"), ["events", "sessions", "queries"]);
    assert_eq!(by("e%s"), ["events"]);
    assert_eq!(by("event_"), ["events"]);
    assert_eq!(by("EVENTS"), Vec::<String>::new());
    assert_eq!(
        by("SELECT count(*) FROM events WHERE a LIKE '%(['"),
        Vec::<String>::new()
    );
    let in_schema = CommandGetTables {
        db_schema_filter_pattern: Some("s_stem".into()),
        ..CommandGetTables::default()
    };
    assert_eq!(names(in_schema), ["queries"]);
    let elsewhere = CommandGetTables {
        catalog: Some("other".into()),
        ..CommandGetTables::default()
    };
    assert_eq!(names(elsewhere), Vec::<String>::new());
}

#[test]
fn table_type_synonyms_match() {
    let of = |types: &[&str]| {
        names(CommandGetTables {
            table_types: types.iter().map(|&name| name.to_owned()).collect(),
            ..CommandGetTables::default()
        })
    };
    assert_eq!(of(&["TABLE"]), ["events"]);
    assert_eq!(of(&["BASE TABLE", "table"]), ["events"]);
    assert_eq!(of(&["VIEW"]), ["sessions", "queries"]);
    assert_eq!(of(&["TABLE", "VIEW"]).len(), 3);
    assert_eq!(of(&["SYNONYM"]), Vec::<String>::new());
    let types = ask(&Command::CommandGetTableTypes(CommandGetTableTypes {}));
    assert_eq!(texts(&types, 0), ["TABLE", "VIEW"]);
}

#[test]
fn columns_are_listed_on_request() {
    let query = |include_schema| {
        ask(&Command::CommandGetTables(CommandGetTables {
            table_name_filter_pattern: Some("events".into()),
            include_schema,
            ..CommandGetTables::default()
        }))
    };
    assert_eq!(query(false).num_columns(), 4);
    let with = query(true);
    assert_eq!(with.num_columns(), 5);
    let schema = with.column(4).as_binary::<i32>().value(0).to_vec();
    let IpcMessage(schema) = IpcMessage(schema.into());
    let schema = Schema::try_from(&SchemaResult { schema }).unwrap();
    assert_eq!(schema.field(0).name(), "n");
}

#[test]
fn overlong_pattern_is_refused() {
    let command = Command::CommandGetTables(CommandGetTables {
        table_name_filter_pattern: Some("%".repeat(MAX_PATTERN_BYTES + 1)),
        ..CommandGetTables::default()
    });
    let status = answer(&command, &[], ClientKind::Other).unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
}

#[test]
fn sql_info_filters_by_code() {
    let info = |codes: &[u32]| {
        let batch = ask(&Command::CommandGetSqlInfo(CommandGetSqlInfo { info: codes.to_vec() }));
        batch.column(0).as_primitive::<UInt32Type>().values().to_vec()
    };
    let all = info(&[]);
    // Every code of the protocol: older JDBC drivers fail on a missing one.
    let codes = (0..1000).filter(|code| SqlInfo::try_from(*code).is_ok());
    assert_eq!(all, codes.map(|code| code as u32).collect::<Vec<_>>());
    assert_eq!(info(&[8, 1, 0, 1]), [0, 1, 8]);
    assert_eq!(info(&[999, 5000, u32::MAX]), Vec::<u32>::new());
    assert_eq!(info(&vec![7_000_000; 100_000]), Vec::<u32>::new());
}

#[test]
fn sql_info_is_read_only_without_transactions() {
    let value = |code: SqlInfo| {
        let info = vec![code as u32];
        let batch = ask(&Command::CommandGetSqlInfo(CommandGetSqlInfo { info }));
        batch.column(1).as_union().value(0)
    };
    assert_eq!(
        value(SqlInfo::FlightSqlServerName).as_string::<i32>().value(0),
        "Footfall"
    );
    assert!(value(SqlInfo::FlightSqlServerReadOnly).as_boolean().value(0));
    let transaction = value(SqlInfo::FlightSqlServerTransaction);
    assert_eq!(transaction.as_primitive::<arrow::datatypes::Int32Type>().value(0), 0);
    assert_eq!(value(SqlInfo::SqlIdentifierQuoteChar).as_string::<i32>().value(0), "\"");
}

#[test]
fn xdbc_types_filter_by_code() {
    let types = |data_type| {
        let batch = ask(&Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo { data_type }));
        texts(&batch, 0).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(types(None).len(), 14);
    assert_eq!(types(Some(12)), ["VARCHAR"]);
    assert_eq!(types(Some(-999)), Vec::<String>::new());
}

#[test]
fn keys_are_empty_without_error() {
    let primary = ask(&Command::CommandGetPrimaryKeys(CommandGetPrimaryKeys::default()));
    assert_eq!((primary.num_rows(), primary.num_columns()), (0, 6));
    for command in [
        Command::CommandGetExportedKeys(Default::default()),
        Command::CommandGetImportedKeys(Default::default()),
        Command::CommandGetCrossReference(Default::default()),
    ] {
        let keys = ask(&command);
        assert_eq!((keys.num_rows(), keys.num_columns()), (0, 13));
    }
}

#[test]
fn other_commands_are_not_metadata() {
    let query = Command::CommandStatementQuery(Default::default());
    assert!(answer(&query, &[], ClientKind::Other).unwrap().is_none());
}
