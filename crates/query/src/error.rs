//! What can be wrong with a query. The Flight server and the gateway map these to their statuses, once each.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// Why a query has no answer. The text is for the user: what was wrong, where, what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The SQL, its types or its parameters are wrong.
    #[error("{0}")]
    Invalid(String),
    /// No such table, column or function.
    #[error("{0}")]
    NotFound(String),
    /// Footfall is read-only, or the token does not reach so far.
    #[error("{0}")]
    Denied(String),
    /// Well-formed, but not offered.
    #[error("{0}")]
    Unsupported(String),
    /// A limit (memory, time, concurrent queries) was reached.
    #[error("{0}")]
    Limit(String),
    /// Ours or the store's fault.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// Of a query that failed after its stream had started: what [`crate::Engine::execute`]'s stream yields.
    pub fn of(error: &DataFusionError) -> Self {
        let root = error.find_root();
        if let DataFusionError::External(external) = root
            && let Some(own) = external.downcast_ref::<Self>()
        {
            return own.clone();
        }
        let text = clean(&root.strip_backtrace());
        match root {
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                SchemaError::FieldNotFound { .. } => Self::NotFound(text),
                _ => Self::Invalid(text),
            },
            DataFusionError::Plan(plan) if is_about_a_missing_name(plan) => Self::NotFound(text),
            DataFusionError::SQL(..) | DataFusionError::Plan(_) | DataFusionError::ArrowError(..) => {
                Self::Invalid(text)
            }
            DataFusionError::Execution(_) => Self::Invalid(text),
            DataFusionError::NotImplemented(_) => Self::Unsupported(text),
            DataFusionError::ResourcesExhausted(_) => Self::Limit(format!(
                "the query needs more memory than it may have; ask for fewer groups or a shorter time. {text}"
            )),
            DataFusionError::Configuration(_) => Self::Invalid(text),
            _ => Self::Internal(text),
        }
    }
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> Self {
        Self::of(&error)
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}

fn is_about_a_missing_name(plan: &str) -> bool {
    (plan.starts_with("table '") || plan.starts_with("Invalid function '") || plan.starts_with("failed to resolve "))
        || plan.contains(" not found")
}

/// Without the library's own prefixes: the user asked Footfall.
fn clean(text: &str) -> String {
    const PREFIXES: [&str; 9] = [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "Execution error: ",
        "Arrow error: ",
        "External error: ",
        "This feature is not implemented: ",
        "Resources exhausted: ",
        "ParserError(\"",
    ];
    let mut text = text;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    text.strip_suffix("\")").unwrap_or(text).to_owned()
}
