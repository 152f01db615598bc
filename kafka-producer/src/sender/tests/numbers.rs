//! Sequences and epochs: who gets which numbers, and when others.

use std::time::Duration;

use kafka_wire::{ErrorCode, ProducerEpoch, ProducerId};

use super::{
    super::{identity::IdentityState, sequence::Identity},
    rig::{A, B, Request, Rig, Seen, offset, result},
};
use crate::{delivery::Delivery, error::Persistence};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;

/// A partition whose brokers know the producer, and `batches` of one record in flight after the first.
fn in_flight(batches: usize) -> (Rig, Vec<Request>, Vec<Delivery>) {
    let mut rig = Rig::new(2);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("the first");
    rig.answer(first, &[(OK, 0)]);
    let deliveries = (0..batches).map(|_| rig.batch(0, 1).remove(0)).collect();
    let requests: Vec<_> = rig.requests(A).into();
    assert_eq!(requests.len(), batches);
    (rig, requests, deliveries)
}

fn numbers(request: &Request) -> (i16, i32) {
    let Seen { epoch, sequence, .. } = request.seen[0];
    (epoch, sequence)
}

#[test]
fn sequences_follow_one_another() {
    let (_, requests, _) = in_flight(5);
    let numbers: Vec<_> = requests.iter().map(numbers).collect();
    assert_eq!(numbers, [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]);
}

#[test]
fn behind_a_head_that_failed_for_a_while_the_rest_keeps_its_numbers() {
    let (mut rig, mut requests, deliveries) = in_flight(2);
    let (second, first) = (requests.pop().expect("two"), requests.pop().expect("two"));
    rig.answer(first, &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    rig.answer(second, &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let again: Vec<_> = rig.requests(A).into();
    assert_eq!(again.iter().map(numbers).collect::<Vec<_>>(), [(0, 1), (0, 2)], "in order, no bump");
    for (request, offset) in again.into_iter().zip(1..) {
        rig.answer(request, &[(OK, offset)]);
    }
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn a_refused_head_makes_a_gap_and_the_rest_starts_anew_once_all_have_answers() {
    let (mut rig, requests, deliveries) = in_flight(3);
    let mut requests = requests.into_iter();
    rig.answer(requests.next().expect("three"), &[(ErrorCode::INVALID_RECORD, -1)]);
    rig.answer(requests.next().expect("three"), &[(OUT_OF_ORDER, -1)]);
    drop(rig.batch(0, 1));
    rig.advance(Duration::from_millis(200));
    assert!(rig.request(A).is_none(), "one has no answer yet");
    rig.answer(requests.next().expect("three"), &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let again: Vec<_> = rig.requests(A).into();
    assert_eq!(again.iter().map(numbers).collect::<Vec<_>>(), [(1, 0), (1, 1), (1, 2)]);
    for (request, offset) in again.into_iter().zip(1..) {
        rig.answer(request, &[(OK, offset)]);
    }
    assert!(result(&deliveries[0]).is_some_and(|result| result.is_err()));
    assert_eq!(deliveries[1..].iter().map(offset).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

#[test]
fn a_batch_in_doubt_is_asked_for_with_its_old_numbers_before_a_bump() {
    let (mut rig, requests, deliveries) = in_flight(2);
    let mut requests = requests.into_iter();
    rig.answer(requests.next().expect("two"), &[(ErrorCode::INVALID_RECORD, -1)]);
    rig.lose(requests.next().expect("two"), true);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("asked again");
    assert_eq!(numbers(&again), (0, 2), "the old numbers");
    rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let anew = rig.request(A).expect("proven not appended");
    assert_eq!(numbers(&anew), (1, 0));
    rig.answer(anew, &[(OK, 1)]);
    assert_eq!(offset(&deliveries[1]), Some(1));
}

/// A broker that was frozen may still work on requests whose connections are gone: first on the retry, then on them.
#[test]
fn behind_a_batch_given_up_in_doubt_a_gap_proves_nothing() {
    let (mut rig, mut requests, deliveries) = in_flight(1);
    rig.advance(Duration::from_secs(10));
    let follower = rig.batch(0, 1).remove(0);
    let behind = rig.request(A).expect("the one behind");
    rig.lose(requests.pop().expect("one"), true);
    rig.lose(behind, true);
    rig.advance(Duration::from_secs(111));
    let error = result(&deliveries[0]).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
    for _ in 0..2 {
        let again = rig.request(A).expect("asked for, since it is in doubt");
        assert_eq!(numbers(&again), (0, 2), "its old numbers");
        rig.answer(again, &[(OUT_OF_ORDER, -1)]);
        rig.advance(Duration::from_millis(200));
    }
    // What was given up arrived, and the first attempt of this one behind it.
    let again = rig.request(A).expect("asked for again");
    rig.answer(again, &[(OK, 2)]);
    assert_eq!(offset(&follower), Some(2));
    drop(rig.batch(0, 1));
    assert_eq!(numbers(&rig.request(A).expect("under the next epoch")), (1, 0));
}

/// The same when the batch in front is given up only after the gap was met.
#[test]
fn behind_a_batch_still_in_doubt_a_gap_proves_nothing() {
    let (mut rig, mut requests, deliveries) = in_flight(1);
    rig.advance(Duration::from_secs(10));
    let follower = rig.batch(0, 1).remove(0);
    let behind = rig.request(A).expect("the one behind");
    rig.lose(requests.pop().expect("one"), true);
    rig.lose(behind, true);
    rig.advance(Duration::from_millis(200));
    let mut again = rig.requests(A);
    assert_eq!(again.iter().map(numbers).collect::<Vec<_>>(), [(0, 1), (0, 2)]);
    // Neither answer says what became of the first attempts, which still lie with the broker.
    rig.answer(again.pop_front().expect("two"), &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    rig.answer(again.pop_front().expect("two"), &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_secs(110));
    let error = result(&deliveries[0]).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
    let again = rig.request(A).expect("asked for, since it is in doubt");
    assert_eq!(numbers(&again), (0, 2), "its old numbers");
    // The first attempts arrived.
    rig.answer(again, &[(ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1)]);
    assert!(result(&follower).expect("answered").is_ok());
}

/// What was answered is dealt with: nothing more comes of it.
#[test]
fn a_batch_given_up_in_doubt_of_which_every_attempt_was_answered_holds_nobody_up() {
    let (mut rig, requests, deliveries) = in_flight(2);
    for request in requests {
        rig.answer(request, &[(ErrorCode::REQUEST_TIMED_OUT, -1)]);
    }
    rig.advance(Duration::from_millis(200));
    let mut again = rig.requests(A);
    rig.answer(again.pop_front().expect("two"), &[(ErrorCode::INVALID_RECORD, -1)]);
    let error = result(&deliveries[0]).expect("refused").expect_err("refused");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
    rig.answer(again.pop_front().expect("two"), &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    assert_eq!(numbers(&rig.request(A).expect("under the next epoch")), (1, 0));
}

#[test]
fn the_late_answer_of_an_old_leader_says_that_nothing_more_comes_of_the_request() {
    let (mut rig, at_the_old_leader, _deliveries) = in_flight(2);
    rig.leaders[0] = (B, 2);
    rig.refresh();
    let head = rig.request(B).expect("the head");
    rig.answer(head, &[(ErrorCode::INVALID_RECORD, -1)]);
    let ask = |rig: &mut Rig| {
        rig.advance(Duration::from_millis(200));
        let behind = rig.request(B).expect("the one behind");
        let numbers = numbers(&behind);
        rig.answer(behind, &[(OUT_OF_ORDER, -1)]);
        numbers
    };
    assert_eq!(ask(&mut rig), (0, 2));
    assert_eq!(ask(&mut rig), (0, 2), "the old leader may be elected again and find both");
    for request in at_the_old_leader {
        rig.answer(request, &[(ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)]);
    }
    assert_eq!(ask(&mut rig), (0, 2));
    assert_eq!(ask(&mut rig), (1, 0));
}

/// The first batch of a partition expires, those behind it are refused for that by the new leader, while the old one still has
/// requests with all of them.
fn behind_a_batch_at_an_old_leader() -> (Rig, Vec<Request>, Vec<Delivery>) {
    let (mut rig, mut at_the_old_leader, _) = in_flight(1);
    rig.advance(Duration::from_secs(10));
    let deliveries = vec![rig.batch(0, 1).remove(0), rig.batch(0, 1).remove(0)];
    at_the_old_leader.extend(rig.requests(A));
    assert_eq!(at_the_old_leader.len(), 3);
    rig.leaders[0] = (B, 2);
    rig.refresh();
    rig.advance(Duration::from_secs(110));
    (rig, at_the_old_leader, deliveries)
}

/// The old leader was elected again and worked on them all; then the new one was, had been restarted, and knows the last
/// batch alone.
#[test]
fn what_comes_back_from_an_old_leader_may_be_in_the_log_since_it_was_refused() {
    let (mut rig, at_the_old_leader, deliveries) = behind_a_batch_at_an_old_leader();
    let ask = |rig: &mut Rig, sequence, code, offset| {
        let request = rig.request(B).expect("in doubt");
        assert_eq!(numbers(&request), (0, sequence), "its old numbers");
        rig.advance(Duration::from_millis(50));
        rig.answer(request, &[(code, offset)]);
    };
    ask(&mut rig, 2, OUT_OF_ORDER, -1);
    ask(&mut rig, 3, OUT_OF_ORDER, -1);
    for (request, offset) in at_the_old_leader.into_iter().zip(1..) {
        rig.answer(request, &[(OK, offset)]);
    }
    rig.advance(Duration::from_millis(50));
    ask(&mut rig, 2, OUT_OF_ORDER, -1);
    ask(&mut rig, 3, OK, 3);
    rig.advance(Duration::from_millis(50));
    ask(&mut rig, 2, OUT_OF_ORDER, -1);
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [None, Some(3)]);
    assert!(result(&deliveries[0]).expect("answered").is_ok());
}

/// The one that was given up closes the gap, and a lost attempt of the one behind it may follow.
#[test]
fn what_was_given_up_and_comes_back_from_an_old_leader_may_have_closed_a_gap() {
    let (mut rig, mut at_the_old_leader, _deliveries) = behind_a_batch_at_an_old_leader();
    for request in at_the_old_leader.drain(1..) {
        rig.answer(request, &[(ErrorCode::NOT_LEADER_OR_FOLLOWER, -1)]);
    }
    let lost = rig.request(B).expect("the one behind");
    rig.lose(lost, true);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(B).expect("asked for again");
    assert_eq!(numbers(&again), (0, 2));
    rig.answer(again, &[(OUT_OF_ORDER, -1)]);
    let last = rig.request(B).expect("in doubt");
    assert_eq!(numbers(&last), (0, 3));
    rig.answer(at_the_old_leader.remove(0), &[(OK, 1)]);
    rig.answer(last, &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    assert_eq!(numbers(&rig.request(B).expect("in doubt")), (0, 2), "its old numbers");
}

/// It is in the log, and an attempt that an old leader still has closes no gap.
#[test]
fn an_old_attempt_of_what_was_acknowledged_holds_nobody_up() {
    for is_back in [false, true] {
        let (mut rig, mut at_the_old_leader, _) = in_flight(1);
        rig.leaders[0] = (B, 2);
        rig.refresh();
        let again = rig.request(B).expect("at the new leader");
        rig.answer(again, &[(OK, 1)]);
        if is_back {
            rig.lose(at_the_old_leader.remove(0), true);
        }
        drop([rig.batch(0, 1), rig.batch(0, 1)]);
        let mut requests = rig.requests(B);
        rig.answer(requests.pop_front().expect("two"), &[(ErrorCode::INVALID_RECORD, -1)]);
        rig.lose(requests.pop_front().expect("two"), true);
        rig.advance(Duration::from_millis(200));
        let again = rig.request(B).expect("in doubt");
        assert_eq!(numbers(&again), (0, 3));
        rig.answer(again, &[(OUT_OF_ORDER, -1)]);
        rig.advance(Duration::from_millis(200));
        assert_eq!(numbers(&rig.request(B).expect("proven not to be there")), (1, 0));
    }
}

#[test]
fn what_was_given_up_behind_a_gap_closes_none() {
    let (mut rig, requests, _deliveries) = in_flight(3);
    for request in requests {
        rig.lose(request, true);
    }
    rig.advance(Duration::from_millis(200));
    let again = rig.requests(A);
    assert_eq!(again.len(), 3);
    for (request, code) in again.into_iter().zip([OUT_OF_ORDER, ErrorCode::INVALID_RECORD, OUT_OF_ORDER]) {
        rig.answer(request, &[(code, -1)]);
    }
    rig.advance(Duration::from_millis(200));
    let anew: Vec<_> = rig.requests(A).into();
    assert_eq!(anew.iter().map(numbers).collect::<Vec<_>>(), [(1, 0), (1, 1)]);
}

/// Proven not to be appended, until what is missing before it is sent once more: then a request that a broker still has
/// may follow.
#[test]
fn a_gap_that_may_be_closed_after_all_proves_nothing_any_more() {
    let (mut rig, mut requests, _deliveries) = in_flight(1);
    rig.advance(Duration::from_secs(10));
    drop(rig.batch(0, 1));
    let behind = rig.request(A).expect("the one behind");
    rig.answer(requests.pop().expect("one"), &[(ErrorCode::NOT_ENOUGH_REPLICAS, -1)]);
    rig.lose(behind, true);
    rig.advance(Duration::from_millis(200));
    let again = rig.requests(A);
    for (request, code) in again.into_iter().zip([ErrorCode::NOT_ENOUGH_REPLICAS, OUT_OF_ORDER]) {
        rig.answer(request, &[(code, -1)]);
    }
    rig.advance(Duration::from_millis(500));
    let head = rig.request(A).expect("the head");
    assert_eq!(numbers(&head), (0, 1));
    rig.advance(Duration::from_secs(110));
    assert_eq!(numbers(&rig.request(A).expect("the one behind")), (0, 2), "its old numbers");
}

/// As after an unclean election: the new leader expects older numbers than any that are out.
#[test]
fn a_new_leader_that_finds_a_gap_is_asked_for_all_that_is_in_doubt() {
    let (mut rig, _, deliveries) = in_flight(2);
    rig.leaders[0] = (B, 2);
    rig.refresh();
    let head = rig.request(B).expect("the head");
    assert_eq!(numbers(&head), (0, 1));
    assert!(rig.request(B).is_none(), "nobody knows yet whether this leader knows the producer");
    rig.answer(head, &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let behind = rig.request(B).expect("the one behind, which is in doubt, too");
    assert_eq!(numbers(&behind), (0, 2));
    rig.answer(behind, &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let anew: Vec<_> = rig.requests(B).into();
    assert_eq!(anew.iter().map(numbers).collect::<Vec<_>>(), [(1, 0), (1, 1)]);
    for (request, offset) in anew.into_iter().zip(1..) {
        rig.answer(request, &[(OK, offset)]);
    }
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

/// The broker may have lost what it knew before it was elected again.
#[test]
fn what_a_broker_said_before_it_was_elected_again_does_not_show_that_it_knows_the_producer() {
    for code in [OUT_OF_ORDER, OK] {
        let (mut rig, mut requests, _deliveries) = in_flight(2);
        rig.leaders[0] = (A, 3);
        rig.refresh();
        let (behind, head) = (requests.pop().expect("two"), requests.pop().expect("two"));
        rig.answer(head, &[(code, 1)]);
        rig.answer(behind, &[(OUT_OF_ORDER, -1)]);
        drop(rig.batch(0, 1));
        rig.advance(Duration::from_millis(200));
        assert_eq!(rig.requests(A).len(), 1, "one at a time: {code:?}");
    }
}

/// Nor does it show what is in the log: that may have come back shorter, or longer.
#[test]
fn what_a_broker_refused_before_it_was_elected_again_proves_nothing() {
    let (mut rig, mut requests, _deliveries) = in_flight(1);
    rig.lose(requests.remove(0), true);
    rig.advance(Duration::from_millis(200));
    let mut again = rig.request(A).expect("in doubt");
    rig.leaders[0] = (A, 3);
    rig.refresh();
    for _ in 0..2 {
        assert_eq!(numbers(&again), (0, 1), "its old numbers");
        rig.answer(again, &[(OUT_OF_ORDER, -1)]);
        rig.advance(Duration::from_millis(200));
        again = rig.request(A).expect("sent again");
    }
    assert_eq!(numbers(&again), (1, 0));
}

#[test]
fn a_doubtful_batch_that_expires_leaves_its_partition_to_a_new_epoch() {
    let (mut rig, requests, deliveries) = in_flight(1);
    rig.lose(requests.into_iter().next().expect("one"), true);
    rig.advance(Duration::from_secs(121));
    let error = result(&deliveries[0]).expect("expired").expect_err("expired");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
    drop(rig.batch(0, 1));
    let next = rig.request(A).expect("the partition goes on");
    assert_eq!(numbers(&next), (1, 0));
}

#[test]
fn an_unsent_batch_that_expires_costs_no_epoch() {
    let mut rig = Rig::new(1);
    drop(rig.batch(0, 1));
    let first = rig.request(A).expect("the first");
    drop(rig.batch(0, 1));
    drop(rig.drain(A));
    rig.answer(first, &[(OK, 0)]);
    rig.advance(Duration::from_secs(121));
    drop(rig.batch(0, 1));
    assert_eq!(numbers(&rig.request(A).expect("ready")), (0, 1), "its number was never given");
}

#[test]
fn other_partitions_flow_during_a_bump_and_take_the_epoch_when_they_are_empty() {
    let (mut rig, requests, _) = in_flight(2);
    drop(rig.batch(1, 1));
    let other = rig.request(A).expect("the other partition");
    let mut requests = requests.into_iter();
    rig.answer(requests.next().expect("two"), &[(ErrorCode::INVALID_RECORD, -1)]);
    rig.answer(other, &[(OK, 0)]);
    drop(rig.batch(1, 1));
    let flowing = rig.request(A).expect("it flows, although the first waits for an answer");
    assert_eq!((flowing.seen[0].partition, numbers(&flowing)), (1, (0, 1)));
    rig.answer(requests.next().expect("two"), &[(OUT_OF_ORDER, -1)]);
    rig.advance(Duration::from_millis(200));
    let anew = rig.request(A).expect("bumped");
    assert_eq!((anew.seen[0].partition, numbers(&anew)), (0, (1, 0)));
    drop(rig.batch(1, 1));
    assert!(rig.request(A).is_none(), "one of the old epoch is still out there");
    rig.answer(flowing, &[(OK, 1)]);
    let taken = rig.request(A).expect("empty now");
    assert_eq!((taken.seen[0].partition, numbers(&taken)), (1, (1, 0)));
}

#[test]
fn a_gap_that_the_broker_finds_at_the_head_is_bumped() {
    for code in [OUT_OF_ORDER, ErrorCode::UNKNOWN_PRODUCER_ID, ErrorCode::INVALID_PRODUCER_EPOCH] {
        let (mut rig, requests, deliveries) = in_flight(1);
        rig.answer(requests.into_iter().next().expect("one"), &[(code, -1)]);
        rig.advance(Duration::from_millis(200));
        let anew = rig.request(A).expect("sent again");
        assert_eq!(numbers(&anew), (1, 0), "{code}");
        rig.answer(anew, &[(OK, 1)]);
        assert_eq!(offset(&deliveries[0]), Some(1));
    }
}

#[test]
fn a_broker_to_which_no_number_is_right_is_given_up_in_time() {
    let (mut rig, mut requests, deliveries) = in_flight(2);
    // By 100 ms each, which is this rig's back-off: a little more than the delivery time-out.
    for _ in 0..1210 {
        assert!(requests.len() <= 2, "each of two batches once in a back-off");
        for request in requests.drain(..) {
            rig.answer(request, &[(OUT_OF_ORDER, -1)]);
        }
        rig.advance(Duration::from_millis(100));
        requests.extend(rig.requests(A));
    }
    for delivery in deliveries {
        let error = result(&delivery).expect("delivery.timeout.ms ends it").expect_err("never appended");
        assert!(error.is_timeout(), "{error}");
        assert_eq!(error.persistence(), Persistence::NotPersisted, "{error}");
        assert!(error.to_string().contains("OUT_OF_ORDER_SEQUENCE_NUMBER"), "{error}");
    }
    // What comes later has another chance.
    let later = rig.batch(0, 1);
    rig.advance(Duration::from_secs(1));
    let request = rig.request(A).expect("the partition is not stuck");
    rig.answer(request, &[(OK, 1)]);
    assert_eq!(offset(&later[0]), Some(1));
}

#[test]
fn when_the_epochs_are_used_up_a_new_producer_id_is_asked_for_and_none_goes_unprotected() {
    let (mut rig, requests, deliveries) = in_flight(2);
    let identity = rig.sender.identity.known().expect("known by now");
    let last = Identity { epoch: ProducerEpoch(i16::MAX), ..identity };
    rig.sender.identity.set(IdentityState::Known(last));
    rig.sender.ledger(0).set_identity(last);
    let mut requests = requests.into_iter();
    rig.answer(requests.next().expect("two"), &[(ErrorCode::INVALID_RECORD, -1)]);
    rig.answer(requests.next().expect("two"), &[(OUT_OF_ORDER, -1)]);
    assert!(matches!(rig.sender.identity.state(), IdentityState::Wanted { .. }));
    assert!(rig.wants_driver, "nobody else would ask for the new id");
    rig.producer_id = 78;
    rig.advance(Duration::from_millis(1));
    rig.answer_controls();
    rig.advance(Duration::from_millis(200));
    let anew = rig.request(A).expect("under the new id");
    assert_eq!(numbers(&anew), (0, 0));
    rig.answer(anew, &[(OK, 1)]);
    assert_eq!(offset(&deliveries[1]), Some(1));
}

#[test]
fn a_producer_id_that_does_not_come_is_asked_for_elsewhere_as_well() {
    let mut rig = Rig::new(1);
    rig.sender.identity.set_wanted();
    rig.advance(Duration::from_millis(1));
    let mut asked = Vec::new();
    for time in [0, 2000, 2000, 20_000] {
        rig.advance(Duration::from_millis(time));
        for node in [A, B] {
            asked.extend(rig.sender.control_call(node).map(|call| (node, call)));
        }
    }
    assert_eq!(asked.len(), 2, "one beside the first, and no more");
    assert_ne!(asked[0].0, asked[1].0);
    // The first answer counts, whoever's it is; one that comes late changes nothing.
    rig.producer_id = 78;
    let (node, call) = asked.remove(0);
    rig.answer_control(node, call);
    let known = |rig: &Rig| rig.sender.identity.known().expect("it has one").id.0;
    assert_eq!(known(&rig), 78);
    rig.producer_id = 79;
    let (node, call) = asked.remove(0);
    rig.answer_control(node, call);
    assert_eq!(known(&rig), 78);
}

#[test]
fn an_id_that_comes_while_another_question_waits_for_its_time_is_taken() {
    let mut rig = Rig::new(1);
    rig.sender.identity.set_wanted();
    rig.advance(Duration::from_millis(1));
    let mut asked = Vec::new();
    for time in [0, 2000] {
        rig.advance(Duration::from_millis(time));
        for node in [A, B] {
            asked.extend(rig.sender.control_call(node).map(|call| (node, call)));
        }
    }
    let (node, call) = asked.pop().expect("two");
    rig.init = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    rig.answer_control(node, call);
    assert!(matches!(rig.sender.identity.state(), IdentityState::Wanted { not_before: Some(_), .. }));
    let (node, call) = asked.pop().expect("one");
    rig.init = OK;
    rig.answer_control(node, call);
    assert!(rig.sender.is_identified());
}

#[test]
fn sequences_wrap_to_zero() {
    let (mut rig, requests, _) = in_flight(1);
    rig.answer(requests.into_iter().next().expect("one"), &[(OK, 1)]);
    rig.sender.ledger(0).set_next(i32::MAX - 1);
    drop(rig.batch(0, 3));
    drop(rig.batch(0, 2));
    let requests = rig.requests(A);
    let numbers: Vec<_> = requests.iter().map(numbers).collect();
    assert_eq!(numbers, [(0, i32::MAX - 1), (0, 1)]);
}

#[test]
fn a_split_batch_continues_under_a_new_epoch_in_order() {
    let (mut rig, requests, _) = in_flight(1);
    rig.answer(requests.into_iter().next().expect("one"), &[(OK, 1)]);
    let deliveries = rig.batch(0, 10);
    let after = rig.batch(0, 1);
    let mut requests = rig.requests(A);
    rig.answer(requests.pop_front().expect("two"), &[(ErrorCode::MESSAGE_TOO_LARGE, -1)]);
    assert!(rig.request(A).is_none());
    rig.answer(requests.pop_front().expect("two"), &[(OUT_OF_ORDER, -1)]);
    rig.split();
    rig.advance(Duration::from_millis(200));
    let parts: Vec<_> = rig.requests(A).into();
    let seen: Vec<_> = parts.iter().map(|part| (part.seen[0].sequence, part.seen[0].count)).collect();
    assert_eq!(seen.iter().map(|(_, count)| count).sum::<i32>(), 11);
    let mut expected = 0;
    for (sequence, count) in &seen {
        assert_eq!(*sequence, expected);
        expected += count;
    }
    let mut base = 2;
    for part in parts {
        assert_eq!(part.seen[0].epoch, 1);
        let count = i64::from(part.seen[0].count);
        rig.answer(part, &[(OK, base)]);
        base += count;
    }
    assert_eq!(deliveries.iter().map(offset).collect::<Vec<_>>(), (2..12).map(Some).collect::<Vec<_>>());
    assert_eq!(offset(&after[0]), Some(12));
}

#[test]
fn a_single_record_that_is_too_large_is_refused() {
    let (mut rig, requests, deliveries) = in_flight(1);
    rig.answer(requests.into_iter().next().expect("one"), &[(ErrorCode::MESSAGE_TOO_LARGE, -1)]);
    let error = result(&deliveries[0]).expect("refused").expect_err("refused");
    assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
}

#[test]
fn a_batch_that_may_be_in_the_log_is_not_split() {
    let (mut rig, requests, _) = in_flight(1);
    rig.answer(requests.into_iter().next().expect("one"), &[(OK, 1)]);
    let deliveries = rig.batch(0, 10);
    let request = rig.request(A).expect("ready");
    rig.lose(request, true);
    rig.advance(Duration::from_millis(200));
    let again = rig.request(A).expect("sent again");
    rig.answer(again, &[(ErrorCode::MESSAGE_TOO_LARGE, -1)]);
    let error = result(&deliveries[0]).expect("given up").expect_err("its parts might double it");
    assert_eq!(error.persistence(), Persistence::PossiblyPersisted);
}

/// How often a producer id is asked for within a second in which nothing else happens.
fn asked_in_a_second(rig: &mut Rig) -> usize {
    let (end, mut asked) = (rig.now + Duration::from_secs(1), 0);
    rig.advance(Duration::ZERO);
    loop {
        for node in [A, B] {
            if rig.sender.demand(node, rig.now) == kafka_net::Demand::Connect {
                rig.sender.handle_status(node, &kafka_net::Status::Ready, rig.now);
            }
            while let Some(call) = rig.sender.control_call(node) {
                asked += usize::from(matches!(call, super::super::Call::InitProducerId { .. }));
                rig.answer_control(node, call);
                rig.settle_effects();
                if asked > 10_000 {
                    return asked;
                }
            }
        }
        // An answer may have made it due at once.
        rig.advance(Duration::ZERO);
        match rig.sender.poll_timeout(rig.now).filter(|next| *next <= end) {
            Some(next) => rig.advance(next.saturating_duration_since(rig.now)),
            None => return asked,
        }
    }
}

#[test]
fn a_producer_id_that_is_used_up_and_given_again_is_asked_for_with_pauses() {
    let mut rig = Rig::new(1);
    rig.sender
        .identity
        .set(IdentityState::Known(Identity { id: ProducerId(77), epoch: ProducerEpoch(i16::MAX) }));
    drop(rig.batch(0, 1));
    let request = rig.request(A).expect("ready");
    rig.init_epoch = i16::MAX;
    rig.answer(request, &[(ErrorCode::INVALID_RECORD, -1)]);
    let asked = asked_in_a_second(&mut rig);
    assert!((2..=20).contains(&asked), "{asked} times in a second");
    // One of its epochs that was used before is no better: its numbers are taken.
    rig.init_epoch = 3;
    let delivery = rig.batch(0, 1).remove(0);
    let asked = asked_in_a_second(&mut rig);
    assert!((1..=20).contains(&asked), "{asked} times in a second");
    assert!(rig.request(A).is_none(), "nothing goes out under numbers that were given before");
    // Another one is.
    (rig.producer_id, rig.init_epoch) = (78, 0);
    rig.advance(Duration::from_secs(1));
    rig.answer_controls();
    let request = rig.request(A).expect("it has a new id");
    rig.answer(request, &[(OK, 0)]);
    assert_eq!(offset(&delivery), Some(0));
}
