//! LIKE and SIMILAR TO.

use arrow::datatypes::DataType;
use footfall_model::access::SiteScope;

use super::{check, engine};
use crate::ScalarValue;
use crate::testing::rows;

#[tokio::test(flavor = "multi_thread")]
async fn like_takes_any_escape_character() {
    check(&[
        ("'10%' LIKE '10!%' ESCAPE '!'", "true"),
        ("'10x' LIKE '10!%' ESCAPE '!'", "false"),
        ("'10x' NOT LIKE '10!%' ESCAPE '!'", "true"),
        ("'10X%' ILIKE '10x!%' ESCAPE '!'", "true"),
        ("'10X' NOT ILIKE '10x!%' ESCAPE '!'", "true"),
        ("'a%' LIKE 'a\\%'", "true"),
        ("'ab' LIKE 'a\\%'", "false"),
        ("'a\\xyz' LIKE 'a\\%' ESCAPE ''", "true"),
        ("'a\\b' LIKE 'a\\b' ESCAPE '!'", "true"),
        ("'a\\b' LIKE 'a!\\b' ESCAPE '!'", "true"),
        ("NULL LIKE 'a!%' ESCAPE '!' IS NULL", "true"),
        ("'a' LIKE NULL ESCAPE '!' IS NULL", "true"),
        ("min(page_url) FROM events WHERE page_url LIKE '!/b%' ESCAPE '!'", "/b"),
        (
            "min(page_url) FROM events WHERE page_url LIKE concat('!', page_url) ESCAPE '!'",
            "/a",
        ),
        ("'a' LIKE 'a!' ESCAPE '!'", "error: ends with its escape character"),
        (
            "page_url LIKE concat(page_url, '!') ESCAPE '!' FROM events",
            "error: ends with its escape character",
        ),
        ("'a' LIKE 'a' ESCAPE '!!'", "error: one character"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn similar_to_matches_whole_text() {
    check(&[
        ("'abc' SIMILAR TO 'abc'", "true"),
        ("'abc' SIMILAR TO 'a'", "false"),
        ("'abc' SIMILAR TO '%(b|d)%'", "true"),
        ("'abc' SIMILAR TO '(b|c)%'", "false"),
        ("'abc' SIMILAR TO 'a_c'", "true"),
        ("'abc' SIMILAR TO 'a.c'", "false"),
        ("'a%c' SIMILAR TO 'a\\%c'", "true"),
        ("'abc' SIMILAR TO 'a#%c' ESCAPE '#'", "false"),
        ("'abc' NOT SIMILAR TO 'ab'", "true"),
        ("'x1' SIMILAR TO '[a-z][0-9]{1,2}'", "true"),
        ("'a' SIMILAR TO '(a'", "error: regex parse error"),
        (
            "page_url SIMILAR TO '[' || page_url FROM events",
            "error: regex parse error",
        ),
        ("NULL SIMILAR TO 'a' IS NULL", "true"),
        ("max(page_url) FROM events WHERE page_url SIMILAR TO '/(a|b)'", "/b"),
        ("count(*) FROM events WHERE page_url SIMILAR TO page_url", "2"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn escaped_pattern_can_be_bound() {
    let engine = engine().await;
    for (sql, pattern) in [
        ("SELECT count(*) FROM events WHERE page_url LIKE ? ESCAPE '!'", "!/a"),
        ("SELECT count(*) FROM events WHERE page_url SIMILAR TO ?", "/(a|c)"),
    ] {
        let described = engine.describe(&SiteScope::All, sql).await.unwrap();
        assert_eq!(described.parameters[0].data_type(), &DataType::Utf8, "{sql}");
        let rows = rows(&engine, &SiteScope::All, sql, &[ScalarValue::from(pattern)])
            .await
            .unwrap();
        assert_eq!(
            rows[0].column(0).as_ref(),
            &arrow::array::Int64Array::from(vec![1]),
            "{sql}"
        );
    }
}
