//! Descriptions that are given again without planning.

use std::sync::Arc;

use footfall_model::access::SiteScope;

use crate::ScalarValue;
use crate::testing::{events, lake, only};

const ALL: SiteScope = SiteScope::All;

#[tokio::test]
async fn described_statement_is_known_to_its_sites_with_its_values() {
    let lake = lake().await;
    lake.add("first", events().at("2026-11-01 10:00").crowd(10)).await;
    let engine = lake.engine();
    let sql = "SELECT event_date, count(*) AS n, $1 AS given FROM events WHERE client_id <> $1 GROUP BY 1";
    let values: [ScalarValue; 1] = ["client-3".into()];
    let known = |sites: &SiteScope, sql: &str, values: &[_]| engine.describe_known(sites, sql, values);
    assert_eq!(known(&ALL, sql, &values), None);
    let described = engine.describe_bound(&ALL, sql, &values).await.unwrap();
    assert_eq!(
        known(&ALL, sql, &values),
        Some((Arc::clone(&described.schema), described.version))
    );
    assert_eq!(known(&ALL, sql, &["client-4".into()]), None);
    assert_eq!(known(&ALL, sql, &[ScalarValue::from(3_i64)]), None);
    assert_eq!(known(&only(&["other"]), sql, &values), None);
    // A commit changes rows, not columns; it is run over the newest version.
    lake.add("second", events().at("2026-11-02 10:00").crowd(10)).await;
    let (schema, version) = known(&ALL, sql, &values).unwrap();
    assert_eq!(schema, described.schema);
    assert!(version > described.version);
}

#[tokio::test]
async fn statement_without_its_values_is_not_known() {
    let engine = lake().await.engine();
    let with = "SELECT count(*) FROM events WHERE client_id = $1";
    let without = "SELECT count(*) FROM events";
    for sql in [with, without] {
        engine.describe(&ALL, sql).await.unwrap();
    }
    assert_eq!(engine.describe_known(&ALL, with, &[]), None);
    assert!(engine.describe_known(&ALL, without, &[]).is_some());
    assert!(engine.describe(&ALL, "SELECT nothing FROM events").await.is_err());
    assert_eq!(engine.describe_known(&ALL, "SELECT nothing FROM events", &[]), None);
}
