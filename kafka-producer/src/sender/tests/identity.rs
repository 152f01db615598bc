//! Where the producer id comes from, and who does not give one.

use std::time::Duration;

use kafka_net::NetError;
use kafka_wire::{ApiKey, ErrorCode, NodeId, ProducerEpoch, ProducerId, VersionRange};

use super::{
    super::{
        Call,
        identity::{IdentityState, MAX_UNEXPECTED},
        sequence::Identity,
    },
    rig::{A, B, Rig, offset, result},
};
use crate::error::Persistence;

const OK: ErrorCode = ErrorCode::NONE;

/// Two brokers that are connected, and no producer id: it is about to be asked for.
fn nameless() -> Rig {
    let mut rig = Rig::new(2);
    rig.leaders[1] = (B, 1);
    rig.refresh();
    rig.sender.identity.set_wanted();
    rig.advance(Duration::ZERO);
    rig
}

/// Whom the sender asks for a producer id now.
fn asked(rig: &mut Rig) -> Option<(NodeId, Call)> {
    let mut found = None;
    for node in [A, B] {
        while let Some(call) = rig.sender.control_call(node) {
            match call {
                Call::InitProducerId { .. } => found = Some((node, call)),
                other => rig.answer_control(node, other),
            }
        }
    }
    rig.settle_effects();
    found
}

/// The next one asked, within ten seconds.
fn asked_soon(rig: &mut Rig) -> Option<(NodeId, Call)> {
    (0..1000).find_map(|_| {
        let found = asked(rig);
        if found.is_none() {
            rig.advance(Duration::from_millis(10));
        }
        found
    })
}

fn is_no_broker(rig: &mut Rig, (node, call): (NodeId, Call)) {
    let error = NetError::unknown_api(ApiKey::INIT_PRODUCER_ID, VersionRange::new(0, 5));
    rig.sender.handle_reply(node, &call, Err(error), rig.now);
    rig.settle_effects();
}

#[test]
fn a_node_that_gives_no_producer_ids_is_no_broker_and_another_one_is_asked() {
    let mut rig = nameless();
    let delivery = rig.batch(0, 1).remove(0);
    let first = asked_soon(&mut rig).expect("one is asked");
    let node = first.0;
    is_no_broker(&mut rig, first);
    assert_eq!(rig.fatal, None, "the other one may be a broker");
    let (other, call) = asked_soon(&mut rig).expect("the other one is asked");
    assert_ne!(other, node);
    rig.answer_control(other, call);
    rig.settle_effects();
    let request = rig.request(A).expect("it has its numbers");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&delivery), Some(0));
}

#[test]
fn where_no_node_gives_producer_ids_the_producer_says_that_they_may_be_controllers() {
    let mut rig = nameless();
    for round in 0..2 {
        assert_eq!(rig.fatal, None, "round {round}");
        let next = asked_soon(&mut rig).expect("asked");
        is_no_broker(&mut rig, next);
    }
    assert_eq!(rig.fatal, Some(ErrorCode::UNSUPPORTED_VERSION));
    let why = rig.sender.fatal_reason().expect("it says why");
    assert!(why.contains("controller's listener"), "{why}");
}

#[test]
fn an_unexpected_answer_for_a_producer_id_is_asked_for_elsewhere_first() {
    for code in [-1, 42, 47] {
        let mut rig = nameless();
        rig.init = ErrorCode(code);
        let (first, call) = asked_soon(&mut rig).expect("one is asked");
        rig.answer_control(first, call);
        rig.settle_effects();
        assert_eq!(rig.fatal, None, "{code}");
        rig.init = OK;
        let (second, call) = asked_soon(&mut rig).expect("another one is asked");
        assert_ne!(first, second, "{code}");
        rig.answer_control(second, call);
        rig.settle_effects();
        assert!(rig.sender.is_identified());
    }
}

#[test]
fn an_unexpected_answer_that_does_not_change_is_fatal_after_some_tries() {
    let mut rig = nameless();
    rig.init = ErrorCode::INVALID_REQUEST;
    let mut tries = 0;
    while rig.fatal.is_none() {
        tries += 1;
        let (node, call) = asked_soon(&mut rig).expect("asked");
        rig.answer_control(node, call);
        rig.settle_effects();
        assert!(tries < 10, "there is an end to it");
    }
    assert_eq!((rig.fatal, tries), (Some(ErrorCode::INVALID_REQUEST), MAX_UNEXPECTED as usize));
}

#[test]
fn a_second_producer_id_that_is_refused_fails_only_what_waits_for_it() {
    let mut rig = Rig::new(2);
    rig.leaders[1] = (B, 1);
    rig.refresh();
    rig.sender
        .identity
        .set(IdentityState::Known(Identity { id: ProducerId(77), epoch: ProducerEpoch(i16::MAX) }));
    drop((rig.batch(0, 1), rig.batch(1, 1)));
    let (worn, well) = (rig.request(A).expect("ready"), rig.request(B).expect("ready"));
    rig.answer(well, &[(OK, 0)]);
    let waits = rig.batch(0, 1).remove(0);
    let drained = rig.drain(A);
    rig.seal(drained);
    rig.init = ErrorCode::CLUSTER_AUTHORIZATION_FAILED;
    let goes_on = rig.batch(1, 1).remove(0);
    let request = rig.request(B).expect("it goes on under the old one");
    rig.answer(worn, &[(ErrorCode::INVALID_RECORD, -1)]);
    rig.advance(Duration::ZERO);
    let (node, call) = asked_soon(&mut rig).expect("the epochs are used up");
    rig.answer_control(node, call);
    rig.settle_effects();
    assert_eq!(rig.refused, None, "not all that waits");
    let error = result(&waits).expect("told").expect_err("refused");
    assert_eq!(error.code(), Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
    assert_eq!(error.persistence(), Persistence::NotPersisted);
    rig.answer(request, &[(OK, 1)]);
    assert_eq!(offset(&goes_on), Some(1));
    let later = rig.batch(1, 1).remove(0);
    let request = rig.request(B).expect("it still goes on");
    rig.answer(request, &[(OK, 2)]);
    assert_eq!(offset(&later), Some(2));
}

#[test]
fn a_leader_that_does_not_know_produce_is_asked_again_until_the_time_is_over() {
    let mut rig = Rig::new(1);
    let deliveries = rig.batch(0, 1);
    let request = rig.request(A).expect("ready");
    let unknown = || NetError::unknown_api(ApiKey::PRODUCE, VersionRange::new(3, 13));
    rig.refuse(request, unknown());
    assert!(result(&deliveries[0]).is_none(), "another leader may know it");
    // The metadata is asked, and names a better one.
    rig.leaders[0] = (B, 2);
    rig.advance(Duration::from_millis(200));
    rig.answer_controls();
    let request = rig.request(B).expect("sent again");
    rig.answer(request, &[(OK, 3)]);
    assert_eq!(offset(&deliveries[0]), Some(3));
    // One that has no better ends as it should.
    let lost = rig.batch(0, 1);
    for _ in 0..100 {
        if let Some(request) = rig.request(B) {
            rig.refuse(request, unknown());
        }
        rig.advance(Duration::from_secs(2));
        rig.answer_controls();
    }
    let error = result(&lost[0]).expect("expired").expect_err("expired");
    assert!(error.is_timeout() && error.persistence() == Persistence::NotPersisted, "{error}");
}
