//! The statements that views are compared with.

use footfall_model::access::SiteScope;
use footfall_model::rollup::{RollupView, UNIQUE_USERS, Visitors};

use super::Random;

/// All columns of a view, keys first.
pub(super) fn columns(view: &RollupView) -> Vec<String> {
    let keys = view.keys().into_iter().map(str::to_owned);
    let measures = view.measures().iter().map(|measure| measure.name.clone());
    let visitors = (view.visitors != Visitors::OnePerRow).then(|| UNIQUE_USERS.to_owned());
    keys.chain(measures).chain(visitors).collect()
}

/// A condition on columns that the view has.
pub(super) fn random_condition(random: &mut Random, view: &RollupView) -> String {
    let conditions = [
        "tracking_id <> 'site-2'",
        "event_date >= DATE '2026-11-02'",
        "event_date = DATE '2026-11-01' OR event_date IS NULL",
        "hour >= '2026-11-01 22:00' AND hour < '2026-11-02 03:30'",
        "hour BETWEEN '2026-11-02 03:00' AND '2026-11-03 04:00'",
        "quarter_hour <= '2026-11-02 03:15'",
        "quarter_hour = '2026-11-02 03:15' OR quarter_hour > '2026-11-02 12:15'",
        "week = DATE '2026-11-02'",
        "week < DATE '2026-11-02'",
        "month > DATE '2026-10-31'",
        "country IS NULL",
        "country IN ('BE', 'NL') AND device IS NOT NULL",
        "device <> 'mobile' OR country IS NULL",
        "event_type = 'pageview'",
        "page_path LIKE '/1%'",
        "source IS NOT DISTINCT FROM NULL",
        "session_hash IS NULL OR session_hash = id_hash(tracking_id, 'session-1')",
        "user_hash IN (id_hash('site-1', 'user-1'), id_hash('site-1', 'user-2'))",
        "event_count > 1",
        "unique_users > 1 AND total_revenue IS NOT NULL",
        "unique_users = 1",
        "true",
    ];
    let columns = columns(view);
    let known = [
        "tracking_id",
        "event_date",
        "hour",
        "quarter_hour",
        "week",
        "month",
        "country",
        "device",
        "event_type",
        "page_path",
        "source",
        "session_hash",
        "user_hash",
        "event_count",
        "unique_users",
        "total_revenue",
    ];
    let unknown = |condition: &str| {
        let words = condition.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words
            .into_iter()
            .any(|word| known.contains(&word) && !columns.iter().any(|column| column == word))
    };
    let possible: Vec<_> = conditions.into_iter().filter(|condition| !unknown(condition)).collect();
    possible[random.below(possible.len() as u64) as usize].to_owned()
}

/// The same over all events, as an analyst would write it.
pub(super) fn over_events(view: &RollupView) -> String {
    let key = |name: &str| match name {
        "quarter_hour" => "date_bin(INTERVAL '15 minutes', event_timestamp)".to_owned(),
        "hour" => "date_trunc('hour', event_timestamp)".to_owned(),
        "week" | "month" => format!("CAST(date_trunc('{name}', event_timestamp) AS DATE)"),
        "session_hash" => "id_hash(tracking_id, session_id)".to_owned(),
        "user_hash" => "id_hash(tracking_id, user_id)".to_owned(),
        _ => name.to_owned(),
    };
    let keys = view.keys();
    let grouped: Vec<_> = (1..=keys.len()).map(|n| n.to_string()).collect();
    let measures = view.measures().iter().map(|measure| measure.function.over_events());
    let visitors = (view.visitors != Visitors::OnePerRow).then(|| "count(DISTINCT client_id)".to_owned());
    let selected: Vec<_> = keys.into_iter().map(key).chain(measures).chain(visitors).collect();
    let named: Vec<_> = selected
        .iter()
        .zip(columns(view))
        .map(|(sql, name)| format!("{sql} AS {name}"))
        .collect();
    format!(
        "SELECT {} FROM events WHERE {} GROUP BY {}",
        named.join(", "),
        of_sites(view),
        grouped.join(", ")
    )
}

/// The condition that a row is of one of the view's sites.
fn of_sites(view: &RollupView) -> String {
    match &view.rollup.sites {
        SiteScope::All => "true".to_owned(),
        SiteScope::Only(sites) => {
            let sites: Vec<_> = sites.iter().map(|site| format!("'{site}'")).collect();
            format!("tracking_id IN ({})", sites.join(", "))
        }
    }
}

/// What the view says of sessions, and the same out of `sessions`.
pub(super) fn sessions_of(view: &RollupView) -> (String, String) {
    let key = |name: &&str| match *name {
        "event_date" => "CAST(session_start AS DATE) AS event_date".to_owned(),
        "quarter_hour" => "date_bin(INTERVAL '15 minutes', session_start) AS quarter_hour".to_owned(),
        "hour" => "date_trunc('hour', session_start) AS hour".to_owned(),
        "week" | "month" => format!("CAST(date_trunc('{name}', session_start) AS DATE) AS {name}"),
        "event_type" => "entry_event_type AS event_type".to_owned(),
        name => name.to_owned(),
    };
    let keys = view.keys();
    let grouped = (1..=keys.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let expected = format!(
        "SELECT {}, count(*) AS sessions, count(*) FILTER (WHERE bounced) AS bounces, \
         sum(session_duration) AS session_seconds, avg(session_duration) AS avg_session_duration \
         FROM sessions WHERE {} GROUP BY {grouped} ORDER BY {grouped}",
        keys.iter().map(key).collect::<Vec<_>>().join(", "),
        of_sites(view)
    );
    let found = format!(
        "SELECT {}, sessions, bounces, session_seconds, avg_session_duration FROM {} \
         WHERE sessions > 0 ORDER BY {grouped}",
        keys.join(", "),
        view.name
    );
    (found, expected)
}
