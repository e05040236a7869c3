//! The shard writer: log to lake.
