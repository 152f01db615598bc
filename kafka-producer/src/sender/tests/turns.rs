//! Who comes when: the compressor serves nodes in turn, and no duty is forgotten that has no other occasion.

use std::time::Duration;

use kafka_wire::{ErrorCode, ProducerEpoch};

use super::{
    super::{Drained, identity::IdentityState, sequence::Identity},
    rig::{A, B, Rig},
};

/// One batch can be sealed at a time; node 1 has many, the first of which is being sealed, and node 2 has one. Node 1 comes again and
/// again: its pump is awake all the time.
fn busy_rig() -> (Rig, Vec<Drained>) {
    let mut rig = Rig::with(3, |settings| settings.max_sealing = 1);
    rig.leaders[2] = (B, 2);
    rig.refresh();
    for _ in 0..4 {
        drop(rig.batch(0, 1));
        drop(rig.batch(1, 1));
    }
    drop(rig.batch(2, 1));
    let first = rig.drain(A);
    assert_eq!(first.len(), 1);
    assert!(rig.drain(B).is_empty() && rig.drain(A).is_empty(), "there is no room");
    (rig, first)
}

#[test]
fn a_busy_broker_does_not_keep_the_compressor_from_the_others() {
    let (mut rig, busy) = busy_rig();
    rig.seal(busy);
    assert!(rig.drain(A).is_empty(), "it is the other one's turn");
    assert!(rig.sender.has_work(B), "which has to look");
    let other = rig.drain(B);
    assert_eq!(other.len(), 1);
    rig.seal(other);
    assert_eq!(rig.drain(A).len(), 1);
}

#[test]
fn who_has_nothing_more_passes_its_turn_on() {
    let (mut rig, busy) = busy_rig();
    rig.seal(busy);
    let other = rig.drain(B);
    rig.seal(other);
    let busy = rig.drain(A);
    // It took the last room before, and comes to look for more, of which it has none.
    assert!(rig.drain(B).is_empty() && rig.drain(A).is_empty());
    rig.seal(busy);
    assert!(rig.sender.has_work(B) && rig.drain(B).is_empty());
    assert!(rig.sender.has_work(A));
    assert_eq!(rig.drain(A).len(), 1);
}

#[test]
fn who_is_called_and_does_not_come_is_passed_over() {
    for is_gone in [true, false] {
        let (mut rig, busy) = busy_rig();
        rig.seal(busy);
        assert!(rig.drain(A).is_empty());
        if is_gone {
            rig.connection(B, false);
        } else {
            let due = rig.sender.poll_timeout(rig.now).expect("it is not waited for without end");
            assert!(due <= rig.now + Duration::from_millis(100));
            rig.advance(due - rig.now);
        }
        let busy = rig.drain(A);
        assert_eq!(busy.len(), 1);
        assert!(rig.drain(B).is_empty(), "it comes late");
        rig.seal(busy);
        assert_eq!(rig.drain(B).len(), 1);
    }
}

#[test]
fn a_lost_batch_makes_room_for_the_next_node() {
    let (mut rig, busy) = busy_rig();
    for lost in busy {
        rig.sender.handle_lost(lost.lane, lost.key, true, rig.now);
    }
    rig.settle_effects();
    assert_eq!(rig.drain(B).len(), 1);
}

#[test]
fn a_producer_id_that_is_wanted_while_nobody_looks_is_a_duty() {
    let mut rig = Rig::new(1);
    let identity = rig.sender.identity.known().expect("known by now");
    let last = Identity { epoch: ProducerEpoch(i16::MAX), ..identity };
    rig.sender.identity.set(IdentityState::Known(last));
    rig.sender.ledger(0).set_identity(last);
    drop(rig.batch(0, 1));
    let request = rig.request(A).expect("it is ready");
    // Its number was used for nothing: the epoch would be bumped, and there is none left.
    rig.answer(request, &[(ErrorCode::INVALID_RECORD, -1)]);
    assert!(matches!(rig.sender.identity.state(), IdentityState::Wanted { .. }));
    let due = rig.sender.poll_timeout(rig.now).expect("an id is to be asked for");
    assert!(due <= rig.now, "now, whether or not anything else happens");
    rig.producer_id = 78;
    rig.advance(Duration::ZERO);
    rig.answer_controls();
    let later = rig.sender.poll_timeout(rig.now);
    assert!(later.is_none_or(|due| due > rig.now), "it was asked for");
}
