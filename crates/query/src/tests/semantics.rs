//! What expressions mean: as in PostgreSQL, or refused.

mod intervals;
mod numbers;
mod patterns;
mod times;

use footfall_model::access::SiteScope;

use crate::Engine;
use crate::testing::{events, lake, value};

/// Over two pageviews, 19 days and some hours apart, around a change of the clocks in Europe.
async fn engine() -> Engine {
    let lake = lake().await;
    let sent = events()
        .at("2026-10-25 00:30")
        .pageview("/a")
        .at("2026-11-13 10:00")
        .pageview("/b");
    lake.add("x", sent).await;
    lake.engine()
}

/// As [`check`], with `#` standing for `from`.
async fn check_over(from: &str, cases: &[(&str, &str)]) {
    let written: Vec<_> = cases
        .iter()
        .map(|(sql, expected)| (sql.replace('#', from), *expected))
        .collect();
    let cases: Vec<_> = written
        .iter()
        .map(|(sql, expected)| (sql.as_str(), *expected))
        .collect();
    check(&cases).await;
}

/// Each expression, with what may follow it in the SELECT, gives that text; `error: x` is a refusal that holds x.
async fn check(cases: &[(&str, &str)]) {
    let engine = engine().await;
    let mut wrong = Vec::new();
    for (expression, expected) in cases {
        let got = value(&engine, &SiteScope::All, &format!("SELECT {expression}")).await;
        let matches = match expected.strip_prefix("error: ") {
            Some(part) => got.contains(part) && got.contains('('),
            None => got == *expected,
        };
        if !matches {
            wrong.push(format!("{expression}: {got}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
