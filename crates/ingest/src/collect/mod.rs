//! The HTTP and gRPC front: parse, validate, reply.
