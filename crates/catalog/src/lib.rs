//! Sites, tokens, funnels, segments of users and dashboards. Not built yet.
