//! The statements of `tests/sql/bi`: each has the source that is written above it, and the answer that events give, also as a
//! prepared statement, inside other statements, for readers of some sites and in other time zones.

use std::ops::ControlFlow;
use std::path::PathBuf;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Value, visit_expressions_mut, visit_statements_mut};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use footfall_compactor::Policy;
use footfall_model::access::SiteScope;

use super::{answer_with, source};
use crate::testing::only;
use crate::tests::rollups::{Random, Rolled, random_events, rolled};
use crate::{Caller, ScalarValue};

/// A statement of a file.
struct Case {
    file: String,
    /// `raw`, or the rollup.
    source: String,
    /// How often it is sent, in percent.
    share: Option<f64>,
    sql: String,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/sql/bi"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.iter().flat_map(|path| cases_of(path)).collect()
}

/// All statements.
pub(in crate::tests) fn statements_of_tools() -> Vec<String> {
    cases().into_iter().map(|case| case.sql).collect()
}

fn cases_of(path: &std::path::Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let (mut cases, mut source, mut share) = (Vec::new(), None, None);
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("-- ") {
            source = comment.strip_prefix("source: ").map(str::to_owned).or(source);
            share = comment
                .strip_prefix("share: ")
                .map(|share| share.parse().unwrap())
                .or(share);
        } else if let Some(sql) = line.strip_suffix(';') {
            cases.push(Case {
                file: file.clone(),
                source: source.take().unwrap_or_else(|| panic!("{file}: {sql} has no source")),
                share: share.take(),
                sql: sql.to_owned(),
            });
        } else {
            assert!(
                line.is_empty(),
                "{file}: each statement is a line that ends with `;`: {line}"
            );
        }
    }
    cases
}

/// Files of three days, of which the last is not merged.
async fn lake() -> Rolled {
    let mut random = Random(7);
    let rolled = rolled(&Policy::default()).await;
    for written_at in 0..6 {
        rolled.add(random_events(&mut random), written_at).await;
    }
    for day in 20_758..20_761 {
        for task in rolled.compactors[0].plan_day(day) {
            rolled.compactors[0].execute(&task, None).await.unwrap();
        }
    }
    rolled.add(random_events(&mut random), 10).await;
    rolled
}

/// The statement with the constants of its conditions as parameters, and their values.
fn prepared(sql: &str) -> (String, Vec<ScalarValue>) {
    let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
    let mut values = Vec::new();
    let _ = visit_statements_mut(&mut statements, |statement: &mut Statement| {
        let _ = visit_expressions_mut(statement, |expr| {
            match expr {
                Expr::BinaryOp { left, right, .. } => {
                    bind(left, &mut values);
                    bind(right, &mut values);
                }
                Expr::Between { low, high, .. } => {
                    bind(low, &mut values);
                    bind(high, &mut values);
                }
                Expr::InList { list, .. } => list.iter_mut().for_each(|value| bind(value, &mut values)),
                _ => {}
            }
            ControlFlow::<()>::Continue(())
        });
        ControlFlow::<()>::Continue(())
    });
    (statements[0].to_string(), values)
}

fn bind(expr: &mut Expr, values: &mut Vec<ScalarValue>) {
    if let Expr::Value(value) = expr
        && let Value::SingleQuotedString(text) = &value.value
    {
        values.push(ScalarValue::from(text.as_str()));
        *expr = Expr::value(Value::Placeholder(format!("${}", values.len())));
    }
}

/// The statement in the spellings in which tools send it.
fn variants(sql: &str) -> Vec<(&'static str, String, Vec<ScalarValue>)> {
    let (text, values) = prepared(sql);
    let nested = format!("SELECT * FROM ({sql}) AS \"inner\"");
    let nested_twice = format!("SELECT * FROM ({nested}) AS \"outer\"");
    let in_zone = |zone: &str| sql.replace("event_timestamp", &format!("(event_timestamp AT TIME ZONE '{zone}')"));
    let mut variants = vec![
        ("as written", sql.to_owned(), Vec::new()),
        ("nested", nested, Vec::new()),
        ("nested twice", nested_twice, Vec::new()),
    ];
    if !values.is_empty() {
        variants.push(("prepared", text, values));
    }
    // Where the time is a plain column of one table.
    if sql.contains("event_timestamp") && !sql.contains("\"event_timestamp\"") && !sql.contains("ZONE") {
        variants.push(("Asia/Kathmandu", in_zone("Asia/Kathmandu"), Vec::new()));
        variants.push(("Australia/Lord_Howe", in_zone("Australia/Lord_Howe"), Vec::new()));
    }
    variants
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_tools_have_the_answer_of_events() {
    let rolled = lake().await;
    let (mut failures, mut refused, mut count) = (Vec::new(), 0, 0);
    for Case { file, sql, .. } in cases() {
        for (variant, sql, values) in variants(&sql) {
            let scopes = [SiteScope::All, only(&["site-0", "site-1"])];
            // Nesting changes nothing of what a reader may see.
            let scopes = scopes
                .into_iter()
                .take(if variant.starts_with("nested") { 1 } else { 2 });
            for scope in scopes {
                let caller = || Caller::from(&scope);
                let routed = answer_with(&rolled.engine, caller(), &sql, &values).await;
                let raw = answer_with(&rolled.engine, caller().with_routing(false), &sql, &values).await;
                count += 1;
                if routed != raw {
                    failures.push(format!(
                        "{file}, {variant}: {sql}\n{}\n{}",
                        routed.join("\n"),
                        raw.join("\n")
                    ));
                } else if raw.len() == 1 {
                    refused += 1;
                    if variant == "as written" || variant.starts_with("nested") {
                        failures.push(format!("{file}, {variant}: {sql}\n{}", raw[0]));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(refused * 20 < count, "{refused} of {count} are refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_tools_have_their_source() {
    let rolled = lake().await;
    let (mut failures, mut shares, mut routed) = (Vec::new(), 0.0, 0.0);
    for case in cases() {
        let sql = &case.sql;
        // By the declarations alone, whatever the rows.
        let found = source(&rolled.engine, &only(&["site-0", "site-1"]), sql).await;
        let is_raw = found.starts_with("raw") || found == "not routable";
        let rollups = found.split([',', ';', ':']).next().unwrap();
        let rollups = rollups.trim_start_matches("rollups ").trim_start_matches("rollup ");
        let fits = match case.source.as_str() {
            "raw" => is_raw,
            expected => rollups == expected,
        };
        if !fits {
            failures.push(format!("{}: {sql}\n  expected {}, got {found}", case.file, case.source));
        }
        let share = case.share.unwrap_or_default();
        shares += share;
        routed += if is_raw { 0.0 } else { share };
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(routed >= 0.85 * shares, "{routed} of {shares} by frequency are routed");
}
