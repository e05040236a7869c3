use serde_json::json;

use super::*;

fn day(text: &str, zone: Tz) -> Period {
    let range = json!({"start": text, "end": text});
    Period::parse(&range, "date_range", dates::time("2026-03-29T22:30:00Z").unwrap(), zone).unwrap()
}

fn hours(text: &str, zone: Tz) -> Vec<String> {
    let found = day(text, zone).buckets(TimeUnit::Hour, zone, 100).unwrap();
    let shown = found.iter().map(|bucket| match bucket {
        Bucket::Time(time) => dates::local(*time, zone),
        Bucket::Date(date) => date.to_string(),
    });
    shown.collect()
}

#[test]
fn buckets_cover_the_period() {
    let zone = Tz::Europe__Berlin;
    let period = day("2026-03-29", zone);
    assert_eq!(period.buckets(TimeUnit::Hour, zone, 100).unwrap().len(), 23);
    assert_eq!(period.buckets(TimeUnit::Day, zone, 100).unwrap().len(), 1);
    assert_eq!(period.buckets(TimeUnit::Minute, zone, 100), None);
    assert_eq!(period.buckets(TimeUnit::Minute, zone, 23 * 60).unwrap().len(), 23 * 60);
    let nepal = hours("2026-03-29", Tz::Asia__Kathmandu);
    assert_eq!(nepal[0], "2026-03-29T00:00:00+05:45");
    assert_eq!(nepal.len(), 24);
    assert_eq!(
        hours("2025-10-26", zone)[1..5],
        [
            "2025-10-26T01:00:00+02:00",
            "2025-10-26T02:00:00+02:00",
            "2025-10-26T02:00:00+01:00",
            "2025-10-26T03:00:00+01:00",
        ]
    );
}

#[test]
fn half_hour_change_of_clocks_makes_odd_hours() {
    let zone = Tz::Australia__Lord_Howe;
    // From 2:00 to 1:30: an hour of 90 minutes.
    let back = hours("2026-04-05", zone);
    assert_eq!(
        back[..4],
        [
            "2026-04-05T00:00:00+11:00",
            "2026-04-05T01:00:00+11:00",
            "2026-04-05T02:00:00+10:30",
            "2026-04-05T03:00:00+10:30",
        ]
    );
    assert_eq!(back.len(), 24);
    // From 2:00 to 2:30: an hour of 30 minutes.
    let forward = hours("2026-10-04", zone);
    assert_eq!(
        forward[..4],
        [
            "2026-10-04T00:00:00+10:30",
            "2026-10-04T01:00:00+10:30",
            "2026-10-04T02:30:00+11:00",
            "2026-10-04T03:00:00+11:00",
        ]
    );
    assert_eq!(forward.len(), 24);
}

#[test]
fn runs_have_equal_steps() {
    let numbers = |text, zone| -> Vec<(usize, usize)> {
        let period = day(text, zone);
        let found = period.buckets(TimeUnit::Hour, zone, 100).unwrap();
        let index = |bucket: &Bucket| found.iter().position(|known| known == bucket).unwrap();
        let runs = period.runs(TimeUnit::Hour, zone);
        runs.iter().for_each(|run| assert_eq!(index(&run.first), run.number));
        runs.iter().map(|run| (run.number, index(&run.last))).collect()
    };
    assert_eq!(numbers("2025-10-26", Tz::Europe__Berlin), [(0, 24)]);
    assert_eq!(numbers("2026-04-05", Tz::Australia__Lord_Howe), [(0, 1), (2, 23)]);
    assert_eq!(numbers("2026-10-04", Tz::Australia__Lord_Howe), [(0, 2), (3, 23)]);
    let year = Period::days(
        dates::date("2026-01-01").unwrap(),
        dates::date("2026-12-31").unwrap(),
        Tz::UTC,
    );
    assert_eq!(year.runs(TimeUnit::Month, Tz::UTC).len(), 1);
}
