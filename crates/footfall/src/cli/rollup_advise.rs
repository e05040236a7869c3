//! `footfall rollup advise`: what a running server's last statements lacked, and how large it would be.

use anyhow::{Context, bail};
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use chrono::NaiveDate;
use footfall_model::rollup::{MeasureFunction, RollupDefinition};
use footfall_query::advise::{Measured, Proposal, QueryFacts, advise, candidates, count_groups, facts, name};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::rollup::grain;
use super::rollup_args::RollupAdvise;
use super::table::TextTable;
use super::{given_or_local, print};
use crate::config::Config;
use crate::sql::client::{Client, local_address};

/// Of days with events, the last few, of which the largest is measured.
const DAYS: usize = 7;

/// Bytes of a row, without and with sketches, where the lake has no rollups to go by: a guess.
const ROW_BYTES: (f64, f64) = (24.0, 400.0);

/// What a lake holds.
struct Contents {
    /// Rows of all files of events.
    events: u64,
    /// The day to measure on.
    day: NaiveDate,
    /// Bytes of a row of rollups without and with sketches.
    row_bytes: (f64, f64),
    /// The names of tables and views.
    tables: Vec<String>,
}

/// A proposal with its name and its size, as far as that is known.
struct Advice {
    proposal: Proposal,
    rows: u64,
    bytes: u64,
}

pub(super) async fn run(config: &Config, args: RollupAdvise) -> anyhow::Result<()> {
    let server = args.server.clone().unwrap_or_else(|| local_address(config.flight.addr));
    let token = given_or_local(args.token.as_deref(), config)?;
    let mut client = Client::connect(&server, &token).await?;
    let facts = missing(&mut client).await?;
    let advice = match facts.is_empty() {
        true => Vec::new(),
        false => advice(&mut client, &facts, args.limit).await?,
    };
    if args.json {
        let all = advice.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
        return print(&format!("{:#}\n", Value::from(all)));
    }
    if args.toml {
        let Some(best) = advice.first() else {
            bail!("no rollup would have saved the last statements much");
        };
        return print(&toml::to_string(&best.proposal.rollup)?);
    }
    print(&readable(&advice, facts.len())?)
}

async fn missing(client: &mut Client) -> anyhow::Result<Vec<QueryFacts>> {
    // EXPLAIN reads nothing.
    let sql = "SELECT missing_rollups, rows_read FROM system.queries \
               WHERE status = 'ok' AND rows_read > 0 AND missing_rollups IS NOT NULL";
    let (_, batches) = client
        .collect(sql)
        .await
        .context("the last statements can't be read; that needs a token of all sites")?;
    let mut all = Vec::new();
    for batch in &batches {
        for (missing, rows) in texts(batch, 0)?.into_iter().zip(numbers(batch, 1)?) {
            let missing = facts(&missing, rows).context("the server is of another version than this program")?;
            all.extend(missing);
        }
    }
    Ok(all)
}

async fn advice(client: &mut Client, facts: &[QueryFacts], limit: usize) -> anyhow::Result<Vec<Advice>> {
    let Some(contents) = contents(client).await? else {
        return Ok(Vec::new());
    };
    let mut measured = Vec::new();
    for rollup in candidates(facts) {
        let rows_per_event = rows_per_event(client, &rollup, contents.day).await?;
        measured.push(Measured { rollup, rows_per_event });
    }
    let mut taken = contents.tables.clone();
    let named = advise(facts, &measured, limit).into_iter().map(|mut proposal| {
        proposal.rollup.name = name(&proposal.rollup, &taken);
        taken.push(proposal.rollup.name.clone());
        size(proposal, &contents)
    });
    Ok(named.collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "estimates, not negative"
)]
fn size(proposal: Proposal, contents: &Contents) -> Advice {
    let rows = contents.events as f64 * proposal.rows_per_event;
    let mut measures = proposal.rollup.measures.iter();
    let (plain, with_sketch) = contents.row_bytes;
    let row = match measures.any(|measure| measure.function == MeasureFunction::Sketch) {
        true => with_sketch,
        false => plain,
    };
    Advice {
        proposal,
        rows: rows as u64,
        bytes: (rows * row) as u64,
    }
}

/// `None` if there are no events.
async fn contents(client: &mut Client) -> anyhow::Result<Option<Contents>> {
    let days = "SELECT CAST(d AS VARCHAR) AS day, CAST(n AS BIGINT) AS n FROM (SELECT event_date AS d, sum(rows) AS n \
                FROM system.files WHERE table_name = 'events' GROUP BY event_date) ORDER BY day DESC";
    let days: Vec<(String, u64)> = pairs(client, days).await?;
    let events = days.iter().map(|(_, rows)| rows).sum();
    let day = days.iter().take(DAYS).max_by_key(|(_, rows)| *rows);
    let Some((day, _)) = day.filter(|(_, rows)| *rows > 0) else {
        return Ok(None);
    };
    let row_bytes = |tables: &str| {
        format!(
            "SELECT 'row', CAST(1000.0 * sum(bytes) / sum(rows) AS BIGINT) FROM system.files \
             WHERE table_name IN ({tables}) HAVING sum(rows) > 0"
        )
    };
    let plain = pairs(client, &row_bytes("'events_daily', 'visits'")).await?;
    let sketches =
        "'events_totals', 'events_hourly', 'totals_daily', 'countries_daily', 'pages_daily', 'sources_daily'";
    let with_sketches = pairs(client, &row_bytes(sketches)).await?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of a row")]
    let or = |found: Vec<(String, u64)>, otherwise: f64| found.first().map_or(otherwise, |(_, n)| *n as f64 / 1_000.0);
    let tables = "SELECT table_name, 0 FROM information_schema.tables";
    Ok(Some(Contents {
        events,
        day: day.parse().with_context(|| format!("{day:?} is not a date"))?,
        row_bytes: (or(plain, ROW_BYTES.0), or(with_sketches, ROW_BYTES.1)),
        tables: pairs(client, tables).await?.into_iter().map(|(name, _)| name).collect(),
    }))
}

async fn rows_per_event(client: &mut Client, rollup: &RollupDefinition, day: NaiveDate) -> anyhow::Result<f64> {
    let (_, batches) = client.collect(&count_groups(rollup, day)).await?;
    let mut ratio = 1.0;
    for batch in &batches {
        for (events, groups) in numbers(batch, 0)?.into_iter().zip(numbers(batch, 1)?) {
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            let found = groups as f64 / events.max(1) as f64;
            ratio = found.min(1.0);
        }
    }
    Ok(ratio)
}

async fn pairs(client: &mut Client, sql: &str) -> anyhow::Result<Vec<(String, u64)>> {
    let (_, batches) = client.collect(sql).await?;
    let mut all = Vec::new();
    for batch in &batches {
        all.extend(texts(batch, 0)?.into_iter().zip(numbers(batch, 1)?));
    }
    Ok(all)
}

fn column(batch: &RecordBatch, nth: usize, of: &DataType) -> anyhow::Result<arrow::array::ArrayRef> {
    let column = batch.columns().get(nth).context("the server sent too few columns")?;
    Ok(cast(column, of)?)
}

fn texts(batch: &RecordBatch, nth: usize) -> anyhow::Result<Vec<String>> {
    let column = column(batch, nth, &DataType::Utf8)?;
    let texts = column.as_string::<i32>().iter();
    Ok(texts.map(|text| text.unwrap_or_default().to_owned()).collect())
}

fn numbers(batch: &RecordBatch, nth: usize) -> anyhow::Result<Vec<u64>> {
    let column = column(batch, nth, &DataType::Int64)?;
    let numbers = column.as_primitive::<Int64Type>().iter();
    Ok(numbers
        .map(|number| number.unwrap_or_default().unsigned_abs())
        .collect())
}

fn to_json(advice: &Advice) -> serde_json::Result<Value> {
    Ok(json!({
        "rollup": serde_json::to_value(&advice.proposal.rollup)?,
        "aggregates": advice.proposal.aggregates,
        "rows_saved": advice.proposal.rows_saved,
        "estimated_rows": advice.rows,
        "estimated_bytes": advice.bytes,
    }))
}

fn readable(advice: &[Advice], asked: usize) -> anyhow::Result<String> {
    let Some(best) = advice.first() else {
        return Ok(match asked {
            0 => {
                "no rollup is missing: each of the last statements was answered from rollups, or could not be\n".into()
            }
            _ => format!("of {asked} aggregates that were computed from events, no rollup would have saved much\n"),
        });
    };
    let mut table = TextTable::new([
        "ROLLUP",
        "GRAIN",
        "DIMENSIONS",
        "MEASURES",
        "AGGREGATES",
        "ROWS SAVED",
        "ITS ROWS",
        "ITS SIZE",
    ]);
    for Advice { proposal, rows, bytes } in advice {
        let rollup = &proposal.rollup;
        let measures = rollup.measures.iter().map(|measure| measure.name.as_str());
        let visitors = rollup.per_visitor.then_some("(visitor)");
        let dimensions = rollup.dimensions.iter().map(String::as_str).chain(visitors);
        table.row([
            rollup.name.clone(),
            grain(rollup.grain).into(),
            dimensions.collect::<Vec<_>>().join(", "),
            measures.collect::<Vec<_>>().join(", "),
            proposal.aggregates.to_string(),
            proposal.rows_saved.to_string(),
            format!("~{rows}"),
            format!("~{}", HumanBytes(*bytes)),
        ]);
    }
    let toml = toml::to_string(&best.proposal.rollup)?;
    Ok(format!(
        "{}\nThe first, for `footfall rollup create --file FILE` (`rollup advise --toml > FILE` writes it):\n\n{toml}",
        table.render()
    ))
}
