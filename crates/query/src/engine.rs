//! From SQL text to a stream of Arrow batches.

use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use footfall_model::access::SiteScope;

use crate::QueryError;

/// What a statement will return and wants bound.
#[derive(Debug, Clone)]
pub struct Description {
    /// Exactly the schema of the stream that `execute` returns.
    pub schema: SchemaRef,
    /// One field a parameter, in order, named "1", "2"…; of type `Null` where it can't be told.
    pub parameters: Vec<Field>,
}

/// A table that SQL can name.
#[derive(Debug, Clone)]
pub struct TableInfo {
    pub catalog: String,
    pub schema: String,
    pub name: String,
    /// `TABLE` or `VIEW`.
    pub kind: &'static str,
    pub columns: SchemaRef,
}

/// Runs read-only SQL, each statement over one pinned snapshot and the caller's sites alone.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    pub async fn describe(&self, sites: &SiteScope, sql: &str) -> Result<Description, QueryError> {
        let _ = (sites, sql);
        Err(QueryError::Unsupported("SQL comes with the next commit".into()))
    }

    /// Rows start to flow when the stream is polled; dropping it stops the query. `parameters` bind by position to
    /// `$1`, `$2`… or `?`.
    pub async fn execute(
        &self,
        sites: &SiteScope,
        sql: &str,
        parameters: &[ScalarValue],
    ) -> Result<SendableRecordBatchStream, QueryError> {
        let _ = (sites, sql, parameters);
        Err(QueryError::Unsupported("SQL comes with the next commit".into()))
    }

    /// The tables that SQL can name.
    pub fn tables(&self) -> Vec<TableInfo> {
        Vec::new()
    }
}
