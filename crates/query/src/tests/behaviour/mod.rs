//! What visitors did in which order: `window_funnel`, `retention` and `retention_cohorts`.

mod cohorts;
mod retention;
mod window_funnel;
