//! `TABLESAMPLE SYSTEM (10)` becomes a condition on the visitor's hash.
//!
//! `FROM events TABLESAMPLE SYSTEM (10) e` reads the visitors whose hash is in the first tenth of all hashes, with all
//! their rows: per-visitor numbers stay true, the same statement has the same sample, and samples of tables that have
//! the same visitors agree. Files are sorted by site and hash, so about a tenth of the pages is read.

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, TableAlias, TableFactor, TableSample, TableSampleKind, TableSampleMethod, TableSampleQuantity,
    TableSampleUnit,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

use super::dialect;
use crate::QueryError;

/// The tables with a row's visitor.
const TABLES: [&str; 4] = ["events", "visits", "visitors_daily", "sessions"];

/// Replaces a sampled table. The share of visitors that are read, if it is one.
pub(super) fn rewrite(table: &mut TableFactor) -> Result<Option<f64>, QueryError> {
    let TableFactor::Table {
        name,
        alias,
        sample,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        index_hints,
    } = table
    else {
        return Ok(None);
    };
    // Refused in `dropped`, like all that the condition above leaves out.
    if !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
        return Ok(None);
    }
    let Some(TableSampleKind::BeforeTableAlias(sampled) | TableSampleKind::AfterTableAlias(sampled)) = sample else {
        return Ok(None);
    };
    let last = named(name).ok_or_else(|| {
        let tables = TABLES.join(", ");
        QueryError::Unsupported(format!(
            "{name} can't be sampled; only {tables} have visitors to choose from"
        ))
    })?;
    let share = share(sampled)?;
    let alias = alias.clone().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: last.clone(),
        columns: Vec::new(),
        at: None,
    });
    let sql = format!("SELECT * FROM {name} WHERE client_hash <= {}", last_hash(share));
    let subquery = Parser::new(&dialect::Sql)
        .try_with_sql(&sql)
        .and_then(|mut parser| parser.parse_query())
        .map_err(|error: ParserError| QueryError::Internal(format!("a sample can't be written: {error}")))?;
    *table = TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(alias),
        sample: None,
    };
    Ok(Some(share))
}

/// The last part of the name of a table that can be sampled.
fn named(name: &ObjectName) -> Option<&Ident> {
    let last = name.0.last()?.as_ident()?;
    let is = |table: &&str| match last.quote_style {
        Some(_) => last.value == **table,
        None => last.value.eq_ignore_ascii_case(table),
    };
    TABLES.iter().any(is).then_some(last)
}

/// The share of visitors, above 0 and at most 1.
fn share(sample: &TableSample) -> Result<f64, QueryError> {
    let TableSample {
        modifier: _,
        name,
        quantity,
        seed,
        bucket,
        offset,
    } = sample;
    let refused = |why: &str| {
        QueryError::Unsupported(format!(
            "{sample} is not supported: {why}. Write TABLESAMPLE SYSTEM (10) for a tenth of the visitors, with all their \
             rows",
            sample = sample.to_string().trim()
        ))
    };
    if !matches!(name, Some(TableSampleMethod::System)) {
        return Err(refused("the sample is one of visitors, not of rows"));
    }
    if seed.is_some() || bucket.is_some() || offset.is_some() {
        return Err(refused("the sample of a table is always the same"));
    }
    let Some(TableSampleQuantity {
        parenthesized: _,
        value,
        unit: None | Some(TableSampleUnit::Percent),
    }) = quantity
    else {
        return Err(refused("its size is a percentage"));
    };
    let percent: f64 = value
        .to_string()
        .parse()
        .map_err(|_| refused("its size must be a number"))?;
    if percent > 0.0 && percent <= 100.0 {
        Ok(percent / 100.0)
    } else {
        Err(refused("its size must be above 0 and at most 100"))
    }
}

/// The last hash of the first `share` of all.
pub(crate) fn last_hash(share: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0 and at most 2^64"
    )]
    let count = (share * 18_446_744_073_709_551_616.0) as u128;
    let last = i128::from(i64::MIN) + i128::try_from(count).unwrap_or(i128::MAX) - 1;
    i64::try_from(last).unwrap_or(if last < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use footfall_model::access::SiteScope;

    use super::super::parse;
    use super::*;

    #[test]
    fn other_samples_are_refused_with_hint() {
        for (sql, hint) in [
            (
                "SELECT count(*) FROM events TABLESAMPLE (10 PERCENT)",
                "of visitors, not of rows",
            ),
            ("SELECT count(*) FROM events TABLESAMPLE SYSTEM (0)", "above 0"),
            ("SELECT count(*) FROM events TABLESAMPLE SYSTEM (200)", "at most 100"),
            (
                "SELECT count(*) FROM events TABLESAMPLE SYSTEM (10 ROWS)",
                "a percentage",
            ),
            ("SELECT count(*) FROM events TABLESAMPLE SYSTEM (x)", "must be a number"),
            (
                "SELECT count(*) FROM events TABLESAMPLE SYSTEM (10) REPEATABLE (1)",
                "always the same",
            ),
            (
                "SELECT count(*) FROM events_daily TABLESAMPLE SYSTEM (10)",
                "can't be sampled",
            ),
            (
                "SELECT count(*) FROM events AS e TABLESAMPLE BERNOULLI (10) REPEATABLE (1)",
                "of visitors, not of rows",
            ),
            (
                "SELECT count(*) FROM events TABLESAMPLE (BUCKET 1 OUT OF 10)",
                "of visitors, not of rows",
            ),
            ("SELECT count(*) FROM events SAMPLE 0.1", "of visitors, not of rows"),
        ] {
            match parse(sql, &SiteScope::All) {
                Err(QueryError::Unsupported(text)) => assert!(text.contains(hint), "{sql}: {text}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn shares_are_ranges_of_hashes() {
        assert_eq!(last_hash(1.0), i64::MAX);
        assert_eq!(last_hash(0.5), -1);
        assert_eq!(last_hash(0.25), i64::MIN / 2 - 1);
        assert_eq!(last_hash(1e-30), i64::MIN);
    }
}
