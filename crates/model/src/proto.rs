//! The generated wire types of `proto/footfall/v1`.
#![allow(unreachable_pub, clippy::all, reason = "generated code")]

tonic::include_proto!("footfall.v1");
