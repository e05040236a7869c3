//! The time of an event: parsing, clock correction, limits. Pure.

use std::time::Duration;

use chrono::DateTime;
use footfall_model::clock::Micros;
use footfall_model::field::EventField;

use super::reject::Reject;

/// The accepted forms of a timestamp.
pub(super) const EXPECTED: &str =
    "RFC 3339 with an offset, as 2026-02-02T10:30:00.000Z, or milliseconds since 1970-01-01 as an integer";

/// Parses a timestamp in a form of [`EXPECTED`].
pub(super) fn parse(text: &str) -> Option<Micros> {
    if let Ok(millis) = text.parse::<i64>() {
        return millis.checked_mul(1_000);
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_micros())
}

/// The event's time by the server's clock.
///
/// A wrong client clock shifts `timestamp` and `sent_at` equally, so their difference is correct:
/// event time = received - (sent_at - timestamp).
pub(super) fn event_time(received: Micros, timestamp: Option<Micros>, sent_at: Option<Micros>) -> Micros {
    match (timestamp, sent_at) {
        (None, _) => received,
        (Some(timestamp), None) => timestamp,
        (Some(timestamp), Some(sent_at)) => received.saturating_sub(sent_at.saturating_sub(timestamp)),
    }
}

/// Rejects times too far in the future or beyond the retention.
pub(super) fn check(
    event_time: Micros,
    received: Micros,
    max_future: Duration,
    retention: Duration,
) -> Result<(), Reject> {
    let reject = |what: &str| {
        let reason = format!("{} {what}", shown(event_time));
        Err(Reject::invalid(EventField::EventTimestamp, reason))
    };
    if event_time > received.saturating_add(micros(max_future)) {
        return reject(&format!("lies more than {} s in the future", max_future.as_secs())).map_err(|reject| {
            reject.expected(format!("at most {} s after {}", max_future.as_secs(), shown(received)))
        });
    }
    let horizon = received.saturating_sub(micros(retention));
    if event_time < horizon {
        // Seconds instead of milliseconds is the usual mistake; it gives a time in January 1970.
        let hint = if (0..micros(Duration::from_secs(366 * 86_400))).contains(&event_time) {
            " (are these seconds instead of milliseconds?)"
        } else {
            ""
        };
        return reject(&format!("is older than events are kept{hint}"))
            .map_err(|reject| reject.expected(format!("{} or later", shown(horizon))));
    }
    Ok(())
}

/// A duration in microseconds.
pub(super) fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

fn shown(time: Micros) -> String {
    DateTime::from_timestamp_micros(time).map_or_else(
        || format!("{time} us after 1970-01-01"),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-02-02T10:30:00Z.
    const NOW: Micros = 1_770_028_200_000_000;
    const SECOND: Micros = 1_000_000;

    #[test]
    fn rfc_3339_and_milliseconds_parse() {
        for (text, time) in [
            ("2026-02-02T10:30:00Z", NOW),
            ("2026-02-02T10:30:00.123456Z", NOW + 123_456),
            ("2026-02-02T16:15:00+05:45", NOW),
            ("1770028200123", NOW + 123_000),
            ("-0", 0),
        ] {
            assert_eq!(parse(text), Some(time), "{text}");
        }
    }

    #[test]
    fn ambiguous_times_are_rejected() {
        for text in [
            "",
            "now",
            "2026-02-02",
            "2026-02-02T10:30:00",
            "2026-02-30T10:30:00Z",
            "2026-02-02T25:00:00Z",
            "1770028200.5",
            "1e12",
            "9223372036854775807",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn client_clock_skew_is_corrected() {
        let client = 86_400 * SECOND; // the client lives in 1970
        assert_eq!(
            event_time(NOW, Some(client), Some(client + 5 * SECOND)),
            NOW - 5 * SECOND
        );
        assert_eq!(event_time(NOW, Some(NOW - SECOND), None), NOW - SECOND);
        assert_eq!(event_time(NOW, None, Some(client)), NOW);
        assert_eq!(event_time(NOW, Some(Micros::MIN), Some(Micros::MAX)), NOW - Micros::MAX);
    }

    #[test]
    fn limits_are_inclusive() {
        let (future, retention) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
        let accepted = |time| check(time, NOW, future, retention).is_ok();
        assert!(accepted(NOW + 3_600 * SECOND));
        assert!(!accepted(NOW + 3_600 * SECOND + 1));
        assert!(accepted(NOW - 86_400 * SECOND));
        assert!(!accepted(NOW - 86_400 * SECOND - 1));
        assert!(!accepted(Micros::MIN));
        assert!(!accepted(Micros::MAX));
    }
}
