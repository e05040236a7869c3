//! Routed answers equal those from events, for the spellings that BI tools send.

mod corpus;
mod missing;
mod mixed;
mod random;
mod shown;

pub(in crate::tests) use corpus::statements_of_tools;

use footfall_model::access::SiteScope;

use crate::testing::{rows, table};
use crate::{Caller, Engine, ScalarValue};

/// The answer as a table, its rows in order of text.
async fn answer(engine: &Engine, caller: Caller, sql: &str) -> Vec<String> {
    answer_with(engine, caller, sql, &[]).await
}

/// The same of a statement with parameters.
async fn answer_with(engine: &Engine, caller: Caller, sql: &str, values: &[ScalarValue]) -> Vec<String> {
    let mut lines: Vec<String> = match rows(engine, caller, sql, values).await {
        Ok(rows) => arrow::util::pretty::pretty_format_batches(&rows)
            .unwrap()
            .to_string()
            .lines()
            .map(str::to_owned)
            .collect(),
        Err(error) => vec![format!("{error:?}")],
    };
    lines.sort();
    lines
}

/// How the first aggregate of `sql` is answered.
async fn source(engine: &Engine, scope: &SiteScope, sql: &str) -> String {
    let plan = table(engine, scope, &format!("EXPLAIN {sql}")).await;
    let line = plan.lines().find(|line| line.contains("aggregate 1: "));
    line.map_or_else(
        || "not routable".to_owned(),
        |line| {
            line.split("aggregate 1: ")
                .nth(1)
                .unwrap()
                .trim_matches([' ', '|'])
                .to_owned()
        },
    )
}
