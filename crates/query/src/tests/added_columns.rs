//! Files that are older than a column.

use std::sync::Arc;

use arrow::array::RecordBatch;
use footfall_lake::{Commit, NewFile, Origin, partitions, write_file};
use footfall_model::access::SiteScope;
use footfall_model::schema;
use footfall_model::table::{TableColumns, TableSpec, events as table_of_events};

use crate::testing::{TestLake, events, lake, only, rows, value};

/// `events` as it was before it had the column.
fn before(column: &str) -> Arc<TableSpec> {
    let events = table_of_events();
    let fields = events
        .file_schema()
        .fields()
        .iter()
        .filter(|field| field.name() != column);
    let columns = TableColumns {
        file: fields.map(|field| field.as_ref().clone()).collect(),
        partition: events.partition().clone(),
        sort: &schema::SORT_COLUMNS,
        statistics: &schema::STATISTICS_COLUMNS,
    };
    Arc::new(TableSpec::new("events", "events", 0, columns).unwrap())
}

/// A file without `utm_term` and one with it, of two sites.
async fn old_and_new() -> TestLake {
    let lake = lake().await;
    let at = "2026-11-01 10:00:00";
    let two_sites = || {
        events()
            .site("a")
            .at(at)
            .pageview("/old")
            .site("b")
            .at(at)
            .pageview("/old")
    };
    let spec = before("utm_term");
    for partition in partitions(&two_sites().batch()).unwrap() {
        let indices: Vec<_> = spec
            .file_schema()
            .fields()
            .iter()
            .map(|field| partition.rows.schema().index_of(field.name()).unwrap())
            .collect();
        let new = NewFile::new(&spec, partition.event_date, "old", Origin::Wal, 0);
        let file = write_file(lake.table.store(), new, partition.rows.project(&indices).unwrap())
            .await
            .unwrap();
        lake.table.commit(&Commit::append(1_000, vec![file])).await.unwrap();
    }
    lake.add("new", two_sites()).await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn column_is_null_in_files_without_it() {
    let lake = old_and_new().await;
    let engine = lake.engine();
    for (scope, all) in [(SiteScope::All, "4"), (only(&["a"]), "2")] {
        for (sql, expected) in [
            ("SELECT count(*) FROM events", all),
            ("SELECT count(*) FROM events WHERE utm_term IS NULL", all),
            ("SELECT count(utm_term) FROM events", "0"),
            ("SELECT count(*) FROM events WHERE utm_term = 'x'", "0"),
            (
                "SELECT count(*) FROM events WHERE coalesce(utm_term, 'none') = 'none' AND page_url IS NOT NULL",
                all,
            ),
            ("SELECT max(utm_term) FROM events", ""),
        ] {
            assert_eq!(value(&engine, &scope, sql).await, expected, "{sql}");
        }
        let found = rows(&engine, &scope, "SELECT * FROM events ORDER BY event_id", &[])
            .await
            .unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>().to_string(), all);
    }
}
