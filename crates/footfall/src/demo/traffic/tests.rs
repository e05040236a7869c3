use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// 2026-02-02T10:30:00Z.
const NOW: Micros = 1_770_028_200_000_000;

fn plan(events: u64) -> Plan {
    Plan {
        seed: 7,
        now: NOW,
        days: 31,
        events,
    }
}

fn parcels(plan: Plan) -> (Vec<Parcel>, Counts) {
    let mut traffic = Traffic::new(plan);
    let parcels = traffic.by_ref().collect();
    (parcels, traffic.counts())
}

/// All events, repetitions included.
fn hits(events: u64) -> Vec<Hit> {
    parcels(plan(events))
        .0
        .into_iter()
        .flat_map(|parcel| parcel.hits)
        .collect()
}

/// Each event once.
fn distinct(events: u64) -> Vec<Hit> {
    let mut seen = BTreeSet::new();
    let mut hits = hits(events);
    hits.retain(|hit| seen.insert(hit.event_id.clone()));
    hits
}

#[test]
fn traffic_depends_on_seed_alone() {
    assert_eq!(parcels(plan(3_000)), parcels(plan(3_000)));
    let other = Plan { seed: 8, ..plan(3_000) };
    assert_ne!(parcels(plan(3_000)).0, parcels(other).0);
}

#[test]
fn event_count_is_exact() {
    for events in [1, 2, 199, 5_000] {
        let (parcels, counts) = parcels(plan(events));
        let sent: Vec<_> = parcels.iter().flat_map(|parcel| &parcel.hits).collect();
        let ids: BTreeSet<_> = sent.iter().map(|hit| &hit.event_id).collect();
        assert_eq!(ids.len() as u64, events);
        assert_eq!(counts.events, events);
        assert_eq!(sent.len() as u64, events + counts.duplicates);
        assert!(
            parcels
                .iter()
                .all(|parcel| !parcel.hits.is_empty() && parcel.hits.len() <= 500)
        );
    }
}

#[test]
fn repetition_equals_original_in_another_request() {
    let (parcels, counts) = parcels(plan(20_000));
    let mut first: BTreeMap<&str, (usize, &Hit)> = BTreeMap::new();
    let mut repeated = 0;
    for (number, parcel) in parcels.iter().enumerate() {
        for hit in &parcel.hits {
            match first.get(hit.event_id.as_str()) {
                Some((there, original)) => {
                    assert_ne!(*there, number);
                    assert_eq!(*original, hit);
                    repeated += 1;
                }
                None => {
                    first.insert(&hit.event_id, (number, hit));
                }
            }
        }
    }
    assert_eq!(repeated, counts.duplicates);
    assert!((100..300).contains(&repeated), "about 1%: {repeated}");
}

#[test]
fn parcel_has_one_sender_kind() {
    for parcel in parcels(plan(5_000)).0 {
        assert!(parcel.hits.iter().all(|hit| hit.agent == parcel.agent));
    }
}

#[test]
fn one_percent_arrives_days_late() {
    let counts = parcels(plan(20_000)).1;
    assert!((100..300).contains(&counts.late), "{counts:?}");
    let hits = distinct(20_000);
    let last_day = hits.iter().position(|hit| hit.at > NOW - DAY).unwrap();
    let late = hits[last_day..].iter().filter(|hit| hit.at < NOW - 5 * DAY).count();
    assert!(late >= 80, "{late}");
}

#[test]
fn event_times_stay_in_the_plan() {
    for hit in hits(20_000) {
        assert!(hit.at <= NOW && hit.at > NOW - 32 * DAY, "{hit:?}");
    }
}

#[test]
fn session_is_ordered_without_long_pauses() {
    let mut source = SessionSource::new(7, NOW, 10_000);
    for _ in 0..2_000 {
        let hits = source.session_from(NOW);
        assert!(!hits.is_empty());
        assert_eq!(hits[0].event_type, "pageview");
        for pair in hits.windows(2) {
            assert_eq!(
                (&pair[0].client_id, &pair[0].session_id),
                (&pair[1].client_id, &pair[1].session_id)
            );
            let pause = pair[1].at - pair[0].at;
            assert!(pause > 0 && pause < 30 * 60 * 1_000_000, "{pause}");
        }
    }
}

#[test]
fn visitors_return_heavy_tailed() {
    let mut sessions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for hit in distinct(30_000) {
        sessions.entry(hit.client_id).or_default().insert(hit.session_id);
    }
    let mut counts: Vec<_> = sessions.values().map(BTreeSet::len).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let (all, once) = (
        counts.iter().sum::<usize>(),
        counts.iter().filter(|count| **count == 1).count(),
    );
    let top: usize = counts[..counts.len() / 10].iter().sum();
    assert!(once * 5 > counts.len(), "many come once: {once} of {}", counts.len());
    assert!(
        top * 10 > all * 3,
        "a tenth makes a third of the visits: {top} of {all}"
    );
}

#[test]
fn funnel_narrows() {
    let mut sessions: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    let mut source = SessionSource::new(7, NOW, 100_000);
    for _ in 0..5_000 {
        for hit in source.session_from(NOW) {
            sessions.entry(hit.session_id).or_default().push(hit.event_type);
        }
    }
    let mut reached = [0u32; 4];
    for events in sessions.values() {
        let steps = ["view_item", "add_to_cart", "begin_checkout", "purchase"];
        let first: Vec<_> = steps
            .map(|step| events.iter().position(|event| *event == step))
            .to_vec();
        for (count, index) in reached.iter_mut().zip(&first) {
            *count += u32::from(index.is_some());
        }
        for pair in first.windows(2) {
            assert!(pair[1].is_none() || pair[0] < pair[1], "{events:?}");
        }
    }
    assert!(reached.is_sorted_by(|a, b| a > b), "{reached:?}");
    assert!(reached[3] * 100 > reached[0], "somebody buys: {reached:?}");
}

#[test]
fn only_purchases_have_revenue() {
    let mut purchases = 0;
    for hit in distinct(20_000) {
        assert_eq!(hit.revenue.is_some(), hit.event_type == "purchase", "{hit:?}");
        if let Some(revenue) = hit.revenue {
            purchases += 1;
            let (units, cents) = revenue.split_once('.').unwrap();
            assert!(units.parse::<u32>().unwrap() > 0 && cents.len() == 2, "{revenue}");
        }
    }
    assert!(purchases > 50, "{purchases}");
}

#[test]
fn three_percent_are_crawlers() {
    let hits = distinct(30_000);
    let bots = hits
        .iter()
        .filter(|hit| !hit.agent.contains("Chrome/") && !hit.agent.contains("Firefox/"));
    let bots = bots.filter(|hit| !hit.agent.contains("Version/")).count();
    assert!((300..2_000).contains(&bots), "{bots}");
}

#[test]
fn local_nights_are_quiet() {
    // New York's night, 02:00 to 05:00, against its evening, 18:00 to 21:00.
    let hits = distinct(60_000);
    let local_hour = |hit: &Hit| (hit.at - 5 * 3_600_000_000).rem_euclid(DAY) / 3_600_000_000;
    let json: Vec<_> = hits.iter().map(|hit| serde_json::to_value(hit).unwrap()).collect();
    let mut counts = (0u32, 0u32);
    for (hit, json) in hits.iter().zip(&json) {
        if json["user"]["city"] == "New York" {
            match local_hour(hit) {
                2..5 => counts.0 += 1,
                18..21 => counts.1 += 1,
                _ => {}
            }
        }
    }
    assert!(counts.1 > 5 * counts.0, "{counts:?}");
}

#[test]
fn event_json_matches_specification() {
    let hit = distinct(2_000)
        .into_iter()
        .find(|hit| hit.event_type == "view_item")
        .unwrap();
    let json = serde_json::to_value(&hit).unwrap();
    assert_eq!(json["tracking_id"], "demo");
    assert_eq!(
        json["timestamp"].as_str().map(|text| (text.len(), text.ends_with('Z'))),
        Some((24, true))
    );
    assert!(json["page"]["url"].as_str().unwrap().starts_with(HOME));
    assert!(json["custom_properties"]["price"].is_f64());
    assert!(json.get("agent").is_none() && json.get("revenue").is_none());
}
