//! The report: questions that a shop would ask, and how to ask more.

use std::path::PathBuf;

use super::screen::Screen;
use super::traffic::SITE;
use crate::sql::client::Client;
use crate::sql::table_of;

/// A question and its SQL.
pub(super) const QUESTIONS: [(&str, &str); 5] = [
    (
        "Events and visitors a day, the last seven days",
        "SELECT event_date AS day, count(*) AS events, count(DISTINCT client_id) AS visitors,
                count(DISTINCT client_id || session_id) AS sessions
         FROM events WHERE tracking_id = 'demo' AND NOT is_bot
         GROUP BY event_date ORDER BY event_date DESC LIMIT 7",
    ),
    (
        "Most viewed pages",
        "SELECT page_path AS page, count(*) AS views, count(DISTINCT client_id) AS visitors
         FROM events WHERE tracking_id = 'demo' AND event_type = 'pageview' AND NOT is_bot
         GROUP BY page_path ORDER BY views DESC, page LIMIT 10",
    ),
    (
        "Where sessions come from",
        "SELECT channel, count(*) AS sessions, sum(purchases) AS purchases, sum(revenue) AS revenue
         FROM (SELECT client_id, session_id, first_value(channel ORDER BY event_timestamp) AS channel,
                      count(*) FILTER (WHERE event_type = 'purchase') AS purchases, sum(revenue) AS revenue
               FROM events WHERE tracking_id = 'demo' AND NOT is_bot
               GROUP BY client_id, session_id) AS sessions
         GROUP BY channel ORDER BY sessions DESC, channel",
    ),
    (
        "From product to purchase, in sessions",
        "WITH sessions AS (
           SELECT min(event_timestamp) FILTER (WHERE event_type = 'view_item') AS viewed,
                  max(event_timestamp) FILTER (WHERE event_type = 'add_to_cart') AS added,
                  max(event_timestamp) FILTER (WHERE event_type = 'begin_checkout') AS checked_out,
                  max(event_timestamp) FILTER (WHERE event_type = 'purchase') AS purchased
           FROM events WHERE tracking_id = 'demo' AND NOT is_bot GROUP BY client_id, session_id),
         steps AS (
           SELECT 1 AS step, 'view product' AS name, count(viewed) AS sessions FROM sessions
           UNION ALL SELECT 2, 'add to cart', count(*) FILTER (WHERE added > viewed) FROM sessions
           UNION ALL SELECT 3, 'checkout', count(*) FILTER (WHERE checked_out > added AND added > viewed) FROM sessions
           UNION ALL SELECT 4, 'purchase',
             count(*) FILTER (WHERE purchased > checked_out AND checked_out > added AND added > viewed) FROM sessions)
         SELECT name AS reached, sessions, round(100.0 * sessions / max(sessions) OVER (), 1) AS percent
         FROM steps ORDER BY step",
    ),
    (
        "Browsers",
        "SELECT browser, os, device, count(DISTINCT client_id) AS visitors
         FROM events WHERE tracking_id = 'demo' AND NOT is_bot
         GROUP BY browser, os, device ORDER BY visitors DESC, browser LIMIT 10",
    ),
];

/// Runs the queries and prints the results.
pub(super) async fn tables(client: &mut Client, screen: &Screen) -> anyhow::Result<()> {
    for (title, sql) in QUESTIONS {
        let (schema, batches) = client.collect(sql).await?;
        screen.say(&format!("{title}\n{}\n", table_of(&schema, &batches)?))?;
    }
    Ok(())
}

/// Commands to paste while the demo runs.
pub(super) fn snippets(http: &str, flight: &str, token: &str) -> String {
    let footfall = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("footfall"));
    let footfall = footfall.display();
    format!(
        "\
It goes on serving:

  HTTP        {http}
  Flight SQL  {flight}
  Token       {token}   (reads the site {SITE}; good for 30 days)

Ask it from Python (pip install adbc-driver-flightsql pyarrow):

import adbc_driver_flightsql.dbapi as flightsql
with flightsql.connect(\"{flight}\", db_kwargs={{\"adbc.flight.sql.authorization_header\": \"Bearer {token}\"}},
                       autocommit=True) as connection, connection.cursor() as cursor:
    cursor.execute(\"SELECT event_type, count(*) AS events FROM events GROUP BY event_type ORDER BY events DESC\")
    print(cursor.fetch_arrow_table())

from the shell:

{footfall} sql --server {flight} --token {token} \\
  \"SELECT country, count(DISTINCT client_id) AS visitors FROM events GROUP BY country ORDER BY visitors DESC LIMIT 5\"

and send it an event of your own (204: it is on stable storage; seconds later queries see it):

curl -i {http}/api/v1/events -H 'Content-Type: application/json' -d '{{\"tracking_id\": \"{SITE}\", \"client_id\": \"me\",
  \"event_type\": \"pageview\", \"page\": {{\"url\": \"https://demo.example/hello\", \"title\": \"Hello\"}}}}'
"
    )
}
