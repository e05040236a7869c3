//! The engine as its users see it: real Delta tables, real Parquet files, SQL in and Arrow out.

mod added_columns;
mod answers;
mod behaviour;
mod bounds;
mod budget;
mod clauses;
mod compaction_crashes;
mod custom_properties;
mod descriptions;
mod documented;
mod funnels;
mod isolation;
mod limits;
mod order;
mod parameter_types;
mod parameters;
mod planning;
mod pruning;
mod results;
mod rollups;
mod routing;
mod sampling;
mod security;
mod semantics;
mod sessions;
mod sketches;
