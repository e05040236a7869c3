//! The Flight SQL protocol over `query`. Not built yet.
