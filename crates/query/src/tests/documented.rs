//! The examples of the documentation: each ```sql block that a ```text block follows is run, and gives that text.

use footfall_model::access::SiteScope;

use crate::Engine;
use crate::testing::{EventsBuilder, events, lake, table};

const SQL: &str = include_str!("../../../../docs/sql.md");

struct Example {
    line: usize,
    sql: String,
    result: String,
}

fn examples(page: &str) -> Vec<Example> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
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
        [(line, "sql", sql), (_, "text", result)] => Some(Example {
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

/// Runs the examples of a page.
pub(super) async fn assert_examples(page: &str, engine: &Engine) {
    let examples = examples(page);
    assert!(examples.len() > 4, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for Example { line, sql, result } in examples {
        let got = table(engine, &SiteScope::All, &sql).await;
        if got != result {
            wrong.push(format!("line {line}\n{sql}\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// An event for each line of the page's block of properties.
fn documented_events() -> EventsBuilder {
    let mut sent = events();
    for (number, line) in block(SQL, "json").lines().enumerate() {
        sent = sent
            .at(&format!("2026-11-0{} 10:00", number + 1))
            .pageview("/")
            .properties(line);
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_give_the_results_shown() {
    let lake = lake().await;
    lake.add("x", documented_events()).await;
    assert_examples(SQL, &lake.engine()).await;
}
