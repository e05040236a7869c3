use proptest::prelude::*;

use super::*;

const MINUTE: Micros = 60_000_000;

fn event(minute: i64, steps: u32) -> StepEvent {
    StepEvent {
        time: minute * MINUTE,
        steps,
    }
}

fn rules(steps: usize, window: Micros) -> Rules {
    Rules {
        steps,
        window,
        step_window: Micros::MAX,
        strict_order: false,
        strict_deduplication: false,
        strict_increase: false,
        scope: FunnelScope::Visitor,
    }
}

/// Of a finder that has seen another visitor before.
fn entries(events: &[StepEvent], rules: &Rules) -> Vec<Entry> {
    let mut finder = EntryFinder::new(*rules);
    finder.entries(events);
    finder.entries(events)
}

fn minutes(entries: &[Entry]) -> Vec<Vec<i64>> {
    let of_entry = |entry: &Entry| entry.times.iter().map(|time| time / MINUTE).collect();
    entries.iter().map(of_entry).collect()
}

#[test]
fn steps_are_taken_in_order_with_others_between() {
    let events = [
        event(0, 0b10),
        event(1, 0b1),
        event(2, 0b100),
        event(3, 0b10),
        event(4, 0b100),
    ];
    assert_eq!(minutes(&entries(&events, &rules(3, 60 * MINUTE))), [[1, 3, 4]]);
}

#[test]
fn window_runs_from_first_step_and_includes_its_end() {
    let events = [event(0, 0b1), event(5, 0b10), event(10, 0b100)];
    assert_eq!(minutes(&entries(&events, &rules(3, 10 * MINUTE))), [vec![0, 5, 10]]);
    assert_eq!(minutes(&entries(&events, &rules(3, 10 * MINUTE - 1))), [vec![0, 5]]);
}

#[test]
fn event_takes_at_most_one_step() {
    assert_eq!(minutes(&entries(&[event(0, 0b11)], &rules(2, MINUTE))), [[0]]);
    assert_eq!(
        minutes(&entries(&[event(0, 0b11), event(0, 0b11)], &rules(2, MINUTE))),
        [[0, 0]]
    );
}

#[test]
fn deepest_attempt_of_a_quarter_counts_then_the_first() {
    // The attempt at 0 ends before the last step is taken; those at 5 and 6 get as deep.
    let events = [
        event(0, 0b1),
        event(5, 0b1),
        event(6, 0b1),
        event(20, 0b10),
        event(64, 0b100),
    ];
    assert_eq!(minutes(&entries(&events, &rules(3, 60 * MINUTE))), [[5, 20, 64]]);
    let days = entries(
        &[event(0, 0b1), event(15, 0b1), event(16, 0b10), event(1_440, 0b1)],
        &rules(2, 60 * MINUTE),
    );
    assert_eq!(minutes(&days), [vec![0, 16], vec![15, 16], vec![1_440]]);
    assert_eq!(
        days.iter().map(|entry| entry.deepest_of_day).collect::<Vec<_>>(),
        [true, false, true]
    );
}

/// The deepest attempt from `events[first]` on, by trying all; of equally deep ones the one with the earliest steps.
fn best(events: &[StepEvent], step: usize, first: usize, steps: usize, end: Micros) -> Vec<Micros> {
    let mut best = Vec::new();
    for next in first + 1..events.len() {
        if step + 1 < steps && events[next].steps >> (step + 1) & 1 == 1 && events[next].time <= end {
            let deeper = self::best(events, step + 1, next, steps, end);
            if deeper.len() > best.len() || (deeper.len() == best.len() && deeper < best) {
                best = deeper;
            }
        }
    }
    best.insert(0, events[first].time);
    best
}

fn brute_force(events: &[StepEvent], steps: usize, window: Micros) -> Vec<Entry> {
    let starts = (0..events.len()).filter(|index| events[*index].steps & 1 == 1);
    deepest(starts.map(|first| Entry {
        first,
        times: best(events, 0, first, steps, events[first].time + window),
        deepest_of_day: false,
    }))
}

/// The deepest attempt of each quarter hour, and which of them is that of its day.
fn deepest(attempts: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for attempt in attempts {
        let same = entries
            .iter_mut()
            .find(|entry| period(entry, ENTRY) == period(&attempt, ENTRY));
        match same {
            Some(entry) if entry.times.len() < attempt.times.len() => *entry = attempt,
            Some(_) => {}
            None => entries.push(attempt),
        }
    }
    for index in 0..entries.len() {
        let this = (period(&entries[index], DAY), entries[index].times.len());
        let beaten = entries.iter().enumerate().any(|(other, entry)| {
            let deeper = entry.times.len() > this.1 || (entry.times.len() == this.1 && other < index);
            period(entry, DAY) == this.0 && deeper
        });
        entries[index].deepest_of_day = !beaten;
    }
    entries
}

#[test]
fn strict_order_ends_at_another_event() {
    let strict = Rules {
        strict_order: true,
        ..rules(3, 60 * MINUTE)
    };
    // Another event between; before the first step and after the last it changes nothing.
    let events = |between: u32| {
        [
            event(0, 0),
            event(1, 0b1),
            event(2, 0b10),
            event(3, between),
            event(4, 0b100),
            event(5, 0),
        ]
    };
    assert_eq!(minutes(&entries(&events(0), &strict)), [vec![1, 2]]);
    // Steps that are taken may be repeated, as in ClickHouse.
    assert_eq!(minutes(&entries(&events(0b10), &strict)), [vec![1, 2, 4]]);
    assert_eq!(minutes(&entries(&events(0b1), &strict)), [vec![1, 2, 4]]);
    let skipped = [event(1, 0b1), event(2, 0b100), event(3, 0b10)];
    assert_eq!(minutes(&entries(&skipped, &strict)), [vec![1]]);
}

#[test]
fn strict_deduplication_ends_at_a_repeated_step() {
    let strict = Rules {
        strict_deduplication: true,
        ..rules(3, 60 * MINUTE)
    };
    let events = |between: u32| [event(1, 0b1), event(2, 0b10), event(3, between), event(4, 0b100)];
    assert_eq!(minutes(&entries(&events(0b10), &strict)), [vec![1, 2]]);
    assert_eq!(minutes(&entries(&events(0), &strict)), [vec![1, 2, 4]]);
    assert_eq!(
        minutes(&entries(&events(0b1), &strict)),
        [vec![1, 2, 4]],
        "but the first"
    );
}

#[test]
fn strict_increase_takes_no_two_steps_at_once() {
    let strict = Rules {
        strict_increase: true,
        ..rules(3, 60 * MINUTE)
    };
    let events = [
        event(1, 0b1),
        event(1, 0b10),
        event(2, 0b10),
        event(2, 0b100),
        event(3, 0b100),
    ];
    assert_eq!(minutes(&entries(&events, &strict)), [vec![1, 2, 3]]);
    assert_eq!(minutes(&entries(&events[..4], &strict)), [vec![1, 2]]);
}

#[test]
fn step_window_runs_from_step_to_step() {
    let short = Rules {
        step_window: 10 * MINUTE,
        ..rules(3, 60 * MINUTE)
    };
    let events = |second: i64| [event(0, 0b1), event(10, 0b10), event(second, 0b100)];
    assert_eq!(minutes(&entries(&events(20), &short)), [vec![0, 10, 20]]);
    assert_eq!(minutes(&entries(&events(21), &short)), [vec![0, 10]]);
}

#[test]
fn session_ends_attempt() {
    let session = Rules {
        scope: FunnelScope::Session,
        ..rules(3, 600 * MINUTE)
    };
    let events = |gap: i64| [event(0, 0b1), event(29, 0b10), event(29 + gap, 0b100)];
    assert_eq!(minutes(&entries(&events(29), &session)), [vec![0, 29, 58]]);
    assert_eq!(minutes(&entries(&events(30), &session)), [vec![0, 29]]);
    // Any event keeps it going.
    let kept = [
        event(0, 0b1),
        event(20, 0),
        event(40, 0b10),
        event(60, 0),
        event(80, 0b100),
    ];
    assert_eq!(minutes(&entries(&kept, &session)), [vec![0, 40, 80]]);
    // Beside it, the window holds.
    let short = Rules {
        window: 50 * MINUTE,
        ..session
    };
    assert_eq!(minutes(&entries(&kept, &short)), [vec![0, 40]]);
}

#[test]
fn chain_of_more_than_a_day_ends_at_midnight() {
    let session = Rules {
        scope: FunnelScope::Session,
        ..rules(2, 6_000 * MINUTE)
    };
    let chain = |last: i64| -> Vec<_> {
        let steps = |minute| match minute {
            1_420 => 0b01,
            1_440 => 0b10,
            _ => 0,
        };
        (0..=last / 20).map(|n| event(n * 20, steps(n * 20))).collect()
    };
    assert_eq!(
        minutes(&entries(&chain(1_440), &session)),
        [vec![1_420, 1_440]],
        "24 hours"
    );
    assert_eq!(minutes(&entries(&chain(1_460), &session)), [vec![1_420]]);
}

/// The events of the session of `events[first]` from there on.
fn rest_of_session(events: &[StepEvent], first: usize) -> &[StepEvent] {
    let is_cut = |at: usize| events[at].time - events[at - 1].time >= 30 * MINUTE;
    let start = (1..=first).rev().find(|at| is_cut(*at)).unwrap_or(0);
    let end = (first + 1..events.len()).find(|at| is_cut(*at)).unwrap_or(events.len());
    let is_long = events[end - 1].time - events[start].time > DAY;
    let day = |event: &StepEvent| event.time.div_euclid(DAY);
    let of_day = events[first..end]
        .iter()
        .take_while(|event| day(event) == day(&events[first]));
    &events[first..if is_long { first + of_day.count() } else { end }]
}

/// An attempt as its owner would walk through it.
fn walk(events: &[StepEvent], first: usize, rules: &Rules) -> Vec<Micros> {
    let events = match rules.scope {
        FunnelScope::Visitor => &events[first..],
        FunnelScope::Session => rest_of_session(events, first),
    };
    let mut times = vec![events[0].time];
    for event in &events[1..] {
        let (taken, last) = (times.len(), times[times.len() - 1]);
        if taken == rules.steps {
            break;
        }
        let is_next = event.steps >> taken & 1 == 1 && (!rules.strict_increase || event.time > last);
        let late = event.time - last > rules.step_window || event.time - times[0] > rules.window;
        if is_next && late {
            break;
        } else if is_next {
            times.push(event.time);
            continue;
        }
        let repeats = |from: usize| (from..taken).any(|step| event.steps >> step & 1 == 1);
        if (rules.strict_deduplication && repeats(1)) || (rules.strict_order && !repeats(0)) {
            break;
        }
    }
    times
}

fn walked(events: &[StepEvent], rules: &Rules) -> Vec<Entry> {
    let starts = (0..events.len()).filter(|index| events[*index].steps & 1 == 1);
    deepest(starts.map(|first| Entry {
        first,
        times: walk(events, first, rules),
        deepest_of_day: false,
    }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn entries_equal_trying_all_attempts(
        steps in 2_usize..5,
        gaps in prop::collection::vec((prop_oneof![Just(0), 0_i64..20, 600_i64..900], 1_u32..16), 0..12),
        window in prop_oneof![1_i64..40, 600_i64..2_000],
    ) {
        let mut minute = 0;
        let mut events = Vec::new();
        for (gap, mask) in gaps {
            minute += gap;
            events.push(event(minute, mask & ((1 << steps) - 1)));
        }
        prop_assert_eq!(entries(&events, &rules(steps, window * MINUTE)), brute_force(&events, steps, window * MINUTE));
    }

    #[test]
    fn options_equal_walking_through_each_attempt(
        steps in 2_usize..5,
        gaps in prop::collection::vec((prop_oneof![3 => Just(0), 3 => 0_i64..20, 1 => 600_i64..900], 0_u32..16), 0..14),
        window in prop_oneof![1_i64..40, 600_i64..2_000],
        step_window in prop_oneof![1_i64..40, Just(100_000)],
        strict in any::<[bool; 3]>(),
    ) {
        let mut minute = 0;
        let mut events = Vec::new();
        for (gap, mask) in gaps {
            minute += gap;
            events.push(event(minute, mask & ((1 << steps) - 1)));
        }
        let [strict_order, strict_deduplication, strict_increase] = strict;
        let rules = Rules {
            step_window: step_window * MINUTE,
            strict_order,
            strict_deduplication,
            strict_increase,
            ..rules(steps, window * MINUTE)
        };
        prop_assert_eq!(entries(&events, &rules), walked(&events, &rules));
        let rules = Rules { scope: FunnelScope::Session, ..rules };
        prop_assert_eq!(entries(&events, &rules), walked(&events, &rules));
    }

    #[test]
    fn sessions_of_long_chains_equal_walking_through_each_attempt(
        steps in 2_usize..4,
        start in 0_i64..1_440,
        gaps in prop::collection::vec((prop_oneof![30 => 10_i64..30, 1 => Just(30)], 0_u32..8), 0..200),
        window in prop_oneof![1_i64..40, Just(100_000)],
        strict_order in any::<bool>(),
    ) {
        let mut minute = start;
        let mut events = Vec::new();
        for (gap, mask) in gaps {
            minute += gap;
            events.push(event(minute, mask & ((1 << steps) - 1)));
        }
        let rules = Rules {
            strict_order,
            scope: FunnelScope::Session,
            ..rules(steps, window * MINUTE)
        };
        prop_assert_eq!(entries(&events, &rules), walked(&events, &rules));
    }
}
