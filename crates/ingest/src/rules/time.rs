//! The time of an event: parsing, clock correction, limits.

use std::borrow::Cow;
use std::time::Duration;

use chrono::DateTime;
use footfall_model::clock::{Micros, SECOND};

use super::{Problem, amount, quoted};

/// The accepted forms of a time.
pub(crate) const TIME: &str =
    "RFC 3339 with an offset, as 2026-02-02T10:30:00.000Z, or milliseconds since 1970-01-01 as a number";

/// A clock that is wrong by no more than this is taken for right: what looks like an error is the way through the
/// network.
const TOLERANCE: Micros = 60 * SECOND;

/// A time in a form of [`TIME`]; `None`: the text is blank.
pub(crate) fn time(text: &str) -> Result<Option<Micros>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let time = milliseconds(text).or_else(|| date_and_time(text));
    time.map(Some)
        .ok_or_else(|| Problem::new(format!("{} is not a timestamp", quoted(text))).expected(TIME))
}

/// Milliseconds since 1970, with or without a fraction. What is finer than a microsecond is dropped.
fn milliseconds(text: &str) -> Option<Micros> {
    if let Ok(millis) = text.parse::<i64>() {
        return millis.checked_mul(1_000);
    }
    // In units of 1/10,000 of a millisecond.
    let units = amount::parse(text).ok()?;
    Some(units.div_euclid(10))
}

/// RFC 3339, and what else ISO 8601 and databases write for it: a space for the `T`, ` UTC` for the `Z`, an offset
/// without colon or minutes, no seconds.
fn date_and_time(text: &str) -> Option<Micros> {
    let text = with_seconds(with_full_offset(text));
    let time = DateTime::parse_from_rfc3339(&text).ok()?;
    Some(time.timestamp_micros())
}

fn with_full_offset(text: &str) -> Cow<'_, str> {
    if let Some(local) = text.strip_suffix("UTC") {
        return Cow::Owned(format!("{}Z", local.trim_end()));
    }
    // A sign before the time of day is part of the date.
    let Some(sign) = text.rfind(['+', '-']).filter(|at| *at > "2026-02-02T10".len()) else {
        return Cow::Borrowed(text);
    };
    let (local, offset) = text.split_at(sign);
    let local = local.trim_end();
    match offset.as_bytes() {
        [_, digits @ ..] if digits.iter().all(u8::is_ascii_digit) => match digits.len() {
            2 => Cow::Owned(format!("{local}{offset}:00")),
            4 => Cow::Owned(format!("{local}{}:{}", &offset[..3], &offset[3..])),
            _ => Cow::Borrowed(text),
        },
        _ if local.len() < sign => Cow::Owned(format!("{local}{offset}")),
        _ => Cow::Borrowed(text),
    }
}

fn with_seconds(text: Cow<'_, str>) -> Cow<'_, str> {
    const MINUTES_END: usize = "2026-02-02T10:30".len();
    match text.as_bytes().get(MINUTES_END) {
        Some(b'+' | b'-' | b'Z' | b'z') if text.is_char_boundary(MINUTES_END) => {
            let (minutes, offset) = text.split_at(MINUTES_END);
            Cow::Owned(format!("{minutes}:00{offset}"))
        }
        _ => text,
    }
}

/// The event's time by the server's clock.
///
/// A wrong client clock shifts `timestamp` and `sent_at` equally, so their difference is correct:
/// event time = received - (sent_at - timestamp). A clock that is right within a minute is not corrected: its time is
/// better than one that depends on how long the request took.
pub(crate) fn corrected_time(received: Micros, timestamp: Option<Micros>, sent_at: Option<Micros>) -> Micros {
    match (timestamp, sent_at) {
        (None, _) => received,
        (Some(timestamp), Some(sent_at)) if received.abs_diff(sent_at) > TOLERANCE.unsigned_abs() => {
            received.saturating_sub(sent_at.saturating_sub(timestamp))
        }
        (Some(timestamp), _) => timestamp,
    }
}

/// Rejects times too far in the future or beyond the retention.
pub(crate) fn check_time(
    event_time: Micros,
    received: Micros,
    max_future: Duration,
    retention: Duration,
) -> Result<(), Problem> {
    let problem = |what: &str| Problem::new(format!("{} {what}", shown(event_time)));
    if event_time > received.saturating_add(micros(max_future)) {
        let seconds = max_future.as_secs();
        let latest = format!("at most {seconds} s after {}", shown(received));
        let hint = unit_hint(event_time);
        return Err(problem(&format!("lies more than {seconds} s in the future{hint}")).expected(latest));
    }
    let horizon = received.saturating_sub(micros(retention));
    if event_time < horizon {
        // Seconds instead of milliseconds is the usual mistake; it gives a time in January 1970.
        let hint = if (0..micros(Duration::from_secs(366 * 86_400))).contains(&event_time) {
            " (are these seconds instead of milliseconds?)"
        } else {
            ""
        };
        let earliest = format!("{} or later", shown(horizon));
        return Err(problem(&format!("is older than events are kept{hint}")).expected(earliest));
    }
    Ok(())
}

/// Microseconds instead of milliseconds give a time some 50,000 years ahead.
fn unit_hint(event_time: Micros) -> &'static str {
    const YEAR_2100: Micros = 4_102_444_800 * SECOND;
    match (100 * YEAR_2100..1_000 * YEAR_2100).contains(&event_time) {
        true => " (are these microseconds instead of milliseconds?)",
        false => "",
    }
}

/// A duration in microseconds.
fn micros(duration: Duration) -> Micros {
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

    #[test]
    fn rfc_3339_and_milliseconds_parse() {
        for (text, expected) in [
            ("2026-02-02T10:30:00Z", NOW),
            ("2026-02-02T10:30:00.123456Z", NOW + 123_456),
            ("2026-02-02T10:30:00.123456789Z", NOW + 123_456),
            ("2026-02-02T16:15:00+05:45", NOW),
            ("2026-02-02t10:30:00z", NOW),
            (" 2026-02-02T10:30:00Z\n", NOW),
            ("1770028200123", NOW + 123_000),
            ("1770028200123.5", NOW + 123_500),
            ("1770028200123.4567", NOW + 123_456),
            ("1.7700282e12", NOW),
            ("-0", 0),
            ("-0.5", -500),
        ] {
            assert_eq!(time(text), Ok(Some(expected)), "{text}");
        }
        assert_eq!((time(""), time(" \t")), (Ok(None), Ok(None)));
    }

    #[test]
    fn iso_8601_and_databases_spell_it_otherwise() {
        for text in [
            "2026-02-02T10:30:00+0000",
            "2026-02-02T16:15:00+0545",
            "2026-02-02T05:30:00-0500",
            "2026-02-02T05:30:00-05",
            "2026-02-02 10:30:00Z",
            "2026-02-02 10:30:00+00",
            "2026-02-02 10:30:00 +00:00",
            "2026-02-02 10:30:00 +0000",
            "2026-02-02 10:30:00 UTC",
            "2026-02-02T10:30Z",
            "2026-02-02T11:30+01:00",
            "2026-02-02 11:30+01",
        ] {
            assert_eq!(time(text), Ok(Some(NOW)), "{text}");
        }
        assert_eq!(time("2026-02-02 10:30:00.250 UTC"), Ok(Some(NOW + 250_000)));
    }

    #[test]
    fn ambiguous_times_are_rejected() {
        for text in [
            "now",
            "UTC",
            "2026-02-02",
            "2026-02-02T10:30",
            "2026-02-02T10:30:00",
            "2026-02-02T10:30:00+00000",
            "2026-02-02T10:30:00+9900",
            "2026-02-30T10:30:00Z",
            "2026-02-02T25:00:00Z",
            "02/02/2026 10:30:00Z",
            "1e400",
            "NaN",
            "9223372036854775807",
            "99999999999999999999",
        ] {
            assert!(time(text).is_err(), "{text}: {:?}", time(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}", like in "[-+0-9T :.ZUTCü]{0,40}") {
            let _ = (time(&text), time(&like));
        }
    }

    #[test]
    fn wrong_client_clock_is_corrected() {
        let client = 86_400 * SECOND; // the client lives in 1970
        assert_eq!(
            corrected_time(NOW, Some(client), Some(client + 5 * SECOND)),
            NOW - 5 * SECOND
        );
        assert_eq!(corrected_time(NOW, None, Some(client)), NOW);
        assert_eq!(
            corrected_time(NOW, Some(Micros::MIN), Some(Micros::MAX)),
            NOW - Micros::MAX
        );
    }

    #[test]
    fn right_client_clock_is_not_corrected() {
        assert_eq!(corrected_time(NOW, Some(NOW - SECOND), None), NOW - SECOND);
        for off in [0, 1, -1, 60 * SECOND, -60 * SECOND] {
            assert_eq!(
                corrected_time(NOW, Some(NOW - 3 * SECOND), Some(NOW + off)),
                NOW - 3 * SECOND,
                "{off}"
            );
        }
        for off in [60 * SECOND + 1, -60 * SECOND - 1] {
            assert_eq!(corrected_time(NOW, Some(NOW), Some(NOW + off)), NOW - off, "{off}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let (future, retention) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
        let accepted = |time| check_time(time, NOW, future, retention).is_ok();
        assert!(accepted(NOW + 3_600 * SECOND));
        assert!(!accepted(NOW + 3_600 * SECOND + 1));
        assert!(accepted(NOW - 86_400 * SECOND));
        assert!(!accepted(NOW - 86_400 * SECOND - 1));
        assert!(!accepted(Micros::MIN));
        assert!(!accepted(Micros::MAX));
    }

    #[test]
    fn wrong_unit_is_named() {
        let reason = |time| {
            check_time(time, NOW, Duration::ZERO, Duration::ZERO)
                .unwrap_err()
                .reason
        };
        assert!(reason(NOW / 1_000).contains("seconds instead of milliseconds"));
        assert!(reason(NOW * 1_000).contains("microseconds instead of milliseconds"));
        assert!(!reason(NOW + 1).contains("instead"));
    }
}
