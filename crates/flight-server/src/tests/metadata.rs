use arrow::array::AsArray;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, SqlInfo};

use super::*;

#[tokio::test]
async fn object_browser_sees_catalog_to_columns() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(lines(&fetch(&mut client, info).await.unwrap()), ["footfall"]);
    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    assert_eq!(lines(&fetch(&mut client, info).await.unwrap()), ["footfall public"]);
    let info = client.get_tables(CommandGetTables::default()).await.unwrap();
    assert_eq!(
        lines(&fetch(&mut client, info).await.unwrap()),
        ["footfall public events TABLE"]
    );
    let query = CommandGetTables {
        include_schema: true,
        ..CommandGetTables::default()
    };
    let info = client.get_tables(query).await.unwrap();
    let tables = fetch(&mut client, info).await.unwrap();
    let columns = tables[0].column(4).as_binary::<i32>().value(0).to_vec();
    let columns = arrow_flight::SchemaResult { schema: columns.into() };
    let columns = arrow::datatypes::Schema::try_from(columns).unwrap();
    assert!(columns.field_with_name("event_timestamp").is_ok());
    let info = client.get_table_types().await.unwrap();
    assert_eq!(lines(&fetch(&mut client, info).await.unwrap()), ["TABLE", "VIEW"]);
}

#[tokio::test]
async fn keys_types_and_sql_info_are_answered() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let info = client.get_primary_keys(CommandGetPrimaryKeys::default()).await.unwrap();
    assert!(lines(&fetch(&mut client, info).await.unwrap()).is_empty());
    let info = client.get_xdbc_type_info(Default::default()).await.unwrap();
    assert_eq!(lines(&fetch(&mut client, info).await.unwrap()).len(), 14);
    let info = client
        .get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly])
        .await
        .unwrap();
    assert_eq!(lines(&fetch(&mut client, info).await.unwrap()), ["3 {bool_value=true}"]);
    let info = client.get_sql_info(vec![]).await.unwrap();
    assert!(lines(&fetch(&mut client, info).await.unwrap()).len() > 80);
}
