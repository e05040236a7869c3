//! The `events` table provider and read-only SQL. Not built yet.
