//! The planner knows the order of files.

use footfall_model::access::SiteScope;

use crate::testing::{TestLake, events, lake, table};

const SORTED: &str = "SELECT client_id FROM events ORDER BY tracking_id, client_hash, event_timestamp";

async fn plan(lake: &TestLake, sql: &str) -> String {
    table(&lake.engine(), &SiteScope::All, &format!("EXPLAIN FORMAT INDENT {sql}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn disjoint_files_need_no_sort() {
    let lake = lake().await;
    for site in ["c", "a", "b", "d"] {
        lake.add(site, events().site(site).crowd(50)).await;
    }
    let sorted = plan(&lake, SORTED).await;
    assert!(!sorted.contains("SortExec"), "{sorted}");
    assert!(sorted.contains("output_ordering=[tracking_id@"), "{sorted}");
    let one_site = plan(
        &lake,
        "SELECT client_hash, count(*) FROM events WHERE tracking_id = 'a' GROUP BY client_hash ORDER BY client_hash",
    )
    .await;
    assert!(!one_site.contains("SortExec"), "{one_site}");
    assert!(one_site.contains("ordering_mode=Sorted"), "{one_site}");
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_files_are_sorted() {
    let lake = lake().await;
    for name in ["x", "y", "z"] {
        lake.add(name, events().site("a").crowd(50)).await;
    }
    let sorted = plan(&lake, SORTED).await;
    assert!(sorted.contains("SortExec"), "{sorted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_match_declared_order() {
    let lake = lake().await;
    for (name, site) in [("1", "b"), ("2", "a"), ("3", "c"), ("4", "b")] {
        lake.add(name, events().site(site).crowd(200)).await;
    }
    let sql = "SELECT count(*) FROM (SELECT *, lag(tracking_id) OVER w AS t, lag(client_hash) OVER w AS h FROM events \
               WINDOW w AS (ORDER BY tracking_id, client_hash, event_timestamp)) \
               WHERE t > tracking_id OR (t = tracking_id AND h > client_hash)";
    assert_eq!(crate::testing::value(&lake.engine(), &SiteScope::All, sql).await, "0");
    // Read directly from the stream, without an operator that could sort again.
    let rows = crate::testing::rows(
        &lake.engine(),
        &SiteScope::All,
        "SELECT tracking_id, client_hash, event_timestamp FROM events ORDER BY 1, 2, 3",
        &[],
    )
    .await
    .unwrap();
    let all = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
    let columns = all.columns().iter().map(|values| arrow::compute::SortColumn {
        values: std::sync::Arc::clone(values),
        options: None,
    });
    let sorted = arrow::compute::lexsort_to_indices(&columns.collect::<Vec<_>>(), None).unwrap();
    let sorted = arrow::compute::take_record_batch(&all, &sorted).unwrap();
    assert_eq!(all.num_rows(), 800);
    assert_eq!(all, sorted);
}
