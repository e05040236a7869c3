use super::*;

fn at(text: &str) -> DateTime<Utc> {
    time(text).unwrap()
}

fn parse(range: &Value, zone: Tz) -> Period {
    Period::parse(range, "date_range", at("2026-03-29T22:30:00Z"), zone).unwrap()
}

#[test]
fn days_are_local_and_inclusive() {
    let range = json!({"start": "2026-03-28", "end": "2026-03-29"});
    let period = parse(&range, Tz::Europe__Berlin);
    // The second day has 23 hours.
    assert_eq!(
        (period.from, period.to),
        (at("2026-03-27T23:00:00Z"), at("2026-03-29T22:00:00Z"))
    );
    let period = parse(&range, Tz::Asia__Kathmandu);
    assert_eq!(
        (period.from, period.to),
        (at("2026-03-27T18:15:00Z"), at("2026-03-29T18:15:00Z"))
    );
    assert_eq!(period.to_json(), range);
}

#[test]
fn midnight_in_a_gap_is_the_first_moment_after_it() {
    // Cairo's clocks went from 0:00 to 1:00.
    let day = date("2024-04-26").unwrap();
    assert_eq!(start_of_day(day, Tz::Africa__Cairo), at("2024-04-25T22:00:00Z"));
    let skipped = date("2011-12-30").unwrap();
    assert_eq!(start_of_day(skipped, Tz::Pacific__Apia), at("2011-12-30T10:00:00Z"));
}

#[test]
fn words_go_by_the_local_day() {
    for (word, zone, expected) in [
        ("today", Tz::UTC, ("2026-03-29", "2026-03-29")),
        ("today", Tz::Europe__Berlin, ("2026-03-30", "2026-03-30")),
        ("yesterday", Tz::UTC, ("2026-03-28", "2026-03-28")),
        ("last_7_days", Tz::UTC, ("2026-03-23", "2026-03-29")),
        ("week_to_date", Tz::Europe__Berlin, ("2026-03-30", "2026-03-30")),
        ("last_week", Tz::UTC, ("2026-03-16", "2026-03-22")),
        ("last_month", Tz::UTC, ("2026-02-01", "2026-02-28")),
        ("quarter_to_date", Tz::UTC, ("2026-01-01", "2026-03-29")),
        ("last_quarter", Tz::UTC, ("2025-10-01", "2025-12-31")),
        ("last_year", Tz::UTC, ("2025-01-01", "2025-12-31")),
    ] {
        let expected = (date(expected.0).unwrap(), date(expected.1).unwrap());
        assert_eq!(parse(&json!(word), zone).days, Some(expected), "{word}");
    }
    let hours = parse(&json!("last_2_hours"), Tz::UTC);
    assert_eq!((hours.from, hours.days), (at("2026-03-29T20:30:00Z"), None));
}

#[test]
fn comparisons_shift_by_days() {
    let period = parse(&json!({"start": "2026-03-01", "end": "2026-03-10"}), Tz::Europe__Berlin);
    for (word, expected) in [
        ("previous_period", ("2026-02-19", "2026-02-28")),
        ("same_weekdays", ("2026-02-15", "2026-02-24")),
        ("previous_year", ("2025-03-01", "2025-03-10")),
    ] {
        let compared = period
            .compared(&json!(word), at("2026-03-29T22:30:00Z"), Tz::Europe__Berlin)
            .unwrap();
        assert_eq!(
            compared.days,
            Some((date(expected.0).unwrap(), date(expected.1).unwrap())),
            "{word}"
        );
    }
}

#[test]
fn odd_ranges_are_refused() {
    for range in [
        json!("last_0_days"),
        json!("last_99999999999_days"),
        json!("tomorrow"),
        json!({"start": "2026-01-02", "end": "2026-01-01"}),
        json!({"start": "2026-02-30", "end": "2026-03-01"}),
        json!({"start": "0001-01-01", "end": "2026-03-01"}),
        json!({"start": "2026-01-01"}),
        json!({"start": "2026-01-01", "end": "2026-01-01", "step": 1}),
        json!(7),
    ] {
        assert!(
            Period::parse(&range, "date_range", at("2026-03-29T22:30:00Z"), Tz::UTC).is_err(),
            "{range}"
        );
    }
}
