//! The engine as its users meet it: real Delta tables, real Parquet files, SQL in and Arrow out.

mod answers;
mod clauses;
mod limits;
mod order;
mod parameter_types;
mod parameters;
mod pruning;
mod security;
