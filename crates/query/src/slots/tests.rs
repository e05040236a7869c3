use super::*;

fn limits(slots: usize) -> SlotLimits {
    SlotLimits {
        slots,
        reserved: 0,
        open: 8,
        open_per_principal: 4,
        queued: 20,
        queued_per_principal: 10,
        timeout: Duration::from_millis(50),
    }
}

fn token(name: &str) -> Token {
    Token::from(name)
}

fn names(granted: &[Granted<&'static str>]) -> Vec<&'static str> {
    granted.iter().map(|granted| granted.waiter).collect()
}

#[test]
fn slots_go_to_the_principal_with_the_fewest() {
    let (ann, bob) = (token("ann"), token("bob"));
    let mut queue = Queue::new(limits(2));
    for name in ["ann-1", "ann-2", "ann-3", "ann-4"] {
        queue.enter(&ann, true, name).unwrap();
    }
    assert_eq!(names(&queue.grant()), ["ann-1", "ann-2"]);
    queue.enter(&bob, true, "bob-1").unwrap();
    assert!(queue.contended(&ann));
    queue.release(&ann);
    assert_eq!(names(&queue.grant()), ["bob-1"]);
    queue.release(&bob);
    queue.close(&bob);
    assert_eq!(names(&queue.grant()), ["ann-3"]);
}

#[test]
fn reserved_slots_go_to_principals_without_any() {
    let (ann, bob, cyd) = (token("ann"), token("bob"), token("cyd"));
    let mut queue = Queue::new(SlotLimits {
        reserved: 1,
        ..limits(1)
    });
    for (token, name) in [
        (&ann, "ann-1"),
        (&ann, "ann-2"),
        (&bob, "bob-1"),
        (&bob, "bob-2"),
        (&cyd, "cyd-1"),
    ] {
        queue.enter(token, true, name).unwrap();
    }
    assert_eq!(names(&queue.grant()), ["ann-1", "bob-1"]);
    queue.release(&ann);
    assert_eq!(names(&queue.grant()), ["cyd-1"]);
    queue.release(&bob);
    assert_eq!(names(&queue.grant()), ["ann-2"]);
    queue.enter(&ann, true, "ann-3").unwrap();
    queue.release(&cyd);
    assert_eq!(names(&queue.grant()), ["bob-2"]);
    assert_eq!(names(&queue.grant()), Vec::<&str>::new());
}

#[test]
fn new_statements_precede_paused_ones() {
    let ann = token("ann");
    let mut queue = Queue::new(limits(1));
    queue.enter(&ann, true, "long").unwrap();
    queue.grant();
    queue.enter(&ann, false, "long, paused").unwrap();
    queue.enter(&ann, true, "short").unwrap();
    queue.release(&ann);
    assert_eq!(names(&queue.grant()), ["short"]);
    queue.release(&ann);
    assert_eq!(names(&queue.grant()), ["long, paused"]);
}

#[test]
fn open_statements_bounded_per_principal_and_overall() {
    let mut queue = Queue::new(limits(100));
    for principal in ["ann", "bob", "cyd"] {
        for _ in 0..6 {
            queue.enter(&token(principal), true, principal).unwrap();
        }
    }
    let granted = names(&queue.grant());
    assert_eq!(granted.len(), 8);
    assert!(
        ["ann", "bob", "cyd"]
            .iter()
            .all(|p| granted.iter().filter(|g| g == &p).count() <= 4)
    );
    assert_eq!(queue.open, 8);
    assert!(!queue.contended(&token("ann")), "nobody who waits may begin");
}

#[test]
fn queue_is_bounded_and_drops_leavers() {
    let (ann, bob) = (token("ann"), token("bob"));
    let mut queue = Queue::new(limits(0));
    let ids: Vec<_> = (0..10).map(|_| queue.enter(&ann, true, "ann").unwrap()).collect();
    assert!(queue.enter(&ann, true, "ann").is_err());
    queue.enter(&bob, true, "bob").unwrap();
    for id in ids {
        queue.leave(&ann, id);
    }
    assert_eq!((queue.queued, queue.shares.len()), (1, 1));
}

#[tokio::test]
async fn slot_of_departed_caller_is_reassigned() {
    let slots = Slots::new(limits(1));
    let ann = token("ann");
    let first = slots.begin(&ann).await.unwrap();
    let gone = slots.begin(&ann).await.err();
    assert!(matches!(gone, Some(QueryError::Limit(_))));
    drop(first);
    let (admission, slot) = slots.begin(&ann).await.unwrap();
    drop(slot);
    let _again = admission.slot().await.unwrap();
    let queue = slots.queue.lock();
    assert_eq!((queue.running, queue.open, queue.queued), (1, 1, 0));
}
