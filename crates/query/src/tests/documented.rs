//! The examples of docs/sql.md: each ```sql block that a ```text block follows is run, and gives that text.

use footfall_model::access::SiteScope;

use crate::testing::{EventsBuilder, events, lake, table};

const PAGE: &str = include_str!("../../../../docs/sql.md");

struct Example {
    line: usize,
    sql: String,
    result: String,
}

fn examples() -> Vec<Example> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines().enumerate();
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

/// The events of the page's first ```json block.
fn documented_events() -> EventsBuilder {
    let (_, rest) = PAGE.split_once("```json\n").expect("a block of events");
    let (block, _) = rest.split_once("```").expect("its end");
    let mut sent = events();
    for (number, line) in block.lines().enumerate() {
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
    let engine = lake.engine();
    let examples = examples();
    assert!(examples.len() > 5, "{} examples", examples.len());
    let mut wrong = Vec::new();
    for Example { line, sql, result } in examples {
        let got = table(&engine, &SiteScope::All, &sql).await;
        if got != result {
            wrong.push(format!("docs/sql.md:{line}\n{sql}\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
