//! Mutated SQL: whatever a text is, it has an answer of the reader's own rows or an error within the limits.
//!
//! `MUTATIONS=n` tries more, `MUTATIONS_SEED=n` begins at another one. A failure names its seed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_model::access::SiteScope;

use super::layouts::Layout;
use super::random::Random;
use super::statements::Statement;
use super::{answer, sorted, words};
use crate::testing::{CORES, TestLake, lake};
use crate::tests::routing::statements_of_tools;
use crate::{Engine, EngineOptions, QueryError};

const MUTATIONS: u64 = 300;

/// Each statement may compute for so long.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What a statement may take in all, with waiting and what is not interrupted, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pieces that statements are broken with.
const HOSTILE: [&str; 26] = [
    "'",
    "\"",
    ";",
    "--",
    "/*",
    "(",
    ")",
    "NULL",
    "$1",
    "?",
    "\u{202e}",
    "\0",
    "1e400",
    "-9223372036854775808",
    "99999999999999999999999999999999999999",
    "CROSS JOIN events",
    "LATERAL",
    "information_schema.columns",
    "system.queries",
    "repeat('x', 100000000)",
    "generate_series(1, 1000000000)",
    "client_id ~ '(a+)+$'",
    "page_url ~ '(x{1,1000}){1,1000}'",
    "INTERVAL '178000000 years'",
    "tracking_id",
    "event_timestamp",
];

#[tokio::test(flavor = "multi_thread")]
async fn mutated_statements_stay_within_sites_and_limits() {
    let _alone = CORES.write().await;
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let first = number("MUTATIONS_SEED", 0);
    let known = statements_of_tools();
    let mut random = Random::new(first);
    let layout = Layout::random(&mut random);
    let (shared, alone) = (lake().await, lake().await);
    layout.write(&shared, &alone).await;
    let reader = layout.reader();
    let (in_shared, in_alone) = (engine(&shared), engine(&alone));
    let (mut answers, mut refusals) = (0, 0);
    for seed in first..first + number("MUTATIONS", MUTATIONS) {
        let mut random = Random::new(seed);
        let sql = mutated(&mut random, &known, &layout);
        let began = Instant::now();
        let found = compare(&in_shared, &in_alone, &reader, &sql, seed).await;
        assert!(began.elapsed() < PATIENCE, "seed {seed}: {:?}\n{sql}", began.elapsed());
        match found {
            true => answers += 1,
            false => refusals += 1,
        }
    }
    eprintln!("{answers} answers, {refusals} errors");
    // Otherwise nothing was tried.
    assert!(
        answers * 10 > refusals && refusals * 10 > answers,
        "{answers} answers, {refusals} errors"
    );
    // They have left nothing behind.
    let count = answer(&in_shared, &reader, "SELECT count(*) FROM events").await;
    assert_eq!(count, answer(&in_alone, &reader, "SELECT count(*) FROM events").await);
    assert!(count.is_ok());
}

fn engine(lake: &TestLake) -> Engine {
    let options = EngineOptions {
        target_partitions: 1,
        memory_bytes: 64 << 20,
        statement_timeout: TIMEOUT,
        // Row by row: which rows a LIMIT takes, and which condition fails first, does not depend on the clock.
        slice_time: Duration::ZERO,
        ..lake.options()
    };
    Engine::new(Arc::clone(&lake.table), &options).unwrap()
}

/// Whether the shared lake answers, and answers as the reader's own does.
async fn compare(shared: &Engine, alone: &Engine, reader: &SiteScope, sql: &str, seed: u64) -> bool {
    let explains = sql.to_ascii_uppercase().contains("EXPLAIN");
    let ours = answer(shared, reader, sql).await;
    assert!(
        !matches!(ours, Err(QueryError::Internal(_))),
        "seed {seed}: {ours:?}\n{sql}"
    );
    let is_answer = ours.is_ok();
    let expected = answer(alone, reader, sql).await;
    let is_limited = |answer: &super::Answer| matches!(answer, Err(QueryError::Limit(_) | QueryError::Timeout(_)));
    // How far it came until then depends on the machine.
    if is_volatile(sql) || is_limited(&ours) || is_limited(&expected) {
        return is_answer;
    }
    let (ours, expected) = match explains {
        true => (sorted(words(ours)), sorted(words(expected))),
        false => (sorted(ours), sorted(expected)),
    };
    assert_eq!(ours, expected, "seed {seed}:\n{sql}");
    is_answer
}

/// Whether two equal lakes may answer differently.
fn is_volatile(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let words = ["random", "uuid", "now(", "current_", "localtime", "system.", "analyze"];
    words.iter().any(|word| sql.contains(word))
}

fn mutated(random: &mut Random, known: &[String], layout: &Layout) -> String {
    let statement = |random: &mut Random| match random.one_in(2) {
        true => known[random.below(known.len())].clone(),
        false => Statement::random(random, layout).sql,
    };
    let sql = statement(random);
    if random.one_in(8) {
        return bombed(random, &sql);
    }
    let other = statement(random);
    let (mut tokens, pool) = (tokens(&sql), tokens(&other));
    for _ in 0..=random.below(3) {
        let at = random.below(tokens.len());
        match random.below(16) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[at].clone()),
            2 => {
                let with = random.below(tokens.len());
                tokens.swap(at, with);
            }
            3 => tokens[at] = HOSTILE[random.below(HOSTILE.len())].to_owned(),
            4 => tokens.insert(at, HOSTILE[random.below(HOSTILE.len())].to_owned()),
            // What may still be valid.
            _ => {
                let alike = |token: &&String| kind(token) == kind(&tokens[at]) && kind(token) < KEYWORD;
                let alike: Vec<_> = pool.iter().filter(alike).collect();
                if !alike.is_empty() {
                    tokens[at] = alike[random.below(alike.len())].clone();
                }
            }
        }
        if tokens.is_empty() {
            break;
        }
    }
    tokens.join(" ")
}

/// Tokens of one kind below this may stand in each other's place.
const KEYWORD: usize = 3;

/// Texts, numbers, names, keywords, signs.
fn kind(token: &str) -> usize {
    match token.chars().next() {
        Some('\'') => 0,
        Some('0'..='9') => 1,
        Some('a'..='z' | '"' | '_') => 2,
        Some('A'..='Z') => KEYWORD,
        _ => 4,
    }
}

/// A statement that is large in one way.
fn bombed(random: &mut Random, sql: &str) -> String {
    let size = [3, 30, 300, 3_000][random.below(4)];
    match random.below(7) {
        0 => (0..size).fold(sql.to_owned(), |sql, nth| format!("SELECT * FROM ({sql}) t{nth}")),
        1 => vec![sql; size].join(" UNION ALL "),
        2 => {
            let list: Vec<_> = (0..size * 10).map(|n| format!("'{n}'")).collect();
            format!("SELECT count(*) FROM events WHERE client_id IN ({})", list.join(", "))
        }
        3 => format!(
            "SELECT count(*) FROM events e0{}",
            (1..size).fold(String::new(), |joins, n| format!("{joins} CROSS JOIN events e{n}"))
        ),
        4 => format!("SELECT {}1{} FROM events", "(".repeat(size), ")".repeat(size)),
        5 => format!(
            "SELECT count(*) FROM events WHERE page_url ~ '{}'",
            "(a|b?)*".repeat(size)
        ),
        _ => format!(
            "SELECT {} FROM events",
            vec!["page_url || client_id"; size].join(" || ")
        ),
    }
}

/// Words, numbers, quoted texts, operators and signs.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let (mut quote, mut before) = (None, Class::Other);
    for c in sql.chars() {
        let class = Class::of(c);
        let continues = quote.is_some() || (class == before && class != Class::Other);
        match tokens.last_mut().filter(|_| continues) {
            Some(last) => last.push(c),
            None if c.is_whitespace() => {}
            None => tokens.push(c.to_string()),
        }
        quote = match quote {
            Some(open) if open == c => None,
            None if matches!(c, '\'' | '"') => Some(c),
            other => other,
        };
        before = class;
    }
    tokens
}

/// Characters that make a token together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Operator,
    Other,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            '_' | '.' => Self::Word,
            c if c.is_alphanumeric() => Self::Word,
            '<' | '>' | '=' | ':' | '|' | '!' | '~' => Self::Operator,
            _ => Self::Other,
        }
    }
}
