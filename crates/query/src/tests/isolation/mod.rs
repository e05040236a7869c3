//! Invariant 6, generated: a reader of a shared lake gets what a lake of its own would return: the same rows in the
//! same order, the same error texts, the same plans.
//!
//! `ISOLATION_LAYOUTS=n` tries more layouts, `ISOLATION_SEED=n` begins at another one. A failure names its seed.

mod layouts;
mod mutations;
mod random;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Schema;
use arrow::util::pretty::pretty_format_batches;
use footfall_model::access::SiteScope;
use futures::StreamExt;

use self::layouts::Layout;
use self::random::Random;
use self::statements::Statement;
use crate::testing::{CORES, TestLake, lake, rows};
use crate::{Engine, EngineOptions, QueryError};

const LAYOUTS: u64 = 25;
const STATEMENTS: usize = 200;

/// Statements whose rows come in any order, because parts of the work race.
const RACING_STATEMENTS: usize = 6;

/// How often these are repeated while the answers differ: whether a condition is evaluated for a row that another has
/// excluded depends on the rows beside it, and these on which part came first. A leak does not.
const ATTEMPTS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn shared_lake_answers_like_own_lake() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let first = number("ISOLATION_SEED", 0);
    let seeds = first..first + number("ISOLATION_LAYOUTS", LAYOUTS);
    let tried: Vec<Tally> = futures::stream::iter(seeds)
        .map(|seed| async move { tokio::spawn(layout(seed)).await.expect("see above") })
        .buffered(2)
        .collect()
        .await;
    let all = tried.into_iter().fold(Tally::default(), Tally::plus);
    eprintln!("{all:?}");
    // Otherwise the test could not fail.
    assert!(
        all.cases >= 5_000 || all.cases < LAYOUTS as usize * STATEMENTS,
        "{all:?}"
    );
    assert!(all.errors * 8 > all.cases && all.errors * 3 < all.cases * 2, "{all:?}");
    assert!(all.rows * 4 > all.cases, "{all:?}");
    assert!(
        all.hidden * 4 > all.cases,
        "others' rows must matter to most answers: {all:?}"
    );
}

type Answer = Result<RecordBatch, QueryError>;

/// What was tried.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    cases: usize,
    /// Results that are an error.
    errors: usize,
    /// Results with rows.
    rows: usize,
    /// Results that would differ if all sites' rows were included.
    hidden: usize,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            cases: self.cases + other.cases,
            errors: self.errors + other.errors,
            rows: self.rows + other.rows,
            hidden: self.hidden + other.hidden,
        }
    }
}

async fn layout(seed: u64) -> Tally {
    let _shared = CORES.read().await;
    let mut random = Random::new(seed);
    let layout = Layout::random(&mut random);
    let (shared, alone) = (lake().await, lake().await);
    layout.write(&shared, &alone).await;
    let reader = layout.reader();
    let mut tally = Tally::default();
    let (in_shared, in_alone) = (engine(&shared, 1), engine(&alone, 1));
    for case in 0..STATEMENTS {
        let statement = Statement::random(&mut random, &layout);
        let sql = &statement.sql;
        let (ours, expected) = pair(&in_shared, &in_alone, &reader, &statement).await;
        assert_eq!(ours, expected, "seed {seed}, case {case}:\n{sql}");
        assert!(
            !matches!(ours, Err(QueryError::Internal(_))),
            "seed {seed}, case {case}: {ours:?}\n{sql}"
        );
        tally.cases += 1;
        tally.errors += usize::from(ours.is_err());
        tally.rows += usize::from(ours.as_ref().is_ok_and(|rows| rows.num_rows() > 0));
        if case % 10 == 0 {
            let all = answer(&in_shared, &SiteScope::All, sql).await;
            tally.hidden += 10 * usize::from(all != expected);
        }
    }
    let (in_shared, in_alone) = (engine(&shared, 3), engine(&alone, 3));
    for case in 0..RACING_STATEMENTS {
        let statement = Statement::random(&mut random, &layout);
        if statement.depends_on_order {
            continue;
        }
        let sql = &statement.sql;
        let both = async || {
            let ours = sorted(answer(&in_shared, &reader, sql).await);
            (ours, sorted(answer(&in_alone, &reader, sql).await))
        };
        let (mut ours, mut expected) = both().await;
        for _ in 0..ATTEMPTS {
            if ours == expected {
                break;
            }
            (ours, expected) = both().await;
        }
        assert_eq!(ours, expected, "seed {seed}, racing case {case}:\n{sql}");
        tally.cases += 1;
    }
    tally
}

/// The results of both lakes.
async fn pair(shared: &Engine, alone: &Engine, reader: &SiteScope, statement: &Statement) -> (Answer, Answer) {
    let ours = answer(shared, reader, &statement.sql).await;
    let expected = answer(alone, reader, &statement.sql).await;
    if statement.is_explain {
        (words(ours), words(expected))
    } else {
        (ours, expected)
    }
}

/// An engine whose operators get their rows in slices that do not depend on the clock: the order of rows, and which of
/// several conditions fails first, depend on the slices.
fn engine(lake: &TestLake, target_partitions: usize) -> Engine {
    let options = EngineOptions {
        target_partitions,
        slice_time: Duration::MAX,
        ..lake.options()
    };
    Engine::new(lake.table.clone(), &options).unwrap()
}

async fn answer(engine: &Engine, sites: &SiteScope, sql: &str) -> Answer {
    let batches = rows(engine, sites, sql, &[]).await?;
    let Some(first) = batches.first() else {
        return Ok(RecordBatch::new_empty(Arc::new(Schema::empty())));
    };
    Ok(concat_batches(&first.schema(), &batches).unwrap())
}

/// The words of a plan in any order: DataFusion leaves the order of some columns to chance.
fn words(plan: Answer) -> Answer {
    let text = pretty_format_batches(&[plan?]).unwrap().to_string();
    let mut words: Vec<_> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.parse::<u8>().is_err())
        .collect();
    words.sort_unstable();
    let words: ArrayRef = Arc::new(StringArray::from(words));
    Ok(RecordBatch::try_from_iter([("word", words)]).unwrap())
}

/// Rows in any order, or the kind of error: which of several rows fails first is left to chance.
fn sorted(answer: Answer) -> Result<Vec<String>, std::mem::Discriminant<QueryError>> {
    let rows = answer.map_err(|error| std::mem::discriminant(&error))?;
    let text = pretty_format_batches(&[rows]).unwrap().to_string();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}
