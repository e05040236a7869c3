//! SQL over the lake, read-only: table providers over a pinned snapshot, limits.

mod error;

pub use datafusion::common::ScalarValue;
pub use datafusion::execution::SendableRecordBatchStream;
pub use error::QueryError;
