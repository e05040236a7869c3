//! The examples of the documentation: each ```sql block that a ```text block follows is run, and gives that text.

use footfall_compactor::Policy;
use footfall_model::access::SiteScope;
use serde_json::Value;

use super::rollups::rolled;
use crate::Engine;
use crate::testing::{EventsBuilder, events, lake, table};

const SQL: &str = include_str!("../../../../docs/sql.md");
const BEHAVIOUR: &str = include_str!("../../../../docs/behaviour.md");
const ROLLUPS: &str = include_str!("../../../../docs/rollups.md");

pub(super) struct Example {
    line: usize,
    pub(super) sql: String,
    pub(super) result: String,
}

/// The statements that a block in `language` follows. A block in a list is indented.
pub(super) fn examples(page: &str, language: &str) -> Vec<Example> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().map(str::trim_start).enumerate();
    while let Some((line, text)) = lines.next() {
        if let Some(language) = text.strip_prefix("```") {
            let body: Vec<_> = lines
                .by_ref()
                .map(|(_, text)| text)
                .take_while(|text| *text != "```")
                .collect();
            blocks.push((line + 1, language, body.join("\n")));
        }
    }
    let pairs = blocks.windows(2).filter_map(|pair| match pair {
        [(line, "sql", sql), (_, follows, result)] if *follows == language => Some(Example {
            line: *line,
            sql: sql.clone(),
            result: result.clone(),
        }),
        _ => None,
    });
    pairs.collect()
}

/// The page's first block in this language.
pub(super) fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a block of events");
    let (block, _) = rest.split_once("```").expect("its end");
    block
}

/// The lines are `custom_properties`.
fn events_with_properties() -> EventsBuilder {
    let mut sent = events();
    for (number, line) in block(SQL, "json").lines().enumerate() {
        sent = sent
            .at(&format!("2026-11-0{} 10:00", number + 1))
            .pageview("/")
            .properties(line);
    }
    sent
}

/// The lines are events, of columns.
fn events_with_columns(page: &str) -> EventsBuilder {
    let mut sent = events();
    for line in block(page, "json").lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| event[name].as_str();
        sent = sent.at(text("timestamp").unwrap()).client(text("client_id").unwrap());
        if event.get("session_id").is_some() {
            sent = sent.session(text("session_id"));
        }
        for column in ["country", "device", "page_path", "user_id"] {
            sent = sent.text(column, text(column));
        }
        sent = match event["revenue"].as_i64() {
            Some(revenue) => sent.purchase(revenue.into()),
            None => sent.pageview("/"),
        };
    }
    sent
}

/// Runs the examples of a page.
pub(super) async fn assert_examples(page: &str, engine: &Engine) {
    let examples = examples(page, "text");
    assert!(examples.len() > 1, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for Example { line, sql, result } in examples {
        let got = table(engine, &SiteScope::All, &sql).await;
        if got != result {
            wrong.push(format!("line {line}\n{sql}\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_sql_give_the_results_shown() {
    let lake = lake().await;
    lake.add("x", events_with_properties()).await;
    assert_examples(SQL, &lake.engine()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_rollups_give_the_results_shown() {
    let rolled = rolled(&Policy::default()).await;
    rolled.add(events_with_columns(ROLLUPS), 0).await;
    // One day from segments, the other from events.
    let tasks = rolled.compactors[0].plan_day(20_759);
    rolled.compactors[0].execute(&tasks[0], None).await.unwrap();
    assert_examples(ROLLUPS, &rolled.engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_behaviour_give_the_results_shown() {
    let lake = lake().await;
    lake.add("x", events_with_columns(BEHAVIOUR)).await;
    assert_examples(BEHAVIOUR, &lake.engine()).await;
}
