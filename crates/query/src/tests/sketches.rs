//! HLL sketches in SQL.

use footfall_model::access::SiteScope;
use footfall_model::sketch::{Coupon, RELATIVE_STANDARD_ERROR, Sketch};

use crate::QueryError;
use crate::testing::{events, lake, only, rows, value};

#[tokio::test(flavor = "multi_thread")]
async fn sketch_is_the_same_however_rows_are_divided() {
    let lake = lake().await;
    // In three files; many visitors are in two of them.
    for (name, site, visitors) in [("x", "a", 700), ("y", "b", 900), ("z", "a", 500)] {
        lake.add(name, events().site(site).crowd(visitors)).await;
    }
    let engine = lake.engine();
    let one = async |sql: &str| value(&engine, &SiteScope::All, sql).await;
    let mut sketch = Sketch::default();
    for visitor in 0..900 {
        sketch.add(Coupon::of_text(&format!("client-{visitor}")).unwrap());
    }
    let hex: String = sketch.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(one("SELECT hll_sketch(client_id) FROM events").await, hex);
    let united =
        "SELECT hll_union(s) FROM (SELECT hll_sketch(client_id) AS s FROM events GROUP BY page_url, tracking_id)";
    assert_eq!(one(united).await, hex);
    let estimate = one("SELECT hll_estimate(hll_sketch(client_id)) FROM events").await;
    let estimate: f64 = estimate.parse().unwrap();
    assert!(
        (estimate / 900.0 - 1.0).abs() < 4.0 * RELATIVE_STANDARD_ERROR,
        "{estimate}"
    );
    let own = "SELECT hll_estimate(hll_sketch(client_id)) FROM events";
    assert_ne!(value(&engine, &only(&["a"]), own).await, estimate.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_no_value() {
    let engine = lake().await.engine();
    let one = async |sql: &str| value(&engine, &SiteScope::All, sql).await;
    assert_eq!(one("SELECT hll_sketch(client_id) IS NULL FROM events").await, "true");
    assert_eq!(one("SELECT hll_union(NULL) IS NULL").await, "true");
    assert_eq!(one("SELECT hll_estimate(NULL) IS NULL").await, "true");
    assert_eq!(
        one("SELECT hll_estimate(hll_sketch(x)) FROM (VALUES (1), (NULL), (1), (2)) t(x)").await,
        "2"
    );
    assert_eq!(
        one("SELECT hll_estimate(hll_sketch(x)) FROM (VALUES (''), ('a')) t(x)").await,
        "1"
    );
    let some = "SELECT hll_estimate(hll_sketch(x) FILTER (WHERE x > 1)) FROM (VALUES (1), (2), (3)) t(x)";
    assert_eq!(one(some).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sketch_is_refused_with_the_reason() {
    let engine = lake().await.engine();
    let refused = async |sql: &str| match rows(&engine, &SiteScope::All, sql, &[]).await {
        Err(QueryError::Invalid(text)) => text,
        other => panic!("{other:?}"),
    };
    let bytes = |hex: &str| format!("SELECT hll_estimate(decode('{hex}', 'hex'))");
    let short = refused(&bytes("0201")).await;
    assert_eq!(
        short,
        "hll_estimate: not an HLL sketch of Apache DataSketches: it has 2 bytes, and a sketch at least 8"
    );
    let promises = refused(&bytes("0301071509080005ffffff7f")).await;
    assert!(promises.contains("it ends after 12 bytes"), "{promises}");
    let text = refused("SELECT hll_union(client_id) FROM events").await;
    assert!(text.contains("hll_union takes a sketch, a BYTEA"), "{text}");
    let float = refused("SELECT hll_sketch(1.5)").await;
    assert!(float.contains("hll_sketch takes text or integers"), "{float}");
}
