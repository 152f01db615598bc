//! Giving up on purpose: what is told, and whose numbers are safe afterwards.

use std::time::Duration;

use kafka_wire::ErrorCode;

use super::rig::{A, Rig, offset, result};
use crate::{
    delivery::Delivery,
    error::{FailureKind, Persistence},
    purge::{Purge, Purged},
};

const OK: ErrorCode = ErrorCode::NONE;

/// Two batches in flight, two that wait in the ledger, one of which was refused for a while.
fn rig() -> (Rig, Vec<super::rig::Request>, Vec<Delivery>) {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("alone");
    rig.answer(first, &[(OK, 0)]);
    let deliveries: Vec<_> = (0..3).map(|_| rig.batch(0, 2).remove(0)).collect();
    let mut requests: Vec<_> = rig.requests(A).into();
    let last = requests.pop().expect("three");
    rig.answer(last, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    (rig, requests, deliveries)
}

fn purge(rig: &mut Rig, what: Purge) -> Purged {
    let purged = rig.sender.purge(what, FailureKind::Purged, rig.now);
    rig.settle_effects();
    purged
}

fn persistence(delivery: &Delivery) -> Option<Persistence> {
    let error = result(delivery)?.err()?;
    assert!(error.is_purged());
    Some(error.persistence())
}

#[test]
fn what_is_in_flight_may_be_in_the_log_and_its_numbers_are_not_used_again() {
    let (mut rig, requests, deliveries) = rig();
    let purged = purge(&mut rig, Purge::InFlight);
    assert_eq!((purged.queued, purged.in_flight), (0, 4));
    let known: Vec<_> = deliveries.iter().map(persistence).collect();
    assert_eq!(known, [Some(Persistence::PossiblyPersisted), Some(Persistence::PossiblyPersisted), None]);
    for request in requests {
        rig.answer(request, &[(OK, 1)]);
    }
    assert_eq!(persistence(&deliveries[0]), Some(Persistence::PossiblyPersisted), "told once");
    rig.advance(Duration::from_millis(200));
    let next = rig.request(A).expect("the one that was left");
    assert_eq!((next.seen[0].epoch, next.seen[0].sequence), (1, 0), "under a new epoch");
    rig.answer(next, &[(OK, 5)]);
    assert_eq!(offset(&deliveries[2]), Some(5));
    drop(rig.batch(0, 1));
    let next = rig.request(A).expect("and so on");
    assert_eq!((next.seen[0].epoch, next.seen[0].sequence), (1, 2));
}

#[test]
fn what_waits_is_not_in_the_log_and_what_is_in_flight_is_waited_for() {
    let (mut rig, requests, deliveries) = rig();
    let unsent = rig.batch(0, 1);
    drop(rig.drain(A));
    let purged = purge(&mut rig, Purge::Queued);
    assert_eq!((purged.queued, purged.in_flight), (3, 0));
    assert_eq!(persistence(&deliveries[2]), Some(Persistence::NotPersisted));
    assert_eq!(persistence(&unsent[0]), Some(Persistence::NotPersisted));
    drop(rig.batch(0, 1));
    rig.advance(Duration::from_millis(200));
    assert!(rig.request(A).is_none(), "a number was used in vain: first the others must be settled");
    for (request, offset) in requests.into_iter().zip([1, 3]) {
        rig.answer(request, &[(OK, offset)]);
    }
    assert_eq!(deliveries[..2].iter().map(offset).collect::<Vec<_>>(), [Some(1), Some(3)]);
    let next = rig.request(A).expect("settled");
    assert_eq!((next.seen[0].epoch, next.seen[0].sequence), (1, 0));
}

#[test]
fn everything_can_be_purged_and_the_partition_goes_on() {
    let (mut rig, requests, deliveries) = rig();
    let purged = purge(&mut rig, Purge::All);
    assert_eq!((purged.queued, purged.in_flight), (2, 4));
    assert!(deliveries.iter().all(|delivery| persistence(delivery).is_some()));
    assert!(rig.sender.is_drained());
    for request in requests {
        rig.lose(request, true);
    }
    let delivery = rig.batch(0, 1);
    let next = rig.request(A).expect("as if nothing had been");
    assert_eq!((next.seen[0].epoch, next.seen[0].sequence), (1, 0));
    rig.answer(next, &[(OK, 9)]);
    assert_eq!(offset(&delivery[0]), Some(9));
}

#[test]
fn a_doubt_outlives_the_purge() {
    let (mut rig, requests, deliveries) = rig();
    for request in requests {
        rig.lose(request, true);
    }
    let purged = purge(&mut rig, Purge::Queued);
    assert_eq!((purged.queued, purged.in_flight), (6, 0));
    let known: Vec<_> = deliveries.iter().filter_map(persistence).collect();
    assert_eq!(
        known,
        [Persistence::PossiblyPersisted, Persistence::PossiblyPersisted, Persistence::NotPersisted]
    );
}

#[test]
fn what_is_purged_while_it_is_split_or_sealed_comes_back_to_nobody() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 10);
    let request = rig.request(A).expect("ready");
    rig.answer(request, &[(ErrorCode::MESSAGE_TOO_LARGE, -1)]);
    assert_eq!(purge(&mut rig, Purge::All).queued, 10);
    rig.split();
    assert!(deliveries.iter().all(|delivery| persistence(delivery) == Some(Persistence::NotPersisted)));
    assert!(rig.sender.is_drained());
    let sealing = rig.batch(0, 1);
    let drained = rig.drain(A);
    assert_eq!(purge(&mut rig, Purge::All).queued, 1);
    rig.seal(drained);
    assert_eq!(persistence(&sealing[0]), Some(Persistence::NotPersisted));
    assert!(rig.request(A).is_none());
    assert!(rig.sender.is_drained());
}
