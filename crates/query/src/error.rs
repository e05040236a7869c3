//! What can be wrong with a query. The Flight server and the gateway map these to their statuses, once each.

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
