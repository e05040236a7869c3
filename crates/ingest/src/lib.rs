//! Collection over HTTP and gRPC, the log and the shard writer. Not built yet.
