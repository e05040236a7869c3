//! Errors of a query. The Flight server and the gateway each map them to their statuses in one place.

use std::error::Error;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;

/// Why a query failed. The message is for the user: what was wrong, where, what to do.
///
/// A stream's errors wrap one of these: `QueryError::from(error)` extracts it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The SQL, its types or its parameters are invalid.
    #[error("{0}")]
    Invalid(String),
    /// An unknown table, column or function.
    #[error("{0}")]
    NotFound(String),
    /// Footfall is read-only, or the token does not permit it.
    #[error("{0}")]
    Denied(String),
    /// Valid, but not supported.
    #[error("{0}")]
    Unsupported(String),
    /// A limit (memory, size, concurrent queries) was reached.
    #[error("{0}")]
    Limit(String),
    /// The statement exceeded its computing time, or its client took no rows for too long.
    #[error("{0}")]
    Timeout(String),
    /// The lake's store does not answer or refuses; the server's log has the cause.
    #[error("{0}")]
    Unavailable(String),
    /// The caller went away before there was a result.
    #[error("the query was cancelled")]
    Cancelled,
    /// An internal error, of ours or of the store.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// The label of the metric of finished statements.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::Denied(_) => "denied",
            Self::Unsupported(_) => "unsupported",
            Self::Limit(_) => "limit",
            Self::Timeout(_) => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Internal(_) => "internal",
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        of(&error)
    }
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> Self {
        of_arrow(&error)
    }
}

/// The only mapping of DataFusion's errors.
fn of(error: &DataFusionError) -> QueryError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => of(inner),
        DataFusionError::Shared(inner) => of(inner),
        DataFusionError::Collection(errors) => errors
            .first()
            .map_or_else(|| QueryError::Internal("the query failed".into()), of),
        DataFusionError::External(inner) => of_other(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => of_arrow(inner),
        DataFusionError::ParquetError(inner) => of_parquet(inner),
        DataFusionError::SQL(inner, _) => QueryError::Invalid(syntax(inner)),
        DataFusionError::NotImplemented(text) => QueryError::Unsupported(clean(text)),
        DataFusionError::Plan(text) if names_nothing(text) => QueryError::NotFound(clean(text)),
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { .. } => QueryError::NotFound(clean(&inner.to_string())),
            _ => QueryError::Invalid(clean(&inner.to_string())),
        },
        DataFusionError::Plan(text) | DataFusionError::Configuration(text) | DataFusionError::Execution(text) => {
            QueryError::Invalid(clean(text))
        }
        DataFusionError::ResourcesExhausted(text) => QueryError::Limit(exhausted(text)),
        DataFusionError::IoError(inner) if is_spill_limit(&inner.to_string()) => {
            QueryError::Limit(exhausted(&inner.to_string()))
        }
        DataFusionError::ObjectStore(inner) => of_store(inner),
        other => other_text(&other.strip_backtrace()),
    }
}

fn of_other(error: &(dyn Error + Send + Sync + 'static)) -> QueryError {
    if let Some(ours) = error.downcast_ref::<QueryError>() {
        ours.clone()
    } else if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        of(inner)
    } else if let Some(inner) = error.downcast_ref::<ArrowError>() {
        of_arrow(inner)
    } else if let Some(inner) = error.downcast_ref::<ParquetError>() {
        of_parquet(inner)
    } else if let Some(inner) = error.downcast_ref::<object_store::Error>() {
        of_store(inner)
    } else {
        other_text(&error.to_string())
    }
}

fn of_arrow(error: &ArrowError) -> QueryError {
    match error {
        ArrowError::ExternalError(inner) => of_other(inner.as_ref()),
        ArrowError::DivideByZero => QueryError::Invalid("division by zero".into()),
        ArrowError::NotYetImplemented(text) => QueryError::Unsupported(clean(text)),
        ArrowError::ComputeError(text) => condition(text).unwrap_or_else(|| QueryError::Invalid(clean(text))),
        ArrowError::CastError(text)
        | ArrowError::ParseError(text)
        | ArrowError::ArithmeticOverflow(text)
        | ArrowError::InvalidArgumentError(text) => QueryError::Invalid(clean(text)),
        ArrowError::IoError(text, _) if is_spill_limit(text) => QueryError::Limit(exhausted(text)),
        ArrowError::MemoryError(text) => QueryError::Limit(exhausted(text)),
        other => other_text(&other.to_string()),
    }
}

/// Without a type, ours; but a pattern is the user's, and so are a function's arguments.
fn other_text(text: &str) -> QueryError {
    if text.contains("CompiledTooBig") {
        return QueryError::Invalid("the regular expression is too large".into());
    }
    let of_user = ["regex parse error", "failed to match any signature"];
    match of_user.iter().any(|known| text.contains(known)) {
        true => QueryError::Invalid(clean(text)),
        false => QueryError::Internal(clean(text)),
    }
}

/// A client learns only that the store failed; where it is, and how it failed, goes to the server's log.
fn of_store(error: &object_store::Error) -> QueryError {
    tracing::error!(%error, "the lake's store failed a query");
    match error {
        object_store::Error::NotFound { .. } => QueryError::Unavailable(
            "a file of the lake is gone; run the query again, and if that does not help, contact the server's operator"
                .into(),
        ),
        _ => QueryError::Unavailable(
            "the lake's store does not answer or refuses to; try again, and if that does not help, contact the \
             server's operator"
                .into(),
        ),
    }
}

/// A filter that the Parquet reader evaluates fails here, with the error of the user's expression.
fn of_parquet(error: &ParquetError) -> QueryError {
    match error {
        ParquetError::External(inner) => of_other(inner.as_ref()),
        ParquetError::ArrowError(text) => condition(text).unwrap_or_else(|| QueryError::Internal(clean(text))),
        other => QueryError::Internal(clean(&other.to_string())),
    }
}

/// A condition that the Parquet reader could not evaluate: the reader keeps the cause only as debug output.
fn condition(text: &str) -> Option<QueryError> {
    let (_, reason) = text.split_once("Error evaluating filter predicate: ")?;
    if reason.contains("DivideByZero") {
        return Some(QueryError::Invalid("division by zero".into()));
    }
    let quoted = reason.split('"').nth(1).filter(|text| !text.is_empty());
    Some(QueryError::Invalid(clean(quoted.unwrap_or(reason))))
}

/// DataFusion has no error type for an unknown table or function.
fn names_nothing(text: &str) -> bool {
    text.starts_with("Invalid function '")
        || text.starts_with("failed to resolve ")
        || ((text.starts_with("table '") || text.starts_with("table function '")) && text.contains("' not found"))
}

/// DataFusion hides this limit in an I/O error.
fn is_spill_limit(text: &str) -> bool {
    text.contains("used disk space during the spilling")
}

fn syntax(error: &ParserError) -> String {
    match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => format!("SQL syntax: {}", clean(text)),
        ParserError::RecursionLimitExceeded => "the SQL is nested too deeply; write it flatter".into(),
    }
}

/// Not the pool's own text, which lists other callers' operators.
fn exhausted(text: &str) -> String {
    tracing::debug!(details = text, "a query reached a limit of memory or disk");
    if text.contains("disk") {
        "the query needs more disk for intermediate results than the server allows for all queries; ask for a shorter \
         time range or fewer columns"
    } else {
        "the query needs more memory than the server allows for all queries; ask for a shorter time range, fewer \
         columns or fewer groups"
    }
    .into()
}

/// Without the prefixes that nested errors accumulate, and as one paragraph.
fn clean(text: &str) -> String {
    const NOISE: [&str; 9] = [
        "DataFusion error: ",
        "Error during planning: ",
        "Execution error: ",
        "Internal error: ",
        "Arrow error: ",
        "External error: ",
        "External: ",
        "Compute error: ",
        "Schema error: ",
    ];
    let ends = ["\n\nbacktrace: ", ".\nThis issue was likely caused by a bug"];
    let mut text = ends
        .iter()
        .fold(text, |text, end| text.split(end).next().unwrap_or(text))
        .trim();
    while let Some(rest) = NOISE.iter().find_map(|noise| text.strip_prefix(noise)) {
        text = rest;
    }
    text.replace('\n', " ").replace("Error during planning: ", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(error: impl Into<Box<dyn Error + Send + Sync>>) -> DataFusionError {
        DataFusionError::External(error.into())
    }

    #[test]
    fn query_error_survives_wrapping() {
        let ours = QueryError::Limit("too long".into());
        let wrapped = external(ArrowError::ExternalError(Box::new(
            external(ours.clone()).context("while reading"),
        )));
        assert_eq!(QueryError::from(wrapped), ours);
    }

    #[test]
    fn messages_lose_layer_prefixes() {
        let error = DataFusionError::Plan("Error during planning: DataFusion error: no\nway".into());
        assert_eq!(QueryError::from(error), QueryError::Invalid("no way".into()));
    }

    #[test]
    fn memory_error_names_no_foreign_operators() {
        let error = DataFusionError::ResourcesExhausted("consumer GroupedHashAggregate of somebody".into());
        let QueryError::Limit(text) = QueryError::from(error) else {
            panic!("a limit");
        };
        assert!(!text.contains("Grouped"), "{text}");
    }

    #[test]
    fn store_failure_hides_endpoint_and_bucket() {
        let failure = || object_store::Error::Generic {
            store: "S3",
            source: "error sending request for https://storage.internal:9000/bucket/key".into(),
        };
        let parquet = ParquetError::External(Box::new(failure()));
        for error in [
            DataFusionError::ObjectStore(Box::new(failure())),
            DataFusionError::ParquetError(Box::new(parquet)),
            external(failure()),
            external(external(failure()).context("while reading")),
        ] {
            let QueryError::Unavailable(text) = QueryError::from(error) else {
                panic!("the store is unavailable");
            };
            assert!(!text.contains("bucket") && !text.contains("internal"), "{text}");
        }
    }
}
