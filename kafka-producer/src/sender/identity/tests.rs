//! The transition table, row by row; and whatever happens, in any order.

use std::time::{Duration, Instant};

use kafka_wire::{NodeId, ProducerEpoch, ProducerId};

use super::*;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn identity(id: i64, epoch: i16) -> Identity {
    Identity { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}

/// One state of each kind, with the data that events look at.
fn states(at: Instant) -> [IdentityState; 4] {
    let old = Some(identity(7, i16::MAX));
    [
        IdentityState::Off,
        IdentityState::Wanted { not_before: Some(at), failures: 1, old },
        IdentityState::Asked { failures: 1, node: A, until: Some(at), old },
        IdentityState::Known(identity(8, 3)),
    ]
}

/// Each row of the table: an event, and what comes of it in each of the four states.
#[test]
fn every_row_of_the_table_says_what_comes_of_an_event_in_each_state() {
    let at = start();
    let again = at + Duration::from_secs(1);
    let (off, [_, wanted, asked, known]) = (IdentityState::Off, states(at));
    let old = Some(identity(7, i16::MAX));
    let (given, later, last) = (identity(9, 0), identity(8, 4), identity(8, i16::MAX));
    let asks_b = IdentityState::Asked { failures: 1, node: B, until: None, old };
    let wanted_again = IdentityState::Wanted { not_before: Some(again), failures: 2, old };
    let wanted_now = IdentityState::Wanted { not_before: None, failures: 1, old };
    let wanted_anew = IdentityState::Wanted { not_before: None, failures: 0, old: None };
    let rows = [
        (IdentityEvent::NodeAsked { node: B, until: None }, [off, asks_b, asks_b, known]),
        (
            IdentityEvent::IdGiven { identity: given, again },
            [off, IdentityState::Known(given), IdentityState::Known(given), known],
        ),
        // The id whose epochs are used up, and none at all.
        (
            IdentityEvent::IdGiven { identity: identity(7, 5), again },
            [off, wanted_again, wanted_again, known],
        ),
        (
            IdentityEvent::IdGiven { identity: Identity::NONE, again },
            [off, wanted_again, wanted_again, known],
        ),
        (IdentityEvent::IdRefused { again }, [off, wanted, wanted_again, known]),
        (IdentityEvent::NodeDown(A), [off, wanted, wanted_now, known]),
        (IdentityEvent::NodeDown(B), [off, wanted, asked, known]),
        (IdentityEvent::EpochNeeded, [off, wanted, asked, IdentityState::Known(later)]),
        (IdentityEvent::ClusterChanged, [off, wanted_anew, wanted_anew, wanted_anew]),
    ];
    for (event, after) in rows {
        for (state, after) in states(at).into_iter().zip(after) {
            assert_eq!(state.after(event), after, "{event:?} in {state:?}");
        }
    }
    let used_up = IdentityState::Known(last).after(IdentityEvent::EpochNeeded);
    assert_eq!(used_up, IdentityState::Wanted { not_before: None, failures: 0, old: Some(last) });
}

fn draw(rng: &mut fastrand::Rng, now: Instant) -> IdentityEvent {
    let node = if rng.bool() { A } else { B };
    let again = now + Duration::from_millis(rng.u64(..2000));
    // Few ids and few epochs, the last ones among them, so that the old ones come again.
    let epoch = if rng.bool() { i16::MAX - rng.i16(0..3) } else { rng.i16(-1..3) };
    match rng.u8(..7) {
        0 => IdentityEvent::NodeAsked { node, until: rng.bool().then_some(again) },
        1 | 2 => IdentityEvent::IdGiven { identity: identity(rng.i64(-1..3), epoch), again },
        3 => IdentityEvent::IdRefused { again },
        4 => IdentityEvent::NodeDown(node),
        5 => IdentityEvent::EpochNeeded,
        _ => IdentityEvent::ClusterChanged,
    }
}

/// What must hold between a state and the one that an event leads to.
fn check(before: IdentityState, event: IdentityEvent, after: IdentityState) {
    let what = || format!("{before:?}, {event:?}, {after:?}");
    assert_eq!(before == IdentityState::Off, after == IdentityState::Off, "{}", what());
    let old = |state| match state {
        IdentityState::Wanted { old, .. } | IdentityState::Asked { old, .. } => old,
        IdentityState::Off | IdentityState::Known(_) => None,
    };
    match (before, after) {
        (IdentityState::Known(one), IdentityState::Known(next)) => {
            assert!(next == one || next.id == one.id && next.epoch.0 == one.epoch.0 + 1, "{}", what());
        }
        (_, IdentityState::Known(next)) => {
            assert!(
                matches!(event, IdentityEvent::IdGiven { .. }) && next.is_newer_than(old(before)),
                "{}",
                what()
            );
        }
        (IdentityState::Known(one), _) => {
            let is_used_up = one.epoch.0 == i16::MAX && old(after) == Some(one);
            assert!(is_used_up || matches!(event, IdentityEvent::ClusterChanged), "{}", what());
        }
        _ if matches!(event, IdentityEvent::ClusterChanged) => assert_eq!(old(after), None, "{}", what()),
        _ => assert_eq!(old(before), old(after), "{}", what()),
    }
}

#[test]
fn no_event_leaves_the_table_and_no_identity_comes_twice() {
    let start = start();
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut now = start;
        let mut timers = Timers::default();
        let mut machine = IdentityMachine::new(seed % 8 != 0, &mut timers);
        for _ in 0..200 {
            now += Duration::from_millis(rng.u64(..1000));
            let (before, event) = (machine.state(), draw(&mut rng, now));
            machine.handle(event, now, &mut timers);
            check(before, event, machine.state());
            // The timers are those of the state, and stay if they are overdue until they are looked at.
            let due = match machine.state() {
                IdentityState::Off | IdentityState::Known(_) => None,
                IdentityState::Wanted { not_before, .. } => Some(not_before.unwrap_or(now)),
                IdentityState::Asked { until, .. } => until,
            };
            assert_eq!(timers.next(now), due, "{:?}", machine.state());
            assert_eq!(timers.next(now + Duration::from_secs(9)).is_some(), due.is_some());
            let is_wanting =
                matches!(machine.state(), IdentityState::Wanted { .. } | IdentityState::Asked { .. });
            let is_missing = machine.nameless().is_missing();
            assert_eq!(is_missing, is_wanting, "{:?}", machine.state());
            let can_number = !matches!(machine.numbers(), Some(Numbers::Wanted));
            assert!(can_number || is_wanting);
        }
    }
}

#[test]
fn other_partitions_go_on_under_the_epoch_that_one_of_them_needed() {
    let mut timers = Timers::default();
    let mut machine = IdentityMachine::new(true, &mut timers);
    let now = start();
    machine.set(IdentityState::Known(identity(7, i16::MAX - 1)));
    let first = identity(7, i16::MAX - 1);
    let last = identity(7, i16::MAX);
    assert_eq!(machine.next_for(first, now, &mut timers), Some(last));
    assert_eq!(machine.next_for(first, now, &mut timers), Some(last), "it is there already");
    assert_eq!(timers.next(now), None);
    assert_eq!(machine.next_for(last, now, &mut timers), None, "there is none after it");
    assert_eq!(machine.numbers(), Some(Numbers::Fading(last)), "others go on under it");
    assert_eq!(timers.next(now), Some(now), "another id is wanted at once");
}
