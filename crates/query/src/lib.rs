//! SQL over the lake, read-only: table providers over a pinned snapshot, limits.

mod engine;
mod error;

pub use datafusion::common::ScalarValue;
pub use datafusion::execution::SendableRecordBatchStream;
pub use engine::{Description, Engine, TableInfo};
pub use error::QueryError;
