//! Delta tables on object storage and the one commit path. Not built yet.
