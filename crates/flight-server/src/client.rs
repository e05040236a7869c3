//! Kinds of clients, and the forms of results that some of them can't read.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt};
use tonic::metadata::MetadataMap;

use crate::status;
use crate::stream::Rows;

/// Distinguished by its gRPC library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientKind {
    /// JDBC. Its drivers from 18.3 on throw in `getObject` of a timestamp with a time zone, the call by which most
    /// tools read a row; so timestamps in UTC are sent without their zone.
    Java,
    Other,
}

impl ClientKind {
    pub(crate) fn of(metadata: &MetadataMap) -> Self {
        let agent = metadata.get("user-agent").and_then(|agent| agent.to_str().ok());
        if agent.is_some_and(|agent| agent.contains("grpc-java")) {
            Self::Java
        } else {
            Self::Other
        }
    }

    pub(crate) fn schema(self, schema: &SchemaRef) -> SchemaRef {
        match self {
            Self::Other => Arc::clone(schema),
            Self::Java => {
                let fields = schema.fields().iter().map(|field| without_utc(field));
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            }
        }
    }

    pub(crate) fn rows(self, rows: Rows) -> Rows {
        let schema = self.schema(&rows.schema);
        if schema == rows.schema {
            return rows;
        }
        let batches = {
            let schema = Arc::clone(&schema);
            rows.batches
                .and_then(move |batch| std::future::ready(relabel(&batch, &schema).map_err(status::internal)))
        };
        Rows {
            schema,
            batches: batches.boxed(),
            provenance: rows.provenance,
        }
    }
}

fn without_utc(field: &Field) -> Field {
    match field.data_type() {
        DataType::Timestamp(unit, Some(zone)) if &**zone == "UTC" => {
            field.clone().with_data_type(DataType::Timestamp(*unit, None))
        }
        _ => field.clone(),
    }
}

fn relabel(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<_, _>>()?, &rows)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, TimestampMicrosecondArray};
    use arrow::datatypes::{TimeUnit, TimestampMicrosecondType};
    use futures::executor::block_on;

    use super::*;

    fn client(agent: &str) -> ClientKind {
        let mut metadata = MetadataMap::new();
        metadata.insert("user-agent", agent.parse().unwrap());
        ClientKind::of(&metadata)
    }

    fn zoned(zone: &str) -> Rows {
        let times = TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone(zone);
        Rows::once(RecordBatch::try_from_iter([("t", Arc::new(times) as _)]).unwrap())
    }

    #[test]
    fn java_is_detected_by_grpc_library() {
        assert_eq!(client("grpc-java-netty/1.71.0"), ClientKind::Java);
        assert_eq!(client("ADBC Flight SQL Driver 1.13 grpc-go/1.84.0"), ClientKind::Other);
        assert_eq!(ClientKind::of(&MetadataMap::new()), ClientKind::Other);
    }

    #[test]
    fn utc_timestamps_lose_zone_for_java() {
        let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
        let rows = ClientKind::Java.rows(zoned("UTC"));
        assert_eq!(rows.schema.field(0).data_type(), &plain);
        let batches: Vec<_> = block_on(rows.batches.try_collect()).unwrap();
        let times = batches[0].column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(times.iter().collect::<Vec<_>>(), [Some(1), None]);
        assert_eq!(batches[0].schema(), rows.schema);

        assert_ne!(ClientKind::Other.rows(zoned("UTC")).schema.field(0).data_type(), &plain);
        // Its wall clock is another, which the driver shows if it knows the zone.
        let elsewhere = ClientKind::Java.rows(zoned("Asia/Kathmandu"));
        assert_ne!(elsewhere.schema.field(0).data_type(), &plain);
    }
}
